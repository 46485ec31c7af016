//! Authorizers of the command line as clients meet them: a webhook that is not there, that answers, policies that
//! cannot be read.

use std::{sync::Arc, time::Duration};

use apiserver::Server;
use http::{Request, Response};
use serde_json::{Value, json};
use wire::{Body, Peer, ServeOptions, body};
use world::sim::Config;

use crate::plane::{ADMIN, Answer, BOB, Plane, options, with_plane};

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
            r#"Internal Server Error: "/api/v1/nodes?a=1&amp;b=2": Post "http://hook:9443/authorize?timeout=30s": dial tcp "#,
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

/// Sends `object` as the administrator.
async fn make(plane: &Plane, path: &str, object: Value) {
    let typed = [("content-type", "application/json")];
    let answer = plane.send(ADMIN, "POST", path, &typed, &object.to_string()).await;
    assert_eq!(answer.code, 201, "{path}: {}", answer.body);
}

/// The answer to a request of somebody whom the administrator plays, asked again while it is not `code`: informers
/// learn a moment later.
async fn becomes(
    plane: &Plane,
    who: &[(&str, &str)],
    method: &str,
    path: &str,
    body: &str,
    code: u16,
) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(who);
    for _ in 0..50 {
        let answer = plane.send(ADMIN, method, path, &headers, body).await;
        if answer.code == code {
            return answer;
        }
        plane.server.context().host.clock().sleep(Duration::from_millis(100)).await;
    }
    let answer = plane.send(ADMIN, method, path, &headers, body).await;
    assert_eq!(answer.code, code, "{method} {path}: {}", answer.body);
    answer
}

#[test]
fn attack_a_node_reads_what_another_nodes_pods_use() {
    with_plane(&["--enable-admission-plugins=NodeRestriction"], |plane| async move {
        make(&plane, "/api/v1/namespaces", json!({"metadata": {"name": "ns"}})).await;
        make(&plane, "/api/v1/namespaces/ns/serviceaccounts", json!({"metadata": {"name": "own"}})).await;
        let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "treasure"}});
        make(&plane, "/api/v1/namespaces/ns/secrets", secret).await;
        let pod = json!({"metadata": {"name": "p"}, "spec": {
            "nodeName": "n1", "serviceAccountName": "own", "automountServiceAccountToken": false,
            "containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
        }});
        let pods = "/api/v1/namespaces/ns/pods";
        becomes(&plane, &[], "POST", pods, &pod.to_string(), 201).await;
        let path = "/api/v1/namespaces/ns/secrets/s";
        let node = |name: &'static str| [("impersonate-user", name), ("impersonate-group", "system:nodes")];
        // The twin: the node of the pod reads it.
        becomes(&plane, &node("system:node:n1"), "GET", path, "", 200).await;
        let tricks = [
            &node("system:node:n2")[..],
            &node("system:node:N1")[..],
            &node("system:node:")[..],
            &node("n1")[..],
            // Not in the group of nodes: with no group at all it would be, where impersonation may be for some requests.
            &[("impersonate-user", "system:node:n1"), ("impersonate-group", "dev")][..],
        ];
        for who in tricks {
            let answer = plane.send(ADMIN, "GET", path, who, "").await;
            assert_eq!(answer.code, 403, "{who:?}: {}", answer.body);
            assert!(!answer.body.contains("dHJlYXN1cmU"), "{who:?}");
        }
        // A mirror pod that names the secret opens nothing, and is not even taken.
        let mut mirror = pod.clone();
        mirror["metadata"] = json!({"name": "m", "annotations": {"kubernetes.io/config.mirror": "x"}});
        mirror["spec"]["nodeName"] = json!("n2");
        let mut headers = node("system:node:n2").to_vec();
        headers.push(("content-type", "application/json"));
        let answer = plane.send(ADMIN, "POST", pods, &headers, &mirror.to_string()).await;
        assert_eq!(answer.code, 403, "{}", answer.body);
    });
}

#[test]
fn attack_roles_that_grow_by_their_holders_edits() {
    with_plane(&[], |plane| async move {
        make(&plane, "/api/v1/namespaces", json!({"metadata": {"name": "ns"}})).await;
        let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/ns";
        let group = "rbac.authorization.k8s.io";
        let mine = json!([
            {"verbs": ["get", "create", "update", "patch"], "apiGroups": [group], "resources": ["roles", "rolebindings"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]},
        ]);
        make(&plane, &format!("{rbac}/roles"), json!({"metadata": {"name": "mine"}, "rules": mine})).await;
        let bind = |name: &str, kind: &str, role: &str| {
            json!({
                "metadata": {"name": name}, "roleRef": {"apiGroup": group, "kind": kind, "name": role},
                "subjects": [{"kind": "User", "apiGroup": group, "name": "eve"}],
            })
        };
        make(&plane, &format!("{rbac}/rolebindings"), bind("mine", "Role", "mine")).await;
        let eve = [("impersonate-user", "eve")];
        let with =
            |resources: &[&str]| json!([{"verbs": ["get"], "apiGroups": [""], "resources": resources}]);
        // The twin: what she holds she may give away.
        let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules}).to_string();
        becomes(&plane, &eve, "POST", &format!("{rbac}/roles"), &role("less", with(&["configmaps"])), 201)
            .await;
        let patch = |rules: Value| json!({"rules": rules}).to_string();
        let merge = [("impersonate-user", "eve"), ("content-type", "application/merge-patch+json")];
        let typed = [("impersonate-user", "eve"), ("content-type", "application/json")];
        let everything = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
        let (roles, bindings) = (format!("{rbac}/roles"), format!("{rbac}/rolebindings"));
        type Attempt<'a> = (&'a str, String, &'a [(&'a str, &'a str)], String);
        let attempts: [Attempt<'_>; 6] = [
            ("POST", roles.clone(), &typed, role("more", with(&["secrets"]))),
            ("PATCH", format!("{roles}/mine"), &merge, patch(everything.clone())),
            ("PATCH", format!("{roles}/less"), &merge, patch(with(&["configmaps", "secrets"]))),
            ("PUT", format!("{roles}/less"), &typed, role("less", everything)),
            ("POST", bindings.clone(), &typed, bind("up", "ClusterRole", "cluster-admin").to_string()),
            (
                "PATCH",
                format!("{roles}/mine"),
                &merge,
                patch(json!([
                    {"verbs": ["escalate", "bind"], "apiGroups": [group], "resources": ["*"]},
                ])),
            ),
        ];
        for (method, path, headers, body) in attempts {
            let answer = plane.send(ADMIN, method, &path, headers, &body).await;
            assert_eq!(answer.code, 403, "{method} {path} {body}: {}", answer.body);
            let why = "is attempting to grant RBAC permissions not currently held";
            assert!(answer.body.contains(why), "{method} {path}: {}", answer.body);
        }
        let dry = plane
            .send(ADMIN, "POST", &format!("{roles}?dryRun=All"), &typed, &role("more", with(&["secrets"])))
            .await;
        assert_eq!(dry.code, 403, "{}", dry.body);
    });
}

