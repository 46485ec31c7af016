//! Admission policies through the front door: written, seen by the informer, in force, gone.

use std::time::Duration;

use api::object::ObjectExt;
use client::{DeleteParams, Resource};
use serde_json::{Value, json};
use world::sim::{Config, run};

use crate::plane::{ADMIN, Plane, with_plane};

const TURN: Duration = Duration::from_secs(1);
const CONFIGS: &str = "/api/v1/namespaces/default/configmaps";

fn resource(plural: &'static str) -> Resource {
    Resource::new("admissionregistration.k8s.io", "v1", plural)
}

fn constraints() -> Value {
    let rule = json!({"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]});
    json!({"resourceRules": [rule]})
}

fn policy(kind: &str, mut spec: Value) -> Value {
    spec["matchConstraints"] = constraints();
    let api_version = "admissionregistration.k8s.io/v1";
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "limits"}, "spec": spec})
}

fn binding(kind: &str, mut spec: Value) -> Value {
    spec["policyName"] = "limits".into();
    let api_version = "admissionregistration.k8s.io/v1";
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "everywhere"}, "spec": spec})
}

async fn validate(plane: &Plane, spec: Value, bound: Value) {
    let spec = policy("ValidatingAdmissionPolicy", spec);
    plane.admin.create(&resource("validatingadmissionpolicies"), None, &spec).await.unwrap();
    let bound = binding("ValidatingAdmissionPolicyBinding", bound);
    plane.admin.create(&resource("validatingadmissionpolicybindings"), None, &bound).await.unwrap();
    plane.sim.elapse(TURN).await;
}

async fn create(plane: &Plane, name: &str, data: Value) -> crate::plane::Answer {
    let body = json!({"metadata": {"name": name}, "data": data}).to_string();
    plane.send(ADMIN, "POST", CONFIGS, &[("content-type", "application/json")], &body).await
}

#[test]
fn a_policy_is_in_force_until_it_is_gone() {
    with_plane(&[], |plane| async move {
        assert_eq!(create(&plane, "before", json!({"n": "9"})).await.code, 201);
        let validations = json!([{"expression": "int(object.data.n) <= 5", "messageExpression": "'n is ' + object.data.n"}]);
        validate(&plane, json!({"validations": validations}), json!({"validationActions": ["Deny"]})).await;
        assert_eq!(create(&plane, "five", json!({"n": "5"})).await.code, 201);
        let refused = create(&plane, "six", json!({"n": "6"})).await;
        let words = "configmaps \"six\" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'everywhere' denied request: n is 6";
        assert_eq!((refused.code, refused.json().str_at("/message")), (422, words));
        assert_eq!(refused.json().str_at("/reason"), "Invalid");
        assert_eq!(
            refused.json().str_at("/details/causes/0/message"),
            words.split_once("forbidden: ").unwrap().1
        );
        // What does not evaluate is counted apart.
        assert_eq!(create(&plane, "seven", json!({"n": "seven"})).await.code, 422);
        let page = plane.get("/metrics").await.body;
        for (kind, count) in [("no_error", 1), ("invalid_error", 1)] {
            let labels = format!(
                "enforcement_action=\"deny\",error_type=\"{kind}\",policy=\"limits\",policy_binding=\"everywhere\""
            );
            for name in ["check_total", "check_duration_seconds_count"] {
                let line = format!("apiserver_validating_admission_policy_{name}{{{labels}}} {count}\n");
                assert!(page.contains(&line), "{line}{page}");
            }
        }
        let policies = resource("validatingadmissionpolicies");
        plane.admin.delete(&policies, None, "limits", &DeleteParams::default()).await.unwrap();
        plane.sim.elapse(TURN).await;
        assert_eq!(create(&plane, "six", json!({"n": "6"})).await.code, 201);
    });
}

#[test]
fn params_are_followed_and_asked_for() {
    with_plane(&[], |plane| async move {
        let spec = json!({
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConditions": [{"name": "not-the-limit", "expression": "object.metadata.name != 'limit'"}],
            "validations": [{"expression": "int(object.data.n) <= int(params.data.most)", "message": "too many"}],
        });
        let bound = json!({"validationActions": ["Deny"], "paramRef": {"name": "limit", "parameterNotFoundAction": "Deny"}});
        validate(&plane, spec, bound).await;
        let missing = create(&plane, "a", json!({"n": "1"})).await;
        assert!(
            missing.body.contains("no params found for policy binding with `Deny` parameterNotFoundAction"),
            "{}",
            missing.body
        );
        // It counts at once: what the informer has not seen yet is asked for.
        assert_eq!(
            create(&plane, "limit", json!({"most": "3"})).await.code,
            422,
            "it is itself without params"
        );
        let bindings = resource("validatingadmissionpolicybindings");
        let lenient = |binding: &mut Value| binding.set_at("/spec/paramRef/parameterNotFoundAction", "Allow");
        plane.admin.modify(&bindings, None, "everywhere", None, lenient).await.unwrap();
        plane.sim.elapse(TURN).await;
        assert_eq!(create(&plane, "limit", json!({"most": "3"})).await.code, 201);
        assert_eq!(create(&plane, "a", json!({"n": "3"})).await.code, 201);
        assert!(create(&plane, "b", json!({"n": "4"})).await.body.contains("denied request: too many"));
    });
}

