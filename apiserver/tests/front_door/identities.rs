//! As whom a request is carried out: by impersonation, and by the word of a front proxy.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use pki::{ClientTls, StaticIdentity};
use serde_json::json;
use wire::{HttpClient, body};
use world::sim::Config;

use crate::{
    plane::{ADMIN, BOB, Plane, with_issuing_plane, with_plane},
    trust::{DAY, authority, issue},
};

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// `name [groups]`, or what is said instead.
async fn who(plane: &Plane, token: &str, headers: &[(&str, &str)]) -> String {
    let mut headers = headers.to_vec();
    headers.push(("content-type", "application/json"));
    let answer = plane.send(token, "POST", WHO, &headers, "{}").await;
    let answer = answer.json();
    if answer.str_at("/kind") == "Status" {
        return answer.str_at("/message").to_owned();
    }
    let user = &answer["status"]["userInfo"];
    let groups: Vec<&str> = user["groups"].as_array().unwrap().iter().filter_map(|g| g.as_str()).collect();
    format!("{} [{}]", user.str_at("/username"), groups.join(" "))
}

#[test]
fn who_is_impersonated_is_in_the_groups_that_go_without_saying() {
    // Everybody may ask who they are.
    with_plane(&["--authorization-mode=AlwaysAllow"], |plane| async move {
        let plane = &plane;
        let check = async |user: &str, groups: &[&str], wanted: &str| {
            let mut headers = vec![("impersonate-user", user)];
            headers.extend(groups.iter().map(|group| ("impersonate-group", *group)));
            assert_eq!(who(plane, ADMIN, &headers).await, wanted, "{user} in {groups:?}");
        };
        check("jane", &[], "jane [system:authenticated]").await;
        check("jane", &["dev"], "jane [dev system:authenticated]").await;
        check("jane", &["system:unauthenticated"], "jane [system:unauthenticated]").await;
        check("jane", &["system:authenticated", "dev"], "jane [system:authenticated dev]").await;
        check("system:anonymous", &[], "system:anonymous [system:unauthenticated]").await;
        check("system:anonymous", &["dev"], "system:anonymous [dev system:unauthenticated]").await;
        check(
            "system:anonymous",
            &["system:unauthenticated", "dev"],
            "system:anonymous [system:unauthenticated dev]",
        )
        .await;
        let account = "system:serviceaccount:ns:robot";
        let own = "[system:serviceaccounts system:serviceaccounts:ns system:authenticated]";
        check(account, &[], &format!("{account} {own}")).await;
        check(account, &["dev"], &format!("{account} [dev system:authenticated]")).await;
        // No account could be called so: it is anybody's name.
        check("system:serviceaccount:ns:a:b", &[], "system:serviceaccount:ns:a:b [system:authenticated]")
            .await;
    });
}

#[test]
fn each_part_of_somebody_is_a_permission_of_its_own() {
    // The words of releases in which it is one for everything.
    with_plane(&["--kubernetes-version=1.35"], |plane| async move {
        let plane = &plane;
        let refused = |what: &str, group: &str, place: &str| {
            format!(
                r#"{what} is forbidden: User "bob" cannot impersonate resource "{}" in API group "{group}" {place}"#,
                what.split([' ', '.']).next().unwrap_or_default()
            )
        };
        let check = async |user: &str, wanted: String| {
            assert_eq!(who(plane, BOB, &[("impersonate-user", user)]).await, wanted, "{user}");
        };
        let cluster = "at the cluster scope";
        check("jane", refused(r#"users "jane""#, "", cluster)).await;
        check(
            "system:serviceaccount:ns:robot",
            refused(r#"serviceaccounts "robot""#, "", r#"in the namespace "ns""#),
        )
        .await;
        for name in ["system:serviceaccount:ns:a:b", "system:serviceaccount:ns:", "system:serviceaccount:N:a"]
        {
            check(name, refused(&format!("users {name:?}"), "", cluster)).await;
        }
        let answer = who(plane, ADMIN, &[("impersonate-group", "dev")]).await;
        assert_eq!(answer, "requested [{Group  dev    }] without impersonating a user");
    });
}

/// A role with these verbs on these resources of a group, and what binds it to `bob`.
async fn grant(plane: &Plane, name: &str, rules: serde_json::Value) {
    let typed = [("content-type", "application/json")];
    let group = "rbac.authorization.k8s.io";
    let role = json!({"metadata": {"name": name}, "rules": rules});
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "bob"}],
    });
    for (kind, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        let path = format!("/apis/{group}/v1/{kind}");
        let answer = plane.send(ADMIN, "POST", &path, &typed, &object.to_string()).await;
        assert_eq!(answer.code, 201, "{}", answer.body);
    }
    plane.sim.elapse(Duration::from_millis(200)).await;
}

