//! Users' code: `kube::Api` with typed objects over the simulated network.

use client::{Auth, kube_client, kube_client_over};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use pki::kubeconfig::{Cluster, Kubeconfig, User};
use serde_json::json;

use crate::fake::{PORT, config_map, http, run};

fn typed(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(config_map(name, value)).unwrap()
}

#[test]
fn list_watch_create_patch_delete_with_types() {
    run(|world| async move {
        let client = kube_client_over(http(&world.host), Auth::bearer("t"), "a");
        let maps: Api<ConfigMap> = Api::default_namespaced(client);
        assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 0);
        let mut watch = maps.watch(&WatchParams::default(), "100").await.unwrap().boxed();
        maps.create(&PostParams::default(), &typed("x", "1")).await.unwrap();
        let patch = json!({"data": {"k": "2"}});
        maps.patch("x", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        assert_eq!(maps.get("x").await.unwrap().data.unwrap()["k"], "2");
        maps.delete("x", &DeleteParams::default()).await.unwrap();
        let mut kinds = Vec::new();
        for _ in 0..3 {
            kinds.push(match watch.next().await.unwrap().unwrap() {
                WatchEvent::Added(o) => format!("+{}", o.data.unwrap()["k"]),
                WatchEvent::Modified(o) => format!("~{}", o.data.unwrap()["k"]),
                WatchEvent::Deleted(o) => format!("-{}", o.data.unwrap()["k"]),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(kinds, ["+1", "~2", "-2"]);
        let seen = world.fake.seen();
        assert!(seen.iter().all(|s| s.headers["authorization"] == "Bearer t"));
        assert!(seen[0].line.starts_with("GET /api/v1/namespaces/a/configmaps"), "{}", seen[0].line);
    });
}

#[test]
fn errors_are_kubes_own() {
    run(|world| async move {
        let client = kube_client_over(http(&world.host), Auth::None, "default");
        let maps: Api<ConfigMap> = Api::namespaced(client, "a");
        match maps.get("none").await {
            Err(kube::Error::Api(status)) => assert_eq!(status.code, 404),
            other => panic!("{other:?}"),
        }
        world.fake.down().await;
        let error = maps.get("none").await.unwrap_err().to_string();
        assert!(error.contains("connection refused"), "{error}");
    });
}

#[test]
fn a_kubeconfig_is_enough() {
    run(|world| async move {
        let cluster = Cluster { server: format!("http://server:{PORT}"), ..Cluster::default() };
        let mut config = Kubeconfig::new("c", cluster, "u", User::with_token("t"));
        config.contexts[0].context.namespace = Some("a".into());
        let client = kube_client(&world.host, &config, (1, 26)).unwrap();
        assert_eq!(client.default_namespace(), "a");
        let maps: Api<ConfigMap> = Api::default_namespaced(client);
        maps.create(&PostParams::default(), &typed("x", "1")).await.unwrap();
        let seen = &world.fake.seen()[0];
        assert!(seen.line.starts_with("POST /api/v1/namespaces/a/configmaps"));
        assert_eq!(seen.headers["authorization"], "Bearer t");
        assert_eq!(seen.headers["user-agent"], "kube-rs");

        config.current_context = "other".into();
        let error = kube_client(&world.host, &config, (1, 26)).err().unwrap().to_string();
        assert!(error.contains("other"), "{error}");
    });
}

#[test]
fn a_kubeconfig_s_password_is_sent() {
    run(|world| async move {
        let cluster = Cluster { server: format!("http://server:{PORT}"), ..Cluster::default() };
        let config = Kubeconfig::new("c", cluster, "u", User::with_password("jane", "a:b"));
        let rest = client::Rest::from_kubeconfig(&world.host, &config, (1, 26), "agent/1").unwrap();
        rest.get_opt(&client::Resource::core("configmaps"), Some("a"), "x").await.unwrap();
        assert_eq!(world.fake.seen()[0].headers["authorization"], "Basic amFuZTphOmI=");
    });
}

#[test]
fn a_token_file_is_read_again() {
    run(|world| async move {
        let disk = world.host.disk();
        disk.write("/var/token", "one\n", 0o600).unwrap();
        let cluster = Cluster { server: format!("http://server:{PORT}"), ..Cluster::default() };
        let user = User { token_file: Some("/var/token".into()), ..User::default() };
        let config = Kubeconfig::new("c", cluster, "u", user);
        let rest = client::Rest::from_kubeconfig(&world.host, &config, (1, 26), "agent/1").unwrap();
        let get =
            || async { rest.get_opt(&client::Resource::core("configmaps"), Some("a"), "x").await.unwrap() };
        get().await;
        disk.write("/var/token", "two\n", 0o600).unwrap();
        get().await;
        world.elapse(60.0).await;
        get().await;
        // A file that is gone for a moment does not cost the token.
        disk.remove("/var/token").unwrap();
        world.elapse(60.0).await;
        get().await;
        let used: Vec<String> = world
            .fake
            .seen()
            .iter()
            .map(|s| s.headers["authorization"].to_str().unwrap().to_owned())
            .collect();
        assert_eq!(used, ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]);
        assert_eq!(world.fake.seen()[0].headers["user-agent"], "agent/1");
    });
}
