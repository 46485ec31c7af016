//! Admission policies and their bindings, runtime classes, revisions.

use super::*;

const POLICY: &str = "ValidatingAdmissionPolicy.admissionregistration.k8s.io";
const MUTATING: &str = "MutatingAdmissionPolicy.admissionregistration.k8s.io";
const BINDING: &str = "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io";

fn constraints() -> Value {
    json!({"resourceRules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]})
}

#[test]
fn validating_policies() {
    let good = json!({"spec": {"matchConstraints": constraints(), "validations": [{"expression": "true"}]}});
    let made = created(POLICY, good.clone());
    assert_eq!(
        (
            made.str_at("/spec/failurePolicy"),
            made.str_at("/spec/matchConstraints/matchPolicy"),
            made.str_at("/spec/matchConstraints/resourceRules/0/scope")
        ),
        ("Fail", "Equivalent", "*")
    );
    check_create(POLICY, good, &[]);
    check_create(
        POLICY,
        json!({"spec": {"paramKind": {"kind": "Bad_Kind"}}}),
        &[
            "spec.paramKind.apiVersion: Required value",
            "spec.paramKind.kind: Invalid value: \"Bad_Kind\": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            "spec.matchConstraints: Required value",
            "spec.validations: Required value: validations or auditAnnotations must be non-empty",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must be non-empty",
        ],
    );
    check_create(
        POLICY,
        json!({"spec": {"matchConstraints": {}, "variables": [{"name": "in"}],
            "validations": [{"expression": " "}, {"expression": "a\n&& b"}, {"expression": "a", "message": "a\nb", "reason": "Because"}]}}),
        &[
            "spec.matchConstraints.resourceRules: Required value",
            "spec.variables[0].name: Invalid value: \"in\": name is not a valid CEL identifier",
            "spec.variables[0].expression: Required value: expression is not specified",
            "spec.validations[0].expression: Required value: expression is not specified",
            "spec.validations[1].message: Required value: message must be specified if expression contains line breaks",
            "spec.validations[2].message: Invalid value: \"a\\nb\": message must not contain line breaks",
            "spec.validations[2].reason: Unsupported value: \"Because\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\", \"Unauthorized\"",
        ],
    );
}

#[test]
fn mutating_policies() {
    let policy = |mutations: Value| json!({"spec": {"matchConstraints": constraints(), "mutations": mutations, "reinvocationPolicy": "Never"}});
    check_create(
        MUTATING,
        policy(json!([{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}])),
        &[],
    );
    check_create(
        MUTATING,
        policy(json!([{}, {"patchType": "ApplyConfiguration"}, {"patchType": "Merge"}])),
        &[
            "spec.mutations[0].patchType: Required value",
            "spec.mutations[1].applyConfiguration: Required value",
            "spec.mutations[2].patchType: Unsupported value: \"Merge\": supported values: \"ApplyConfiguration\", \"JSONPatch\"",
        ],
    );
}

#[test]
fn bindings() {
    check_create(BINDING, json!({"spec": {"policyName": "p", "validationActions": ["Deny"]}}), &[]);
    check_create(
        BINDING,
        json!({"spec": {"validationActions": ["Deny", "Warn", "Deny", "Cry"], "paramRef": {}}}),
        &[
            "spec.policyName: Required value",
            "spec.paramRef: Required value: one of name or selector must be specified",
            "spec.paramRef.parameterNotFoundAction: Required value",
            "spec.validationActions[2]: Duplicate value: \"Deny\"",
            "spec.validationActions[3]: Unsupported value: \"Cry\": supported values: \"Audit\", \"Deny\", \"Warn\"",
            "spec.validationActions: Invalid value: [\"Deny\",\"Warn\",\"Deny\",\"Cry\"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)",
        ],
    );
    let mutating = "MutatingAdmissionPolicyBinding.admissionregistration.k8s.io";
    check_create(mutating, json!({"spec": {}}), &["spec.policyName: Required value"]);
}

#[test]
fn runtime_classes() {
    let class = "RuntimeClass.node.k8s.io";
    let good = || json!({"handler": "kata", "overhead": {"podFixed": {"cpu": "2000m"}}});
    assert_eq!(created(class, good()).str_at("/overhead/podFixed/cpu"), "2");
    check_create(
        class,
        json!({"handler": "kata", "scheduling": {"tolerations": [{"operator": "Likes"}]}}),
        &[
            "scheduling.tolerations[0].operator: Invalid value: \"Likes\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            "scheduling.tolerations[0].operator: Unsupported value: \"Likes\": supported values: \"Equal\", \"Exists\"",
        ],
    );
    check_update(
        class,
        good(),
        |class| class.set_at("/handler", "runc"),
        &["handler: Invalid value: \"runc\": field is immutable"],
    );
}

#[test]
fn revisions() {
    let revision = "ControllerRevision.apps";
    check_create(
        revision,
        json!({"revision": -1}),
        &[
            "data: Required value: data is mandatory",
            "revision: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
    let good = || json!({"revision": 1, "data": {"a": 1}});
    check_update(revision, good(), |revision| revision.set_at("/revision", 2), &[]);
    check_update(
        revision,
        good(),
        |revision| revision.set_at("/data/a", 2),
        &["data: Invalid value: {\"a\":2}: field is immutable"],
    );
}
