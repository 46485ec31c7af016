//! Nobody grants what they do not hold.

use serde_json::{Value, json};

use super::{ask, binding, informers, now, rbac_only, role, user};
use crate::{
    authz::escalation::{check_binding, check_role},
    identity::User,
    policy::GROUP,
};

const GROUPS: [&str; 2] = ["dev", "system:authenticated"];

fn get(resource: &str) -> Value {
    json!([{"verbs": ["get"], "apiGroups": [""], "resources": [resource]}])
}

#[test]
fn a_role_holds_no_more_than_its_writer() {
    let informers = informers();
    informers.cluster_roles.put(role(
        "ClusterRole",
        "",
        "escalator",
        json!([
            {"verbs": ["escalate"], "apiGroups": [GROUP], "resources": ["clusterroles"]},
        ]),
    ));
    informers.cluster_role_bindings.put(binding("", "escalators", "ClusterRole", "escalator", user("root")));
    let authz = rbac_only(&informers);
    let check = |who: User, new: Value, old: Option<Value>, wanted: Result<(), &str>| {
        let request = ask(&who, "create clusterroles.rbac.authorization.k8s.io - r");
        let found = now(check_role(&authz, &request, &new, old.as_ref()));
        assert_eq!(
            found.as_ref().map_err(|s| s.message.as_str()),
            wanted.as_ref().map_err(|w| *w),
            "{}",
            who.name
        );
    };
    let new = |rules: Value| role("ClusterRole", "", "r", rules);
    let dev = || User::new("jane", &GROUPS);
    check(dev(), new(get("pods")), None, Ok(()));
    check(
        dev(),
        new(get("secrets")),
        None,
        Err(
            "clusterroles.rbac.authorization.k8s.io \"r\" is forbidden: user \"jane\" (groups=[\"dev\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}",
        ),
    );
    check(User::new("m", &["system:masters"]), new(get("secrets")), None, Ok(()));
    check(User::new("root", &[]), new(get("secrets")), None, Ok(()));
    // A right to escalate one role by its name is none to make it: a POST has no name.
    informers.cluster_roles.put(role(
        "ClusterRole",
        "",
        "r-escalator",
        json!([
            {"verbs": ["escalate"], "apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["r"]},
        ]),
    ));
    informers.cluster_role_bindings.put(binding(
        "",
        "r-escalators",
        "ClusterRole",
        "r-escalator",
        user("ed"),
    ));
    let ed = User::new("ed", &[]);
    for (question, allowed) in [("update", true), ("create", false)] {
        let name = if allowed { "r" } else { "-" };
        let question = format!("{question} clusterroles.rbac.authorization.k8s.io - {name}");
        let found = now(check_role(&authz, &ask(&ed, &question), &new(get("secrets")), None));
        assert_eq!(found.is_ok(), allowed, "{question}");
    }
    // Taking a finalizer away is no grant, whatever the rules are.
    let mut finalized = new(get("secrets"));
    finalized["metadata"]["finalizers"] = json!(["x"]);
    check(dev(), new(get("secrets")), Some(finalized.clone()), Ok(()));
    let mut changed = new(get("secrets"));
    changed["metadata"]["labels"] = json!({"a": "b"});
    assert!(
        now(check_role(
            &authz,
            &ask(&dev(), "update clusterroles.rbac.authorization.k8s.io - r"),
            &changed,
            Some(&finalized)
        ))
        .is_err()
    );

    let mut gathering = new(json!([]));
    gathering["aggregationRule"] = json!({"clusterRoleSelectors": [{}]});
    check(
        dev(),
        gathering,
        None,
        Err(
            r#"clusterroles.rbac.authorization.k8s.io "r" is forbidden: must have cluster-admin privileges to use the aggregationRule"#,
        ),
    );
}

#[test]
fn a_binding_grants_no_more_than_its_writer_holds() {
    let informers = informers();
    informers.cluster_roles.put(role("ClusterRole", "", "binder", json!([
        {"verbs": ["bind"], "apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["secret-reader"]},
    ])));
    informers.cluster_role_bindings.put(binding("", "binders", "ClusterRole", "binder", user("root")));
    let authz = rbac_only(&informers);
    let roles = [
        role("ClusterRole", "", "pod-reader", get("pods")),
        role("ClusterRole", "", "secret-reader", get("secrets")),
    ];
    let check = |who: User, name: &str, wanted: Result<(), (u16, &str)>| {
        let request = ask(&who, "create clusterrolebindings.rbac.authorization.k8s.io - b");
        let new = binding("", "b", "ClusterRole", name, user("x"));
        let held = roles.iter().find(|r| r["metadata"]["name"] == name);
        let found = now(check_binding(&authz, &request, &new, None, held));
        assert_eq!(
            found.as_ref().map_err(|s| (s.code, s.message.as_str())),
            wanted.as_ref().map_err(|w| *w),
            "{} {name}",
            who.name
        );
    };
    let dev = || User::new("jane", &["dev"]);
    check(dev(), "pod-reader", Ok(()));
    check(
        dev(),
        "secret-reader",
        Err((
            403,
            "clusterrolebindings.rbac.authorization.k8s.io \"b\" is forbidden: user \"jane\" (groups=[\"dev\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}",
        )),
    );
    check(User::new("root", &[]), "secret-reader", Ok(()));
    check(User::new("m", &["system:masters"]), "secret-reader", Ok(()));
    check(dev(), "gone", Err((404, r#"clusterroles.rbac.authorization.k8s.io "gone" not found"#)));
}
