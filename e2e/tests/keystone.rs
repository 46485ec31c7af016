//! Passwords that Keystone knows, before and after 1.10: by the apiserver's own flags, and as tokens by a webhook.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{collections::BTreeMap, time::Duration};

use chronoplane_cli::keystone::{Keystone, Person};
use http::Request;
use pki::ClientTls;
use serde_json::{Value, json};
use wire::{HttpClient, body};
use world::{
    Host,
    sim::{Config, Sim},
};

const SECOND: Duration = Duration::from_secs(1);

async fn keystone(sim: &Sim) -> Keystone {
    let jane = Person { password: "s3cret".to_owned(), projects: vec!["dev".to_owned()] };
    Keystone::start(&sim.host("keystone"), BTreeMap::from([("jane".to_owned(), jane)])).await.unwrap()
}

async fn server(host: &Host, flags: &[&str]) -> Result<apiserver::Server, String> {
    let base = ["--storage-backend=memory", "--authorization-mode=AlwaysAllow"];
    let options = apiserver::Options::parse(base.iter().chain(flags)).map_err(|e| e.to_string())?;
    let server = apiserver::Server::start(host, options, None).await.map_err(|e| e.to_string())?;
    server.ready().await?;
    Ok(server)
}

/// Name and groups, or the code.
async fn who(sim: &Sim, authorization: &str) -> String {
    let tls = ClientTls::new(&sim.host("laptop"), (1, 26)).insecure();
    let http = HttpClient::new(&sim.host("laptop"), "https://cp:6443", Some(tls)).unwrap();
    let request = Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
        .header("authorization", authorization)
        .header("content-type", "application/json")
        .body(body::full("{}"));
    let (head, content) = http.send(request.unwrap()).await.unwrap().into_parts();
    let answer: Value =
        serde_json::from_slice(&body::collect(content, 1 << 20).await.unwrap()).unwrap_or_default();
    match head.status.as_u16() {
        201 => {
            let user = &answer["status"]["userInfo"];
            format!("{} {}", user["username"].as_str().unwrap(), user["groups"])
        }
        code => code.to_string(),
    }
}

fn basic(pair: &str) -> String {
    format!("Basic {}", api::object::base64(pair.as_bytes()))
}

#[test]
fn until_1_9_the_apiserver_asks_keystone_itself() {
    world::sim::run(Config::default(), |sim| async move {
        let keystone = keystone(&sim).await;
        let host = sim.host("cp");
        host.disk().create_dir_all("/etc").unwrap();
        host.disk().write("/etc/openstack-ca.crt", keystone.ca_pem(), 0o644).unwrap();
        let url = format!("--experimental-keystone-url={}", keystone.url());
        let flags =
            |version| [version, url.as_str(), "--experimental-keystone-ca-file=/etc/openstack-ca.crt"];
        let error = server(&host, &flags("--kubernetes-version=1.10.0")).await.err().unwrap();
        assert!(error.contains("Keystone passwords were removed in Kubernetes 1.10"), "{error}");

        let _server = server(&host, &flags("--kubernetes-version=1.9.0")).await.unwrap();
        assert_eq!(who(&sim, &basic("jane:s3cret")).await, r#"jane ["system:authenticated"]"#);
        assert_eq!(who(&sim, &basic("jane:guess")).await, "401");
        assert_eq!(who(&sim, &basic("joe:s3cret")).await, "401");
        // Passwords are not remembered.
        keystone.dismiss("jane");
        assert_eq!(who(&sim, &basic("jane:s3cret")).await, "401");
    })
    .unwrap();
}

#[test]
fn later_its_tokens_go_to_a_webhook() {
    world::sim::run(Config::default(), |sim| async move {
        let keystone = keystone(&sim).await;
        let host = sim.host("cp");
        host.disk().create_dir_all("/etc").unwrap();
        host.disk().write("/etc/webhook.conf", keystone.webhook_kubeconfig(), 0o600).unwrap();
        let flags = [
            "--authentication-token-webhook-config-file=/etc/webhook.conf",
            "--authentication-token-webhook-version=v1",
            "--authentication-token-webhook-cache-ttl=30s",
        ];
        let _server = server(&host, &flags).await.unwrap();
        let tls = ClientTls::new(&sim.host("laptop"), (1, 26)).insecure();
        let http = HttpClient::new(&sim.host("laptop"), "https://keystone:5000", Some(tls)).unwrap();
        let user = json!({"name": "jane", "password": "s3cret", "domain": {"id": "default"}});
        let login = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}});
        let request = Request::post("/v3/auth/tokens").body(body::full(login.to_string())).unwrap();
        let answer = http.send(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
        let token = answer.headers()["x-subject-token"].to_str().unwrap().to_owned();

        let bearer = format!("Bearer {token}");
        assert_eq!(who(&sim, &bearer).await, r#"jane ["dev","system:authenticated"]"#);
        assert_eq!(who(&sim, "Bearer guess").await, "401");
        // Nobody looks at a password any more: its owner is nobody.
        assert_eq!(who(&sim, &basic("jane:s3cret")).await, r#"system:anonymous ["system:unauthenticated"]"#);
        // Dismissed, and known for as long as the webhook's answer is remembered, and ten seconds of the server's.
        keystone.dismiss("jane");
        sim.elapse(29 * SECOND).await;
        assert_eq!(who(&sim, &bearer).await, r#"jane ["dev","system:authenticated"]"#);
        sim.elapse(11 * SECOND).await;
        assert_eq!(who(&sim, &bearer).await, "401");
    })
    .unwrap();
}