#[test]
fn attack_paths_that_mean_something_else() {
    with_plane(&[], |plane| async move {
        make(
            &plane,
            "/api/v1/namespaces/default/secrets",
            json!({"metadata": {"name": "s"}, "stringData": {"k": "treasure"}}),
        )
        .await;
        // The twin: who may, finds it at its path.
        let found = plane.get("/api/v1/namespaces/default/secrets/s").await;
        assert!(found.code == 200 && found.body.contains("dHJlYXN1cmU"), "{}", found.body);
        for path in [
            "/api/v1/namespaces/default/secrets/s",
            "/api/v1/namespaces/default/secrets/s/",
            "/api/v1/namespaces/default/secrets//s",
            "//api/v1/namespaces/default/secrets/s",
            "/api//v1/namespaces/default/secrets/s",
            "/api/v1/namespaces/default/secrets/%73",
            "/api/v1/namespaces/default/%73ecrets/s",
            "/api/v1/namespaces/default/Secrets/s",
            "/API/v1/namespaces/default/secrets/s",
            "/version/../api/v1/namespaces/default/secrets/s",
            "/version/%2e%2e/api/v1/namespaces/default/secrets/s",
            "/healthz/../api/v1/secrets",
            "/openapi/v2/../../api/v1/secrets",
            "/api/v1/namespaces/default/configmaps/../secrets/s",
            "/api/v1/namespaces/default/configmaps/%2e%2e%2fsecrets%2fs",
            "/api/v1/watch/namespaces/default/secrets/s",
            "/api/v1/namespaces/default/secrets/s/.",
            "/apis//api/v1/secrets",
        ] {
            let answer = plane.send(BOB, "GET", path, &[], "").await;
            assert!(matches!(answer.code, 400 | 403 | 404 | 405), "{path}: {} {}", answer.code, answer.body);
            assert!(!answer.body.contains("dHJlYXN1cmU"), "{path}: {}", answer.body);
        }
    });
}

/// As upstream, whose storage asks before it looks at anything else.
#[test]
fn who_grants_too_much_is_told_so_before_what_else_is_wrong() {
    with_plane(&[], |plane| async move {
        make(&plane, "/api/v1/namespaces", json!({"metadata": {"name": "ns"}})).await;
        let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/ns";
        let (group, roles) = ("rbac.authorization.k8s.io", format!("{rbac}/roles"));
        let role =
            |name: &str, rules: Value| json!({"metadata": {"name": name, "namespace": "ns"}, "rules": rules});
        let mine = json!([
            {"verbs": ["create", "update"], "apiGroups": [group], "resources": ["roles"]},
            {"verbs": ["escalate"], "apiGroups": [group], "resources": ["roles"], "resourceNames": ["grown"]},
        ]);
        make(&plane, &roles, role("mine", mine)).await;
        let bound = json!({
            "metadata": {"name": "mine"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "mine"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "eve"}],
        });
        make(&plane, &format!("{rbac}/rolebindings"), bound).await;
        let eve = [("impersonate-user", "eve")];
        becomes(&plane, &eve, "POST", &roles, &role("none", json!([])).to_string(), 201).await;

        let secrets = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]});
        let bad = role("bad", json!([secrets, {"verbs": [], "apiGroups": [""], "resources": ["pods"]}]));
        becomes(&plane, &[], "POST", &roles, &bad.to_string(), 422).await;
        let answer = becomes(&plane, &eve, "POST", &roles, &bad.to_string(), 403).await;
        let why = "is attempting to grant RBAC permissions not currently held";
        assert!(answer.body.contains(why), "{}", answer.body);

        // She may let the one role grow, and not make it: what is posted has no name yet.
        let grown = role("grown", json!([secrets])).to_string();
        let answer = becomes(&plane, &eve, "POST", &roles, &grown, 403).await;
        assert!(answer.body.contains(why), "{}", answer.body);
        becomes(&plane, &[], "POST", &roles, &role("grown", json!([])).to_string(), 201).await;
        becomes(&plane, &eve, "PUT", &format!("{roles}/grown"), &grown, 200).await;
    });
}
