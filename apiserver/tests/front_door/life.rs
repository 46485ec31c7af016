//! Start and end of a server: nothing is left behind, and bad input is said in one sentence.

use std::time::Duration;

use apiserver::Server;
use client::Resource;
use serde_json::json;
use world::{Exit, sim::Config};

use crate::plane::{Plane, options, with_plane};

#[test]
fn a_start_that_fails_leaves_nothing_behind() {
    with_plane(&[], |plane| async move {
        let host = plane.server.context().host.clone();
        let error = Server::start(&host, options(&[]), None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to create listener: failed to listen on 0.0.0.0:6443: listen tcp 0.0.0.0:6443: bind: address already in use"
        );
        // The one that runs is not touched by it.
        assert_eq!(plane.get("/readyz").await.body, "ok");
    });
    world::sim::run(Config::default(), |sim| async move {
        let host = sim.host("cp");
        let error = Server::start(&host, options(&["--client-ca-file=/none"]), None).await.unwrap_err();
        assert!(error.to_string().starts_with("--client-ca-file /none: "), "{error}");
        // The port is free again.
        host.net().listen("0.0.0.0:6443".parse().unwrap()).await.unwrap();
    })
    .unwrap();
}

#[test]
fn wrong_flags_end_the_program_with_a_sentence() {
    world::sim::run(Config::default(), |sim| async move {
        let exit = apiserver::run(sim.host("cp"), vec!["--frobnicate".to_owned()]).await;
        assert_eq!(exit, Exit::Failure("unknown flag: --frobnicate".to_owned()));
    })
    .unwrap();
}

#[test]
fn after_a_shutdown_the_next_server_starts_on_the_same_store() {
    world::sim::run(Config::default(), |sim| async move {
        let store = store::memory(&sim.host("cp"));
        let plane = Plane::start_on(&sim, &[], Some(store.clone())).await;
        let map = json!({ "metadata": { "name": "kept" }, "data": { "a": "b" } });
        plane.admin.create(&Resource::core("configmaps"), Some("default"), &map).await.unwrap();
        // A watcher that never goes must not hold the server up for ever.
        let watch =
            plane.admin.watch(&Resource::core("pods"), None, &client::WatchParams::default()).await.unwrap();
        let before = sim.host("cp").clock().monotonic();
        plane.server.shutdown().await;
        assert!(sim.host("cp").clock().monotonic().since(before) < Duration::from_secs(5));
        drop(watch);

        let again = Server::start(&sim.host("cp"), options(&[]), Some(store)).await.unwrap();
        again.ready().await.unwrap();
        let kept = plane.admin.get(&Resource::core("configmaps"), Some("default"), "kept").await.unwrap();
        assert_eq!(kept["data"]["a"], "b");
    })
    .unwrap();
}

#[test]
fn tokens_are_issued_and_their_keys_are_shown() {
    world::sim::run(Config::default(), |sim| async move {
        let key = pki::PrivateKey::generate(pki::KeyAlgorithm::EcdsaP256).unwrap();
        let disk = sim.host("cp").disk().clone();
        disk.create_dir_all("/etc").unwrap();
        disk.write("/etc/sa.key", key.to_pem(), 0o600).unwrap();
        let plane = Plane::start(&sim, &["--service-account-signing-key-file=/etc/sa.key"]).await;
        let account = json!({ "metadata": { "name": "robot" } });
        let (accounts, ns) = (Resource::core("serviceaccounts"), Some("default"));
        plane.admin.create(&accounts, ns, &account).await.unwrap();
        plane.sim.elapse(Duration::from_secs(1)).await;
        let answer = plane.admin.create_sub(&accounts, ns, "robot", "token", &json!({})).await.unwrap();
        let token = answer["status"]["token"].as_str().unwrap();
        let me = plane
            .send(
                token,
                "POST",
                "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                &[("content-type", "application/json")],
                "{}",
            )
            .await
            .json();
        assert_eq!(me["status"]["userInfo"]["username"], "system:serviceaccount:default:robot");
        let page = plane.get("/.well-known/openid-configuration").await.json();
        assert_eq!(page["issuer"], "https://kubernetes.default.svc");
        assert_eq!(page["id_token_signing_alg_values_supported"], json!(["ES256"]));
        let keys = plane.get("/openid/v1/jwks").await;
        assert_eq!(keys.headers["content-type"], "application/jwk-set+json");
        assert_eq!(keys.json()["keys"].as_array().map(Vec::len), Some(1));
    })
    .unwrap();
}
