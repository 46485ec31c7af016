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

#[test]
fn a_review_is_no_object() {
    let check = |metadata: Value, allowed: bool| {
        let mut review =
            asking(json!({"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods"}}));
        review["metadata"] = metadata.clone();
        let found = now(review::subject_access(&authz(), &mut review)).map_err(|s| s.message);
        let wanted = if allowed { None } else { Some(": must be empty") };
        assert_eq!(found.is_ok(), allowed, "{metadata}: {found:?}");
        assert!(wanted.is_none_or(|wanted| found.unwrap_err().ends_with(wanted)), "{metadata}");
    };
    check(json!({}), true);
    check(json!({"creationTimestamp": null, "name": "", "labels": {}}), true);
    check(json!({"managedFields": [{"manager": "m"}]}), true);
    check(json!({"name": "x"}), false);
    check(json!({"labels": {"a": "b"}}), false);
}

#[test]
fn selectors_are_validated_and_what_cannot_be_read_only_asks_for_more() {
    let at = "spec.resourceAttributes";
    let check = |selector: &str, value: Value, wanted: Result<Option<&str>, &str>| {
        let mut spec = json!({"user": "system:node:n1", "groups": ["system:nodes"], "resourceAttributes": {"verb": "list", "resource": "pods"}});
        spec["resourceAttributes"][selector] = value.clone();
        let mut review = asking(spec);
        let found = now(review::subject_access(&authz(), &mut review));
        let found = found.map(|()| review["status"]["evaluationError"].as_str()).map_err(|s| s.message);
        let wanted = wanted.map_err(|why| {
            format!("SubjectAccessReview.authorization.k8s.io \"\" is invalid: {at}.{selector}.{why}")
        });
        assert_eq!(found, wanted, "{selector} {value}");
    };
    let one = |requirement: Value| json!({"requirements": [requirement]});
    for selector in ["fieldSelector", "labelSelector"] {
        check(selector, json!({"rawSelector": "a=b"}), Ok(None));
        check(selector, one(json!({"key": "a", "operator": "In", "values": ["b"]})), Ok(None));
        check(
            selector,
            json!({"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "In", "values": ["b"]}]}),
            Err(r#"rawSelector: Invalid value: "a=b": may not specified at the same time as requirements"#),
        );
        let neither = format!(
            "requirements: Required value: when {at}.{selector} is specified, requirements or rawSelector is required"
        );
        check(selector, json!({}), Err(&neither));
        check(
            selector,
            one(json!({"key": "a", "operator": "In"})),
            Err(
                "requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ),
        );
        check(
            selector,
            one(json!({"key": "a", "operator": "Exists", "values": ["b"]})),
            Err(
                "requirements[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
        );
        let ignored = format!("{at}.{selector} ignored due to parse error");
        check(selector, json!({"rawSelector": "a b"}), Ok(Some(&ignored)));
        check(selector, one(json!({"key": "a", "operator": "Like", "values": ["b"]})), Ok(Some(&ignored)));
        let part = format!("{at}.{selector} partially ignored due to parse error");
        let half = json!({"requirements": [{"key": "a", "operator": "In", "values": ["b"]}, {"key": "a", "operator": "Like"}]});
        check(selector, half, Ok(Some(&part)));
    }
    check(
        "fieldSelector",
        one(json!({"operator": "In", "values": ["b"]})),
        Err("requirements[0].key: Required value: must be specified"),
    );
    let several = "spec.resourceAttributes.fieldSelector ignored due to parse error";
    check(
        "fieldSelector",
        one(json!({"key": "a", "operator": "In", "values": ["b", "c"]})),
        Ok(Some(several)),
    );
    check("labelSelector", one(json!({"key": "a", "operator": "In", "values": ["b", "c"]})), Ok(None));
    check(
        "labelSelector",
        one(json!({"key": "a", "operator": "In", "values": ["-"]})),
        Err(
            r#"requirements[0].values[0]: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#,
        ),
    );
}

#[test]
fn a_value_in_a_selector_is_one_value() {
    let mut review = asking(
        json!({"user": "system:node:n1", "groups": ["system:nodes"], "resourceAttributes": {
            "verb": "list", "resource": "pods",
            "fieldSelector": {"requirements": [{"key": "status.phase", "operator": "In", "values": ["x,spec.nodeName=n1"]}]},
        }}),
    );
    now(review::subject_access(&authz(), &mut review)).unwrap();
    assert_eq!(review["status"]["allowed"], false);
}
