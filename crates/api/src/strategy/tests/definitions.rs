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
        |crd| {
            crd.set_at("/spec/versions/0/subresources", json!({"scale": {"specReplicasPath": ".status.replicas", "statusReplicasPath": ".status.replicas"}}))
        },
        &[
            "spec.subresources.scale.specReplicasPath: Invalid value: \".status.replicas\": should be a json path under .spec",
        ],
    );
    check(
        |crd| {
            crd.set_at(
                "/spec/versions/0/additionalPrinterColumns",
                json!([{"name": "A", "type": "text", "jsonPath": ".a"}, {"type": "string", "jsonPath": "a"}]),
            )
        },
        &[
            "spec.additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of integer,number,string,boolean,date",
            "spec.additionalPrinterColumns[1].name: Required value",
            "spec.additionalPrinterColumns[1].JSONPath: Invalid value: \"a\": must be a simple json path starting with .",
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

#[test]
fn a_path_for_scale_leads_to_its_side() {
    #[track_caller]
    fn check_scale(field: &str, path: &str, expected: &[&str]) {
        check(
            |crd| {
                let mut scale = json!({"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"});
                scale[field] = path.into();
                crd.set_at("/spec/versions/0/subresources", json!({"scale": scale}));
            },
            expected,
        );
    }
    check_scale("labelSelectorPath", ".status.selector", &[]);
    check_scale(
        "labelSelectorPath",
        ".other",
        &[
            "spec.subresources.scale.labelSelectorPath: Invalid value: \".other\": should be a json path under either .spec or .status",
        ],
    );
    check_scale("statusReplicasPath", "", &["spec.subresources.scale.statusReplicasPath: Required value"]);
    check_scale(
        "statusReplicasPath",
        "status.n",
        &[
            "spec.subresources.scale.statusReplicasPath: Invalid value: \"status.n\": must be a simple json path starting with .",
        ],
    );
}

#[test]
fn conversion() {
    #[track_caller]
    fn check_conversion(conversion: Value, expected: &[&str]) {
        check(|crd| crd.set_at("/spec/conversion", conversion), expected);
    }
    let webhook = |config: Value| json!({"strategy": "Webhook", "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1"]}});
    check_conversion(json!({"strategy": "None"}), &[]);
    check_conversion(webhook(json!({"url": "https://host:1/path"})), &[]);
    check_conversion(webhook(json!({"service": {"name": "a", "namespace": "b"}})), &[]);
    check_conversion(
        json!({"strategy": "Some"}),
        &["spec.conversion.strategy: Unsupported value: \"Some\": supported values: \"None\", \"Webhook\""],
    );
    check_conversion(
        json!({"strategy": "Webhook"}),
        &[
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
            "spec.conversion.conversionReviewVersions: Required value",
        ],
    );
    check_conversion(
        json!({"strategy": "Webhook", "webhook": {"clientConfig": {"url": "https://h"}, "conversionReviewVersions": ["v7", "v7"]}}),
        &[
            "spec.conversion.conversionReviewVersions[1]: Invalid value: \"v7\": duplicate version",
            "spec.conversion.conversionReviewVersions: Invalid value: [\"v7\",\"v7\"]: must include at least one of v1, v1beta1",
        ],
    );
    check_conversion(
        webhook(json!({})),
        &["spec.conversion.webhookClientConfig: Required value: exactly one of url or service is required"],
    );
    check_conversion(
        webhook(json!({"url": "http://user@host/a?b#c"})),
        &[
            "spec.conversion.webhookClientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[:port]/path",
            "spec.conversion.webhookClientConfig.url: Invalid value: \"user\": user information is not permitted in the URL",
            "spec.conversion.webhookClientConfig.url: Invalid value: \"c\": fragments are not permitted in the URL",
            "spec.conversion.webhookClientConfig.url: Invalid value: \"b\": query parameters are not permitted in the URL",
        ],
    );
    check_conversion(
        webhook(
            json!({"service": {"name": "", "namespace": "b", "path": "x", "port": 70000}, "caBundle": "eA=="}),
        ),
        &[
            "spec.conversion.webhookClientConfig.service.name: Required value: service name is required",
            "spec.conversion.webhookClientConfig.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive",
            "spec.conversion.webhookClientConfig.service.path: Invalid value: \"x\": must start with a '/'",
            "spec.conversion.webhookClientConfig.caBundle: Invalid value: \"eA==\": unable to load root certificates: unable to parse bytes as PEM block",
        ],
    );
}

#[test]
fn what_is_no_more_or_soon_no_more() {
    check(
        |crd| crd.set_at("/spec/preserveUnknownFields", true),
        &[
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ],
    );
    check(
        |crd| crd.set_at("/spec/versions/0/deprecationWarning", "soon"),
        &[
            "spec.versions[0].deprecationWarning: Invalid value: \"soon\": can only be set for deprecated versions",
        ],
    );
    check(
        |crd| {
            crd.set_at("/spec/versions/0/deprecated", true);
            crd.set_at("/spec/versions/0/deprecationWarning", "so\non");
        },
        &[
            "spec.versions[0].deprecationWarning: Invalid value: \"so\\non\": must only contain printable UTF-8 characters; non-printable character found at index 2",
        ],
    );
}