#[test]
fn what_does_not_compile_is_not_stored() {
    with_plane(&[], |plane| async move {
        let policies = resource("validatingadmissionpolicies");
        let spec = json!({
            "variables": [{"name": "v", "expression": "object.spec.x"}],
            "matchConditions": [{"name": "n", "expression": "1"}],
            "validations": [
                {"expression": "nope", "messageExpression": "authorizer"},
                {"expression": "variables.w == 1"},
                {"expression": "variables.v == 1"},
            ],
            "auditAnnotations": [{"key": "k", "valueExpression": "1"}],
        });
        let refused = plane
            .admin
            .create(&policies, None, &policy("ValidatingAdmissionPolicy", spec))
            .await
            .unwrap_err();
        let status = refused.status().unwrap().to_value();
        let found: Vec<(&str, &str)> = status
            .list_at("/details/causes")
            .iter()
            .map(|cause| {
                (cause.str_at("/field"), cause.str_at("/message").split(": ").nth(2).unwrap_or_default())
            })
            .collect();
        assert_eq!(
            found,
            [
                ("spec.matchConditions[0].expression", "must evaluate to bool but got int"),
                ("spec.validations[0].expression", "compilation failed"),
                ("spec.validations[1].expression", "compilation failed"),
                ("spec.validations[0].messageExpression", "compilation failed"),
                (
                    "spec.auditAnnotations[0].valueExpression",
                    "must evaluate to one of [string null_type] but got int"
                ),
            ]
        );
    });
}

#[test]
fn what_does_not_fit_its_kind_is_told_in_the_status() {
    with_plane(&[], |plane| async move {
        let policies = resource("validatingadmissionpolicies");
        let spec = json!({"validations": [{"expression": "object.data.n == 1 && object.dada.n == ''"}]});
        plane.admin.create(&policies, None, &policy("ValidatingAdmissionPolicy", spec)).await.unwrap();
        plane.sim.elapse(TURN).await;
        let seen = plane.admin.get(&policies, None, "limits").await.unwrap();
        assert_eq!(seen.i64_at("/status/observedGeneration"), Some(1));
        let warning = &seen.list_at("/status/typeChecking/expressionWarnings")[0];
        assert_eq!(warning.str_at("/fieldRef"), "spec.validations[0].expression");
        let words = warning.str_at("/warning");
        assert!(words.starts_with("/v1, Kind=ConfigMap: ERROR: <input>:1:"), "{words}");
        assert!(words.contains("undefined field 'dada'"), "{words}");
    });
}

#[test]
fn a_warning_is_a_header_and_an_audit_a_note() {
    const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata, resources: [{group: '', resources: [configmaps]}], verbs: [create]}]\n";
    run(Config::default(), |sim| async move {
        let disk = sim.host("cp").disk().clone();
        disk.write("/etc/policy.yaml", POLICY, 0o644).unwrap();
        let flags = ["--audit-policy-file=/etc/policy.yaml", "--audit-log-path=/var/log/audit.log"];
        let plane = Plane::start(&sim, &flags).await;
        let spec = json!({
            "validations": [{"expression": "false", "message": "careful"}],
            "auditAnnotations": [{"key": "name", "valueExpression": "string(object.metadata.name)"}],
        });
        validate(&plane, spec, json!({"validationActions": ["Warn", "Audit"]})).await;
        let answer = create(&plane, "c", json!({})).await;
        assert_eq!(answer.code, 201);
        let words = "299 - \"Validation failed for ValidatingAdmissionPolicy 'limits' with binding 'everywhere': careful\"";
        assert_eq!(answer.headers["warning"], words);
        let log = disk.read_to_string("/var/log/audit.log").unwrap();
        let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!(last["annotations"]["limits/name"], "c");
        let failure = last["annotations"]["validation.policy.admission.k8s.io/validation_failure"].as_str();
        assert!(failure.unwrap().contains("\"expressionIndex\":0"));
    })
    .unwrap();
}

#[test]
fn a_mutating_policy_changes_what_is_stored() {
    with_plane(&[], |plane| async move {
        let expression = "Object{metadata: Object.metadata{labels: {'by': request.userInfo.username}}}";
        let mutation =
            json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
        let spec =
            json!({"failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded", "mutations": [mutation]});
        let spec = policy("MutatingAdmissionPolicy", spec);
        plane.admin.create(&resource("mutatingadmissionpolicies"), None, &spec).await.unwrap();
        let bound = binding("MutatingAdmissionPolicyBinding", json!({}));
        plane.admin.create(&resource("mutatingadmissionpolicybindings"), None, &bound).await.unwrap();
        plane.sim.elapse(TURN).await;
        assert_eq!(create(&plane, "c", json!({"a": "b"})).await.code, 201);
        let stored = plane.admin.get(&Resource::core("configmaps"), Some("default"), "c").await.unwrap();
        assert_eq!(stored.str_at("/metadata/labels/by"), "admin");
        assert_eq!(stored.str_at("/data/a"), "b");
    });
}

/// Before the release that turned them on, policies are stored and nobody asks them.
#[test]
fn a_feature_that_is_off_asks_nobody() {
    fn check(flags: &'static [&'static str], code: u16) {
        with_plane(flags, move |plane| async move {
            let spec = json!({"validations": [{"expression": "false"}]});
            validate(&plane, spec, json!({"validationActions": ["Deny"]})).await;
            assert_eq!(create(&plane, "c", json!({})).await.code, code, "{flags:?}");
        });
    }
    check(&["--kubernetes-version=1.29"], 201);
    check(&["--kubernetes-version=1.30"], 422);
    check(&["--kubernetes-version=1.29", "--feature-gates=ValidatingAdmissionPolicy=true"], 422);
    check(&["--disable-admission-plugins=ValidatingAdmissionPolicy"], 201);
}
