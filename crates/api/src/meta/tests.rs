//! Metadata rules, one table per function.

use serde_json::{Value, json};

use super::*;
use crate::{
    kinds::{self, Propagation},
    object::ObjectExt,
    status::FieldError,
};

fn rules(group: &str, plural: &str) -> Rules {
    kinds::preferred(group, plural).unwrap().into()
}

fn sentences(errors: Vec<FieldError>) -> Vec<String> {
    errors.iter().map(FieldError::to_string).collect()
}

fn now() -> jiff::Timestamp {
    "2026-01-02T15:04:05.678Z".parse().unwrap()
}

#[track_caller]
fn check_create(rules: Rules, metadata: Value, expected: &[&str]) {
    assert_eq!(sentences(validate_create(&json!({ "metadata": metadata }), &rules)), expected);
}

#[test]
fn names_and_namespaces() {
    let (pods, nodes) = (rules("", "pods"), rules("", "nodes"));
    let roles = rules("rbac.authorization.k8s.io", "clusterroles");
    check_create(pods, json!({"name": "a.b-1", "namespace": "x"}), &[]);
    check_create(
        pods,
        json!({"namespace": "x"}),
        &["metadata.name: Required value: name or generateName is required"],
    );
    check_create(
        nodes,
        json!({"name": "a", "namespace": "x"}),
        &["metadata.namespace: Forbidden: not allowed on this type"],
    );
    check_create(pods, json!({"name": "a"}), &["metadata.namespace: Required value"]);
    check_create(pods, json!({"name": "web-x", "generateName": "web-", "namespace": "x"}), &[]);
    check_create(roles, json!({"name": "system:node"}), &[]);
    check_create(
        roles,
        json!({"name": "a/b%"}),
        &[
            r#"metadata.name: Invalid value: "a/b%": may not contain '/'"#,
            r#"metadata.name: Invalid value: "a/b%": may not contain '%'"#,
        ],
    );
    check_create(
        pods,
        json!({"name": "A", "namespace": "x"}),
        &[
            r#"metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#,
        ],
    );
    check_create(
        rules("", "services"),
        json!({"name": "1a", "namespace": "x"}),
        &[
            r#"metadata.name: Invalid value: "1a": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"#,
        ],
    );
    check_create(
        rules("", "namespaces"),
        json!({"name": "a.b"}),
        &[r#"metadata.name: Invalid value: "a.b": must not contain dots"#],
    );
    check_create(
        rules("networking.k8s.io", "ipaddresses"),
        json!({"name": "2001:DB8::1"}),
        &[r#"metadata.name: Invalid value: "2001:DB8::1": must be in canonical form ("2001:db8::1")"#],
    );
}

#[test]
fn labels_annotations_owners_finalizers() {
    let pods = rules("", "pods");
    let with = |field: &str, value: Value| json!({"name": "a", "namespace": "x", field: value});
    check_create(pods, with("labels", json!({"a/b": "c", "d": ""})), &[]);
    check_create(
        pods,
        with("labels", json!({"a/": "c"})),
        &[
            r#"metadata.labels: Invalid value: "a/": name part must be non-empty"#,
            r#"metadata.labels: Invalid value: "a/": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"#,
        ],
    );
    let long = "x".repeat(64);
    check_create(
        pods,
        with("labels", json!({"a": long})),
        &[&format!(r#"metadata.labels: Invalid value: "{long}": must be no more than 63 bytes"#)],
    );
    check_create(pods, with("annotations", json!({"Example.com/a": "any text at all\n"})), &[]);
    check_create(
        pods,
        with("annotations", json!({"a": "x".repeat(256 * 1024)})),
        &["metadata.annotations: Too long: may not be more than 262144 bytes"],
    );
    check_create(pods, with("finalizers", json!(["orphan", "example.com/guard"])), &[]);
    check_create(
        pods,
        with("finalizers", json!(["guard"])),
        &[
            r#"metadata.finalizers[0]: Invalid value: "guard": name is neither a standard finalizer name nor is it fully qualified"#,
        ],
    );
    check_create(Rules::custom(true), with("finalizers", json!(["guard"])), &[]);
    check_create(
        pods,
        with("finalizers", json!(["orphan", "foregroundDeletion"])),
        &[
            r#"metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set"#,
        ],
    );
    check_create(
        pods,
        with("ownerReferences", json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r"}])),
        &[r#"metadata.ownerReferences.uid: Invalid value: "": must not be empty"#],
    );
    let owner =
        |name: &str| json!({"apiVersion": "v1", "kind": "K", "name": name, "uid": "u", "controller": true});
    let errors = validate_create(
        &json!({"metadata": with("ownerReferences", json!([owner("a"), owner("b")]))}),
        &pods,
    );
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].detail,
        r#"Only one reference can have Controller set to true. Found "true" in references for K/a and K/b"#
    );
    let event = json!([{"apiVersion": "v1", "kind": "Event", "name": "e", "uid": "u"}]);
    check_create(
        pods,
        with("ownerReferences", event),
        &[
            r#"metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"e","uid":"u"}: /v1, Kind=Event is disallowed from being an owner"#,
        ],
    );
}

#[test]
fn updates() {
    let old = json!({"metadata": {"name": "a", "namespace": "x", "uid": "u", "resourceVersion": "5",
        "finalizers": ["orphan"], "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let mut new = old.clone();
    assert_eq!(sentences(validate_update(&new, &old, &rules("", "pods"))), [""; 0]);
    new["metadata"]["name"] = json!("b");
    new["metadata"]["finalizers"] = json!(["orphan", "example.com/b", "example.com/a"]);
    new["metadata"]["resourceVersion"] = json!("");
    assert_eq!(
        sentences(validate_update(&new, &old, &rules("", "pods"))),
        [
            r#"metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/a", "example.com/b"}"#,
            r#"metadata.resourceVersion: Invalid value: "": must be specified for an update"#,
            r#"metadata.name: Invalid value: "b": field is immutable"#,
        ]
    );
}

#[test]
fn body_and_url_agree() {
    let (pods, nodes) = (rules("", "pods"), rules("", "nodes"));
    let filled = |given: Value, rules: &Rules, url: &str| {
        let mut object = json!({ "metadata": given });
        fill_namespace(&mut object, rules, url).map(|()| object.namespace().to_owned()).map_err(|s| s.message)
    };
    let refused = "the namespace of the provided object does not match the namespace sent on the request";
    assert_eq!(filled(json!({}), &pods, "x"), Ok("x".into()));
    assert_eq!(filled(json!({"namespace": "x"}), &pods, "x"), Ok("x".into()));
    assert_eq!(filled(json!({"namespace": "y"}), &pods, "x"), Err(refused.into()));
    assert_eq!(filled(json!({"namespace": "y"}), &nodes, ""), Ok("".into()));

    let named = |name: &str| check_name(&json!({"metadata": {"name": name}}), "a").map_err(|s| s.message);
    assert_eq!(named("a"), Ok(()));
    assert_eq!(named("b"), Err("the name of the object (b) does not match the name on the URL (a)".into()));
    assert_eq!(
        named(""),
        Err("the name of the object (a based on URL) was undeterminable: name must be provided".into())
    );
    let error = refuse_version(&json!({"metadata": {"resourceVersion": "3"}})).unwrap_err();
    assert_eq!((error.code, error.reason.as_str()), (500, ""));
}

#[test]
fn the_servers_own_fields() {
    let mut object = json!({"metadata": {"name": "a", "uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z",
        "deletionTimestamp": "2000-01-01T00:00:00Z", "deletionGracePeriodSeconds": 3, "generation": 9, "selfLink": "/x"}});
    prepare_create(&mut object, &rules("apps", "deployments"), "u", now());
    assert_eq!(
        object,
        json!({"metadata": {"name": "a", "uid": "u", "creationTimestamp": "2026-01-02T15:04:05Z", "generation": 1}})
    );

    let mut old = object.clone();
    old.set_resource_version("5");
    let mut new = json!({"metadata": {"name": "a", "generation": 7, "creationTimestamp": null, "deletionTimestamp": "x"}});
    prepare_update(&mut new, &old);
    assert_eq!(new, old);
}

#[test]
fn versions_and_uids() {
    let old = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "5"}});
    let check = |version: &str, rules: &Rules| {
        let new = json!({"metadata": {"name": "a", "resourceVersion": version}});
        check_version(&new, &old, rules, "leases.coordination.k8s.io", "Lease.coordination.k8s.io")
            .map_err(|s| (s.code, s.message))
    };
    let (pods, leases) = (rules("", "pods"), rules("coordination.k8s.io", "leases"));
    assert_eq!((check("5", &leases), check("", &pods)), (Ok(()), Ok(())));
    assert_eq!(
        check("", &leases).unwrap_err(),
        (
            422,
            r#"Lease.coordination.k8s.io "a" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"#
                .into()
        )
    );
    assert_eq!(
        check("4", &pods).unwrap_err(),
        (
            409,
            r#"Operation cannot be fulfilled on leases.coordination.k8s.io "a": the object has been modified; please apply your changes to the latest version and try again"#
                .into()
        )
    );
    let error =
        check_uid(&json!({"metadata": {"uid": "v"}}), &old, "pods", "/registry/pods/x/a").unwrap_err();
    assert_eq!(
        error.message,
        r#"Operation cannot be fulfilled on pods "a": StorageError: invalid object, Code: 4, Key: /registry/pods/x/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: v, UID in object meta: u"#
    );
}

#[test]
fn generation_counts_what_matters() {
    let deployment = kinds::preferred("apps", "deployments");
    let set = kinds::preferred("apps", "replicasets");
    let old = json!({"metadata": {"generation": 2, "labels": {"a": "b"}}, "spec": {"replicas": 1}, "status": {"x": 1}});
    for (kind, change, counted) in [
        (set, json!({"spec": {"replicas": 2}}), true),
        (set, json!({"spec": {"replicas": 1, "paused": null, "selector": {}}}), false),
        (set, json!({"status": {"x": 2}}), false),
        (set, json!({"metadata": {"labels": {"a": "c"}}}), false),
        (set, json!({"metadata": {"annotations": {"a": "c"}}}), false),
        (deployment, json!({"metadata": {"annotations": {"a": "c"}}}), true),
        (None, json!({"data": {"a": "c"}}), true),
    ] {
        let mut new = old.clone();
        for (key, value) in change.as_object().unwrap() {
            new[key] = value.clone();
        }
        count_generation(&mut new, &old, kind);
        assert_eq!(new.generation(), if counted { 3 } else { 2 }, "{change}");
    }
}

#[test]
fn deletion() {
    let mut object = json!({"metadata": {"generation": 4}});
    mark_deleted(&mut object, now(), 30);
    let metadata = |end: &str, grace: i64| json!({"metadata": {"generation": 5, "deletionTimestamp": end, "deletionGracePeriodSeconds": grace}});
    assert_eq!(object, metadata("2026-01-02T15:04:35Z", 30));
    let later = "2026-01-02T15:04:10Z".parse().unwrap();
    mark_deleted(&mut object, later, 60);
    assert_eq!(object, metadata("2026-01-02T15:04:35Z", 30), "grace is never lengthened");
    mark_deleted(&mut object, later, 10);
    assert_eq!(
        object,
        metadata("2026-01-02T15:04:15Z", 10),
        "shortened grace counts from the first deletion"
    );
    assert!(!only_waits_for_finalizers(&object));
    mark_deleted(&mut object, later, 0);
    assert!(only_waits_for_finalizers(&object));
}

#[test]
fn propagation() {
    use Propagation::*;
    let plain = json!({});
    let orphan = json!({"metadata": {"finalizers": ["orphan"]}});
    for (object, policy, default, expected) in [
        (&plain, "", Background, None),
        (&plain, "", Orphan, Some(ORPHAN)),
        (&plain, "Background", Orphan, None),
        (&plain, "Foreground", Background, Some(FOREGROUND)),
        (&plain, "Foreground", Unsupported, None),
        (&orphan, "", Background, Some(ORPHAN)),
        (&orphan, "Background", Background, None),
    ] {
        assert_eq!(gc_finalizer(object, policy, default), expected, "{object} {policy} {default:?}");
    }
    let mut object = orphan.clone();
    assert!(set_gc_finalizers(&mut object, Some(FOREGROUND)));
    assert_eq!(object.finalizers().collect::<Vec<_>>(), [FOREGROUND]);
    assert!(!set_gc_finalizers(&mut object, Some(FOREGROUND)));
    assert!(set_gc_finalizers(&mut object, None));
}

#[test]
fn types() {
    let check = |metadata: Value| {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata});
        check_types(&object).map_err(|s| s.message)
    };
    assert_eq!(check(json!(null)), Ok(()));
    assert_eq!(
        check(json!({"name": "a", "labels": {"a": "b"}, "creationTimestamp": null, "generation": 3,
            "ownerReferences": [{"controller": true}], "finalizers": ["a"], "managedFields": [{}]})),
        Ok(())
    );
    let prefix = r#"Deployment in version "v1" cannot be handled as a Deployment: "#;
    for (metadata, why) in [
        (
            json!({"name": 1}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string",
        ),
        (
            json!({"labels": {"a": 1}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            json!({"labels": []}),
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            json!({"generation": 1.5}),
            "json: cannot unmarshal number 1.5 into Go struct field ObjectMeta.metadata.generation of type int64",
        ),
        (
            json!({"finalizers": "a"}),
            "json: cannot unmarshal string into Go struct field ObjectMeta.metadata.finalizers of type []string",
        ),
        (
            json!({"ownerReferences": [{"controller": "yes"}]}),
            "json: cannot unmarshal string into Go struct field ObjectMeta.metadata.ownerReferences.controller of type bool",
        ),
        (
            json!({"creationTimestamp": "soon"}),
            r#"parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006""#,
        ),
        (json!("text"), "json: cannot unmarshal string into Go struct field metadata of type v1.ObjectMeta"),
    ] {
        assert_eq!(check(metadata), Err(format!("{prefix}{why}")));
    }
}
