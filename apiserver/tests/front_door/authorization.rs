//! Authorizers of the command line as clients meet them: a webhook that is not there, that answers, policies that
//! cannot be read.

use std::sync::Arc;

use apiserver::Server;
use http::{Request, Response};
use serde_json::{Value, json};
use wire::{Body, Peer, ServeOptions, body};
use world::sim::Config;

use crate::plane::{BOB, Plane, options, with_plane};

const HOOK: &str = r#"{
    "apiVersion": "v1", "kind": "Config", "current-context": "c",
    "clusters": [{"name": "h", "cluster": {"server": "http://hook:9443/authorize"}}],
    "users": [{"name": "u", "user": {}}],
    "contexts": [{"name": "c", "context": {"cluster": "h", "user": "u"}}]
}"#;

/// Says yes to who wants to read nodes, and never to anything else.
async fn decide(request: Request<Body>) -> Response<Body> {
    let sent = body::collect(request.into_body(), 1 << 20).await.unwrap();
    let review: Value = serde_json::from_slice(&sent).unwrap();
    let nodes = review["spec"]["resourceAttributes"]["resource"] == "nodes";
    let status =
        if nodes { json!({"allowed": true}) } else { json!({"denied": true, "reason": "only nodes"}) };
    let answer = json!({"apiVersion": review["apiVersion"], "kind": "SubjectAccessReview", "status": status});
    Response::builder()
        .header("content-type", "application/json")
        .body(body::full(answer.to_string()))
        .unwrap()
}

#[test]
fn where_an_authorizer_fails_nobody_knows_and_where_it_answers_it_decides() {
    world::sim::run(Config::default(), |sim| async move {
        let (cp, hook) = (sim.host("cp"), sim.host("hook"));
        cp.disk().create_dir_all("/etc").unwrap();
        cp.disk().write("/etc/hook.conf", HOOK, 0o600).unwrap();
        let flags = ["--authorization-mode=Webhook", "--authorization-webhook-config-file=/etc/hook.conf"];
        let plane = Plane::start(&sim, &flags).await;
        let get = async |path: &str| plane.send(BOB, "GET", path, &[], "").await;

        let answer = get("/api/v1/nodes?a=1&b=2").await;
        assert_eq!(answer.code, 500);
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        let (from, to) = (
            r#"Internal Server Error: "/api/v1/nodes?a=1&amp;b=2": Post "http://hook:9443/authorize": dial tcp "#,
            ": connect: connection refused\n",
        );
        assert!(answer.body.starts_with(from) && answer.body.ends_with(to), "{}", answer.body);
        // What another authorizer allows needs no webhook.
        assert_eq!(get("/version").await.code, 200);

        let listener = hook.net().listen("0.0.0.0:9443".parse().unwrap()).await.unwrap();
        let handler = |_: Arc<Peer>, request: Request<Body>| decide(request);
        wire::Server::spawn(&hook, listener, ServeOptions::plain(), Arc::new(handler));
        assert_eq!(get("/api/v1/nodes").await.code, 200);
        let answer = get("/api/v1/pods").await;
        assert_eq!(answer.code, 403);
        let refusal = r#"pods is forbidden: User "bob" cannot list resource "pods" in API group "" at the cluster scope: only nodes"#;
        assert_eq!(answer.json()["message"], refusal);

        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "ns"}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        let typed = [("content-type", "application/json")];
        let answer = plane.send(BOB, "POST", path, &typed, &review.to_string()).await.json();
        assert_eq!(answer["status"]["incomplete"], true);
        let why = "webhook authorizer does not support user rule resolution";
        assert_eq!(answer["status"]["evaluationError"], why);
    })
    .unwrap();
}

#[test]
fn policies_that_cannot_be_read_are_no_start() {
    world::sim::run(Config::default(), |sim| async move {
        let host = sim.host("cp");
        host.disk().create_dir_all("/etc").unwrap();
        host.disk().write("/etc/tokens.csv", "bob-token,bob,2\n", 0o600).unwrap();
        let flags = ["--authorization-mode=ABAC", "--authorization-policy-file=/etc/policy.jsonl"];
        let start = async || Server::start(&host, options(&flags), None).await.map(drop).map_err(|e| e.to_string());
        assert_eq!(start().await, Err("open /etc/policy.jsonl: no such file or directory".to_owned()));
        host.disk().write("/etc/policy.jsonl", "{\"user\": 7}\n", 0o600).unwrap();
        let why = "error reading policy file /etc/policy.jsonl, line 1: {\"user\": 7}: json: cannot unmarshal number into Go struct field Policy.user of type string";
        assert_eq!(start().await, Err(why.to_owned()));
        host.disk().write("/etc/policy.jsonl", "{\"user\": \"bob\"}\n", 0o600).unwrap();
        assert_eq!(start().await, Ok(()));
    })
    .unwrap();
}

#[test]
fn a_server_without_devices_and_attachments_is_ready() {
    with_plane(&["--runtime-config=resource.k8s.io/v1=false,storage.k8s.io/v1=false"], |plane| async move {
        assert_eq!(plane.get("/readyz").await.code, 200);
        assert_eq!(plane.get("/apis/resource.k8s.io/v1/resourceslices").await.code, 404);
    });
}
