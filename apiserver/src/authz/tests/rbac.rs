//! Subjects, scopes, reasons, and that the index follows its informers.

use serde_json::json;

use super::{ask, binding, informers, now, rbac_only, user};
use crate::{authz::Attributes, identity::User};

#[test]
fn who_holds_what_where() {
    let authz = rbac_only(&informers());
    let check = |who: User, question: &str, allowed: bool, reason: &str| {
        let verdict = now(authz.authorize(&ask(&who, question)));
        assert_eq!((verdict.is_allowed(), &*verdict.reason), (allowed, reason), "{} {question}", who.name);
    };
    let dev = || User::new("anybody", &["dev"]);
    let by_group =
        r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "pod-reader" to Group "dev""#;
    check(dev(), "get pods ns p", true, by_group);
    check(dev(), "get pods other p", true, by_group);
    check(dev(), "list pods ns", false, "");
    check(User::new("dev", &[]), "get pods ns p", false, "");

    let robot = User::service_account("ns", "robot", "u");
    let by_account = r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "pod-reader" to ServiceAccount "robot/ns""#;
    check(robot, "get pods other p", true, by_account);
    check(User::service_account("other", "robot", "u"), "get pods ns p", false, "");

    let jane = || User::new("jane", &[]);
    let locally = r#"RBAC: allowed by RoleBinding "local/ns" of Role "local-reader" to User "jane""#;
    check(jane(), "get pods ns p", true, locally);
    check(jane(), "get pods other p", false, "");
    check(jane(), "get pods - p", false, "");

    // A service account without a namespace is one of the binding's namespace.
    let worker = || User::service_account("ns", "worker", "u");
    let as_worker = r#"RBAC: allowed by RoleBinding "of-cluster-role/ns" of ClusterRole "pod-reader" to ServiceAccount "worker/ns""#;
    check(worker(), "get pods ns p", true, as_worker);
    check(worker(), "get pods other p", false, "");
}

#[test]
fn a_binding_to_no_role_is_told_and_does_not_stop_others() {
    let informers = informers();
    let authz = rbac_only(&informers);
    let joe = User::new("joe", &[]);
    let verdict = now(authz.authorize(&ask(&joe, "get pods ns p")));
    assert_eq!(
        &*verdict.reason,
        r#"RBAC: [clusterrole.rbac.authorization.k8s.io "gone" not found, role.rbac.authorization.k8s.io "gone" not found]"#
    );
    let verdict = now(authz.authorize(&ask(&joe, "get pods other p")));
    assert_eq!(&*verdict.reason, r#"RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#);
    informers.role_bindings.put(binding("ns", "more", "Role", "local-reader", user("joe")));
    assert!(now(authz.authorize(&ask(&joe, "get pods ns p"))).is_allowed());
}

#[test]
fn paths_are_rules_too() {
    let authz = rbac_only(&informers());
    let check = |name: &str, path: &str, allowed: bool| {
        let who = User::new(name, &[]);
        let request = Attributes { verb: "get", path, ..Attributes::of(&who) };
        assert_eq!(now(authz.authorize(&request)).is_allowed(), allowed, "{name} {path}");
    };
    check("prometheus", "/metrics", true);
    check("prometheus", "/metrics/slis", false);
    check("jane", "/metrics", false);
}

#[test]
fn the_index_follows_the_informers() {
    let informers = informers();
    let authz = rbac_only(&informers);
    let jane = User::new("jane", &[]);
    let may = |question: &str| now(authz.authorize(&ask(&jane, question))).is_allowed();
    assert!(!may("get pods other p"));
    informers.cluster_role_bindings.put(binding("", "new", "ClusterRole", "pod-reader", user("jane")));
    assert!(may("get pods other p"));
    informers.cluster_role_bindings.remove(None, "new");
    assert!(!may("get pods other p"));
    let mut role = informers.roles.get("ns", "local-reader").unwrap().as_ref().clone();
    role["rules"][0]["verbs"] = json!(["get", "delete"]);
    assert!(!may("delete pods ns p"));
    informers.roles.put(role);
    assert!(may("delete pods ns p"));
    informers.roles.remove("ns", "local-reader");
    assert!(!may("get pods ns p"));
}
