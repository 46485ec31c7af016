//! Custom resource definitions.

use super::*;

const CRD: &str = "CustomResourceDefinition.apiextensions.k8s.io";

fn version(name: &str, storage: bool) -> Value {
    json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object"}}})
}

fn crd() -> Value {
    json!({"metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"}, "versions": [version("v1", true)]}})
}

#[track_caller]
fn check(change: impl FnOnce(&mut Value), expected: &[&str]) {
    let mut definition = crd();
    change(&mut definition);
    check_create(CRD, definition, expected);
}

#[test]
fn defaults() {
    let made = created(CRD, crd());
    assert_eq!(
        made["spec"]["names"],
        json!({"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"})
    );
    assert_eq!(made["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(made["status"], json!({"storedVersions": ["v1"]}));
    let mut nullable = crd();
    nullable.set_at("/spec/versions/0/schema/openAPIV3Schema/default", json!({"a": null}));
    assert_eq!(
        defaulted(CRD, nullable)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["default"],
        json!({"a": null})
    );
}

#[test]
fn rules() {
    check(|_| {}, &[]);
    check(
        |crd| crd.set_name("widget.example.com"),
        &["metadata.name: Invalid value: \"widget.example.com\": must be spec.names.plural+\".\"+spec.group"],
    );
    check(|crd| crd.set_at("/spec/scope", ""), &["spec.scope: Required value"]);
    check(
        |crd| crd.set_at("/spec/scope", "Galaxy"),
        &["spec.scope: Unsupported value: \"Galaxy\": supported values: \"Cluster\", \"Namespaced\""],
    );
    check(
        |crd| {
            crd.set_at("/spec/group", "example");
            crd.set_name("widgets.example");
        },
        &["spec.group: Invalid value: \"example\": should be a domain with at least one dot"],
    );
    check(
        |crd| crd.set_at("/spec/names/listKind", "Widget"),
        &["spec.names.listKind: Invalid value: \"Widget\": kind and listKind may not be the same"],
    );
    check(
        |crd| crd.set_at("/spec/names/kind", "Wid get"),
        &[
            "spec.names.singular: Invalid value: \"wid get\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            "spec.names.kind: Invalid value: \"Wid get\": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            "spec.names.listKind: Invalid value: \"Wid getList\": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        ],
    );
    check(
        |crd| {
            crd.set_at("/spec/group", "apps.k8s.io");
            crd.set_name("widgets.apps.k8s.io");
        },
        &[
            "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111",
        ],
    );
}

#[test]
fn versions() {
    check(
        |crd| crd.set_at("/spec/versions", json!([version("v1", true), version("v1", true)])),
        &[
            "spec.versions: Invalid value: [{\"name\":\"v1\",\"served\":true,\"storage\":true},{\"name\":\"v1\",\"served\":true,\"storage\":true}]: must contain unique version names",
            "spec.versions: Invalid value: [{\"name\":\"v1\",\"served\":true,\"storage\":true},{\"name\":\"v1\",\"served\":true,\"storage\":true}]: must have exactly one version marked as storage version",
        ],
    );
    check(
        |crd| crd.set_at("/spec/versions", json!([])),
        &["spec.versions: Invalid value: []: must have exactly one version marked as storage version"],
    );
    check(
        |crd| {
            crd.remove_at("/spec/versions/0/schema");
        },
        &["spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"],
    );
    check(
        |crd| crd.set_at("/spec/versions/0/schema/openAPIV3Schema/type", "string"),
        &[
            "spec.versions[0].schema.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root",
        ],
    );
    check(
        |crd| {
            crd.set_at("/spec/versions/0/subresources", json!({"scale": {"specReplicasPath": ".status.replicas", "statusReplicasPath": ".status.replicas"}}))
        },
        &[
            "spec.versions[0].subresources.scale.specReplicasPath: Invalid value: \".status.replicas\": should be a json path under .spec",
        ],
    );
    check(
        |crd| {
            crd.set_at("/spec/versions/0/additionalPrinterColumns", json!([{"name": "A", "type": "text", "jsonPath": ".a"}, {"type": "string", "jsonPath": "..a"}]))
        },
        &[
            "spec.versions[0].additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of integer,number,string,boolean,date",
            "spec.versions[0].additionalPrinterColumns[1].name: Required value",
            "spec.versions[0].additionalPrinterColumns[1].JSONPath: Invalid value: \"..a\": is an invalid path: ..a: recursive descent is not supported at character 1",
        ],
    );
}

#[test]
fn a_new_storage_version_is_remembered() {
    let old = created(CRD, crd());
    let mut new = old.clone();
    new.set_at("/spec/versions", json!([version("v1", false), version("v2", true)]));
    let (new, errors) = updated(CRD, &old, new, "");
    assert_eq!((&new["status"]["storedVersions"], errors), (&json!(["v1", "v2"]), vec![]));

    let mut without = new.clone();
    without.set_at("/spec/versions", json!([version("v2", true)]));
    assert_eq!(
        updated(CRD, &new, without, "").1,
        ["status.storedVersions[0]: Invalid value: \"v1\": must appear in spec.versions"]
    );

    let mut migrated = new.clone();
    migrated.set_at("/status/storedVersions", json!(["v2"]));
    assert_eq!(updated(CRD, &new, migrated, "status").1, Vec::<String>::new());
}

#[test]
fn what_the_keys_in_the_store_depend_on_stays() {
    let mut old = created(CRD, crd());
    let mut new = old.clone();
    new.set_at("/spec/scope", "Cluster");
    assert_eq!(
        updated(CRD, &old, new.clone(), "").1,
        Vec::<String>::new(),
        "before it is established nothing is stored"
    );
    old.set_at("/status/conditions", json!([{"type": "Established", "status": "True"}]));
    assert_eq!(updated(CRD, &old, new, "").1, ["spec.scope: Invalid value: \"Cluster\": field is immutable"]);
}