#[test]
fn impersonation_may_be_for_some_requests_alone() {
    with_plane(&[], |plane| async move {
        let plane = &plane;
        let get = async |headers: &[(&str, &str)], path: &str| {
            let answer = plane.send(BOB, "GET", path, headers, "").await;
            let message =
                if answer.code < 400 { String::new() } else { answer.json().str_at("/message").to_owned() };
            (answer.code, message)
        };
        let (pods, jane) = ("/api/v1/pods", [("impersonate-user", "jane")]);
        let missing = |verb: &str| {
            format!(
                r#"pods is forbidden: User "bob" cannot {verb} resource "pods" in API group "" at the cluster scope"#
            )
        };
        let identity = r#"users.authentication.k8s.io "jane" is forbidden: User "bob" cannot impersonate:user-info resource "users" in API group "authentication.k8s.io" at the cluster scope"#;
        assert_eq!(get(&jane, pods).await, (403, missing("impersonate-on:user-info:list")));
        let verbs = ["impersonate-on:user-info:list", "impersonate-on:arbitrary-node:list"];
        grant(plane, "on-pods", json!([{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}])).await;
        assert_eq!(get(&jane, pods).await, (403, identity.to_owned()));
        let identities = |resource: &str, verb: &str, names: &[&str]| json!([{"apiGroups": ["authentication.k8s.io"], "resources": [resource], "verbs": [verb], "resourceNames": names}]);
        grant(plane, "as-jane", identities("users", "impersonate:user-info", &["jane"])).await;
        // Bob may be jane, and jane may not.
        assert_eq!(get(&jane, pods).await, (403, missing("list").replace("bob", "jane")));
        let (code, why) = get(&jane, "/api/v1/nodes").await;
        assert!(code == 403 && why.contains("impersonate-on:user-info:list resource \"nodes\""), "{why}");
        // Each group is a permission; masters are none that could be had this way.
        let with = |group: &'static str| [("impersonate-user", "jane"), ("impersonate-group", group)];
        let (code, why) = get(&with("dev"), pods).await;
        assert!(code == 403 && why.contains("cannot impersonate:user-info resource \"groups\""), "{why}");
        grant(plane, "as-all", identities("groups", "impersonate:user-info", &["dev", "system:masters"]))
            .await;
        assert_eq!(get(&with("dev"), pods).await, (403, missing("list").replace("bob", "jane")));
        let (code, why) = get(&with("system:masters"), pods).await;
        assert!(
            code == 403 && why.ends_with("impersonating the system:masters group is not allowed"),
            "{why}"
        );
        // Keys of extra are paths below a domain.
        let extra = |key: &'static str| [("impersonate-user", "jane"), (key, "v")];
        let (code, why) = get(&extra("impersonate-extra-scopes"), pods).await;
        assert!(
            code == 403 && why.contains("must be a domain-prefixed path (such as \"acme.io/foo\")"),
            "{why}"
        );
        let keys = json!([{"apiGroups": ["authentication.k8s.io"], "resources": ["userextras/acme.io/a"], "verbs": ["impersonate:user-info"]}]);
        grant(plane, "extra", keys).await;
        assert_eq!(
            get(&extra("impersonate-extra-acme.io%2fa"), pods).await.1,
            missing("list").replace("bob", "jane")
        );

        // A node is one by its name alone, and in the group of nodes: it may list its own pods.
        let own = "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1";
        let node = [("impersonate-user", "system:node:n1")];
        let (code, why) = get(&node, own).await;
        assert!(code == 403 && why.contains("cannot impersonate:arbitrary-node resource \"nodes\""), "{why}");
        grant(plane, "as-node", identities("nodes", "impersonate:arbitrary-node", &["n1"])).await;
        assert_eq!(get(&node, own).await, (200, String::new()));
        assert_eq!(get(&[("impersonate-user", "system:node:n2")], own).await.0, 403);
        // Whoever may be somebody for everything still may.
        grant(
            plane,
            "legacy",
            json!([{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}]),
        )
        .await;
        let robot = who(plane, BOB, &[("impersonate-user", "system:serviceaccount:ns:robot")]).await;
        assert_eq!(
            robot,
            "system:serviceaccount:ns:robot [system:serviceaccounts system:serviceaccounts:ns system:authenticated]"
        );
        let answer = who(plane, ADMIN, &[("impersonate-group", "dev")]).await;
        assert_eq!(
            answer,
            r#"requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"dev"}, Extra:map[string][]string(nil)} without impersonating a user name"#
        );
    });
}

