//! The review kinds: what is asked, what is answered, what is refused.

use serde_json::{Value, json};

use super::{informers, now};
use crate::{
    authz::{Authz, Mode, review},
    identity::User,
};

fn authz() -> Authz {
    super::authz(&[Mode::Node, Mode::Rbac], &informers())
}

fn asking(spec: Value) -> Value {
    json!({"apiVersion": "authorization.k8s.io/v1", "metadata": {}, "spec": spec})
}

#[test]
fn a_subject_access_review_is_about_anybody() {
    let check = |spec: Value, wanted: Result<Value, &str>| {
        let mut review = asking(spec.clone());
        let found = now(review::subject_access(&authz(), &mut review));
        let found = found.map(|()| review["status"].clone()).map_err(|s| s.message);
        assert_eq!(found, wanted.map_err(str::to_owned), "{spec}");
    };
    let pods = json!({"verb": "get", "resource": "pods", "namespace": "ns", "name": "p"});
    check(
        json!({"user": "x", "groups": ["dev"], "resourceAttributes": pods}),
        Ok(
            json!({"allowed": true, "reason": r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "pod-reader" to Group "dev""#}),
        ),
    );
    check(json!({"user": "x", "resourceAttributes": pods}), Ok(json!({"allowed": false})));
    check(
        json!({"user": "prometheus", "nonResourceAttributes": {"verb": "get", "path": "/metrics"}}),
        Ok(
            json!({"allowed": true, "reason": r#"RBAC: allowed by ClusterRoleBinding "scrapers" of ClusterRole "metrics" to User "prometheus""#}),
        ),
    );
    check(
        json!({"user": "system:node:n1", "groups": ["system:nodes"], "resourceAttributes": {
            "verb": "list", "resource": "pods",
            "fieldSelector": {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]},
        }}),
        Ok(json!({"allowed": true})),
    );
    check(
        json!({"resourceAttributes": pods}),
        Err(
            r#"SubjectAccessReview.authorization.k8s.io "" is invalid: spec.user: Invalid value: "": at least one of user or group must be specified"#,
        ),
    );
    check(
        json!({"user": "x"}),
        Err(
            r#"SubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: "null": exactly one of nonResourceAttributes or resourceAttributes must be specified"#,
        ),
    );
}

#[test]
fn a_self_review_is_about_who_asks() {
    let mut review =
        asking(json!({"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "ns"}}));
    now(review::self_subject_access(&authz(), &User::new("jane", &[]), &mut review)).unwrap();
    assert_eq!(review["status"]["allowed"], true);
    now(review::self_subject_access(&authz(), &User::new("bob", &[]), &mut review)).unwrap();
    assert_eq!(review["status"], json!({"allowed": false}));
}

#[test]
fn a_local_review_stays_in_its_namespace() {
    let check = |spec: Value, metadata: Value, code: Option<u16>| {
        let mut review = asking(spec);
        review["metadata"] = metadata;
        let found = now(review::local_subject_access(&authz(), "ns", &mut review));
        assert_eq!(found.err().map(|s| s.code), code, "{review}");
    };
    let in_ns = |ns: &str| json!({"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": ns}});
    check(in_ns("ns"), json!({"namespace": "ns"}), None);
    check(in_ns("other"), json!({"namespace": "ns"}), Some(422));
    check(in_ns("other"), json!({}), Some(400));
    check(
        json!({"user": "jane", "nonResourceAttributes": {"verb": "get", "path": "/"}}),
        json!({}),
        Some(422),
    );
}

#[test]
fn rules_are_listed() {
    let mut review = asking(json!({"namespace": "ns"}));
    review::self_subject_rules(&authz(), &User::new("jane", &["dev"]), &mut review).unwrap();
    let pods = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
    assert_eq!(
        review["status"],
        json!({"resourceRules": [pods, pods], "nonResourceRules": [], "incomplete": false})
    );

    review::self_subject_rules(&authz(), &User::new("system:node:n1", &["system:nodes"]), &mut review)
        .unwrap();
    assert_eq!(review["status"]["incomplete"], true);
    assert_eq!(review["status"]["evaluationError"], "node authorizer does not support user rule resolution");

    let refused = review::self_subject_rules(&authz(), &User::new("jane", &[]), &mut asking(json!({})));
    assert_eq!(refused.unwrap_err().message, "no namespace on request");
}

#[test]
fn who_am_i() {
    let mut review = json!({});
    review::self_subject(&User::service_account("ns", "robot", "7"), &mut review);
    assert_eq!(
        review["status"]["userInfo"],
        json!({"username": "system:serviceaccount:ns:robot", "uid": "7", "groups": ["system:serviceaccounts", "system:serviceaccounts:ns"]})
    );
}