/// A service account whose token is bound to a node becomes that node, and no other.
#[test]
fn an_agent_becomes_the_node_that_it_runs_on() {
    with_issuing_plane(|plane| async move {
        let plane = &plane;
        let create = async |path: &str, object: serde_json::Value| {
            let typed = [("content-type", "application/json")];
            let answer = plane.send(ADMIN, "POST", path, &typed, &object.to_string()).await;
            assert_eq!(answer.code, 201, "{path}: {}", answer.body);
            answer.json()
        };
        let node = create("/api/v1/nodes", json!({"metadata": {"name": "n1"}})).await;
        create("/api/v1/namespaces", json!({"metadata": {"name": "ns"}})).await;
        create("/api/v1/namespaces/ns/serviceaccounts", json!({"metadata": {"name": "agent"}})).await;
        let bound =
            json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": node.str_at("/metadata/uid")});
        let token = async |spec: serde_json::Value| {
            let path = "/api/v1/namespaces/ns/serviceaccounts/agent/token";
            create(path, json!({"spec": spec})).await.str_at("/status/token").to_owned()
        };
        let (own, unbound) = (token(json!({"boundObjectRef": bound})).await, token(json!({})).await);
        let rules = json!([
            {"apiGroups": ["authentication.k8s.io"], "resources": ["nodes"], "verbs": ["impersonate:associated-node"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["impersonate-on:associated-node:list"]},
        ]);
        grant(plane, "agent", rules).await;
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        let binding = json!({
            "metadata": {"name": "agents"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agent"},
            "subjects": [{"kind": "ServiceAccount", "namespace": "ns", "name": "agent"}],
        });
        create(path, binding).await;
        plane.sim.elapse(Duration::from_secs(1)).await;
        let list = async |token: &str, node: &str, on: &str| {
            let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{on}");
            let answer = plane.send(token, "GET", &path, &[("impersonate-user", node)], "").await;
            answer.code
        };
        assert_eq!(list(&own, "system:node:n1", "n1").await, 200);
        assert_eq!(list(&own, "system:node:n1", "n2").await, 403, "as the node itself");
        assert_eq!(list(&own, "system:node:n2", "n2").await, 403);
        assert_eq!(list(&unbound, "system:node:n1", "n1").await, 403);
    });
}

/// A front proxy needs no authority of clients beside its own.
#[test]
fn a_front_proxy_is_asked_for_its_certificate_too() {
    world::sim::run(Config::default(), |sim| async move {
        let (cp, proxy) = (sim.host("cp"), sim.host("proxy"));
        let ca = authority(&cp, "front-proxy-ca");
        cp.disk().create_dir_all("/etc").unwrap();
        cp.disk().write("/etc/front-proxy-ca.crt", ca.certificate.to_pem(), 0o644).unwrap();
        let flags = [
            "--requestheader-client-ca-file=/etc/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
        ];
        let _plane = Plane::start(&sim, &flags).await;
        let ask = async |name: &str| {
            let identity = StaticIdentity::new(&issue(&ca, &proxy, name, 30 * DAY)).unwrap();
            let tls = ClientTls::new(&proxy, (1, 26)).insecure().identity(Arc::new(identity));
            let http = HttpClient::new(&proxy, "https://cp:6443", Some(tls)).unwrap();
            let request = http::Request::post(WHO)
                .header("content-type", "application/json")
                .header("x-remote-user", "jane");
            let response = http.send(request.body(body::full("{}".to_owned())).unwrap()).await.unwrap();
            let content = body::collect(response.into_body(), 1 << 20).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&content).unwrap();
            answer.str_at("/status/userInfo/username").to_owned()
        };
        assert_eq!(ask("front-proxy-client").await, "jane");
        assert_eq!(ask("somebody-else").await, "", "refused");
    })
    .unwrap();
}
