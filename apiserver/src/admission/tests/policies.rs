//! Admission policies: the rows of `policies.yaml`, and what is no row.

use api::object::ObjectExt as _;
use client::Informer;
use serde_json::{Map, Value, json};

use super::{Chain, Fake, Operation, Write, furnished, story, unlisted};
use crate::{audit::Level, identity::User, informers::Informers};

const ROWS: &str = include_str!("policies.yaml");

fn rows() -> Vec<Value> {
    serde_saphyr::from_str(ROWS).unwrap()
}

/// What a row leaves out.
fn with_defaults(given: Option<&Value>, defaults: Value) -> Value {
    let mut all = defaults.as_object().cloned().unwrap_or_default();
    all.extend(given.and_then(Value::as_object).cloned().unwrap_or_default());
    Value::Object(all)
}

fn named(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn every_resource() -> Value {
    let rule = json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]});
    json!({"matchPolicy": "Equivalent", "resourceRules": [rule]})
}

fn policy(row: &Value, kind: &str) -> Value {
    let spec = with_defaults(
        row.get("policy"),
        json!({"failurePolicy": "Fail", "matchConstraints": every_resource(), "reinvocationPolicy": "Never"}),
    );
    named(kind, "p", spec)
}

fn binding(row: &Value, kind: &str) -> Value {
    let defaults = json!({"policyName": "p", "validationActions": ["Deny"]});
    named(kind, "b", with_defaults(row.get("binding"), defaults))
}

fn informers(row: &Value) -> Informers {
    let mutating = row.bool_at("/mutating");
    let family = if mutating { "MutatingAdmissionPolicy" } else { "ValidatingAdmissionPolicy" };
    let policies = Informer::fixed(vec![policy(row, family)]);
    let bindings = Informer::fixed(vec![binding(row, &format!("{family}Binding"))]);
    let labelled = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "ns", "labels": {"team": "red"}, "uid": "1"}, "status": {"phase": "Active"}});
    let namespaces = Informer::fixed(vec![labelled]);
    if mutating {
        Informers { namespaces, mutating_policies: policies, mutating_bindings: bindings, ..furnished() }
    } else {
        Informers { namespaces, validating_policies: policies, validating_bindings: bindings, ..furnished() }
    }
}

fn write(row: &Value) -> Write {
    let text = |pointer: &str, default: &str| match row.str_at(pointer) {
        "" => default.to_owned(),
        given => given.to_owned(),
    };
    // The rows live as long as the test.
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let operation = match row.str_at("/request/operation") {
        "UPDATE" => Operation::Update,
        "DELETE" => Operation::Delete,
        _ => Operation::Create,
    };
    let object = row.at("/request/object").cloned();
    let object = object.unwrap_or_else(|| json!({"metadata": {"name": "c"}, "data": {"a": "1"}}));
    let typed = |object: Value| {
        with_defaults(
            Some(&object),
            json!({"apiVersion": text("/request/apiVersion", "v1"), "kind": text("/request/kind", "ConfigMap")}),
        )
    };
    let namespace =
        if row.bool_at("/request/clusterScoped") { String::new() } else { text("/request/namespace", "ns") };
    let mut write = Write::new(
        operation,
        leak(text("/request/resource", "configmaps")),
        leak(namespace),
        leak(text("/request/name", "")),
    );
    write.kind = leak(text("/request/kind", "ConfigMap"));
    if operation != Operation::Delete {
        write.object = Some(typed(object));
    }
    write.old = row.at("/request/old").cloned().map(typed);
    match row.str_at("/request/user") {
        "" => write,
        name => write.by(User { uid: "7".into(), ..User::new(name, &["system:authenticated"]) }),
    }
}

async fn check(chain: Chain, row: Value) {
    let name = row.str_at("/name").to_owned();
    let params = row.list_at("/params").to_vec();
    chain.admission.policies.params.follow("v1", "ConfigMap", Informer::fixed(params));
    let outcome = chain.admit(write(&row)).await;
    match row.at("/denied") {
        Some(expected) => {
            let status = outcome.unwrap_err();
            let found = json!({"code": status.code, "reason": status.reason, "message": status.message});
            assert_eq!(
                found,
                with_defaults(Some(expected), json!({"code": 422, "reason": "Invalid"})),
                "{name}"
            );
        }
        None => {
            let object = outcome.unwrap_or_else(|status| panic!("{name}: {}", status.message));
            for (pointer, value) in row.map_at("/object").into_iter().flatten() {
                assert_eq!(
                    object.at(pointer).unwrap_or(&Value::Null),
                    value,
                    "{name}: {pointer} of {object}"
                );
            }
        }
    }
    let warnings = chain.remarks.warnings();
    let wanted: Vec<&str> = row.list_at("/warnings").iter().filter_map(Value::as_str).collect();
    assert_eq!(warnings, wanted, "{name}");
    let found: Map<String, Value> = chain
        .remarks
        .annotations(Level::Metadata)
        .into_iter()
        // PodSecurity notes its own verdict on every pod.
        .filter(|(key, _)| !key.starts_with("pod-security.kubernetes.io/"))
        .map(|(key, value)| (key, value.into()))
        .collect();
    assert_eq!(found, row.map_at("/annotations").cloned().unwrap_or_default(), "{name}");
}

#[test]
fn each_row_has_its_verdict() {
    for row in rows() {
        assert!(!row.str_at("/fact").is_empty(), "{} names no fact", row.str_at("/name"));
        story(informers(&row), |chain| check(chain, row));
    }
}

/// Every denial has a twin that is admitted, so that no refusal is for another reason.
#[test]
fn each_denial_has_an_accepted_twin() {
    let rows = rows();
    for row in rows.iter().filter(|row| row.at("/denied").is_some()) {
        let twin = rows
            .iter()
            .any(|other| other.at("/denied").is_none() && other.str_at("/about") == row.str_at("/about"));
        assert!(twin, "{}: nothing about {:?} is admitted", row.str_at("/name"), row.str_at("/about"));
    }
}

fn config(name: &str) -> Write {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    Write { kind: "ConfigMap", ..Write::create("configmaps", "ns", object) }
}

#[test]
fn a_policy_counts_from_when_the_informer_has_seen_it() {
    let row = json!({"policy": {"validations": [{"expression": "false", "message": "no"}]}});
    let refused =
        r#"configmaps "c" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"#;
    let informers = Informers {
        validating_policies: Informer::fixed(vec![]),
        validating_bindings: Informer::fixed(vec![]),
        ..furnished()
    };
    story(informers, |chain| async move {
        chain.admit(config("c")).await.unwrap();
        chain.informers.validating_policies.put(policy(&row, "ValidatingAdmissionPolicy"));
        chain.admit(config("c")).await.unwrap();
        chain.informers.validating_bindings.put(binding(&row, "ValidatingAdmissionPolicyBinding"));
        Chain::refused(chain.admit(config("c")).await, 422, refused);
        // Changed, and it is another one at once.
        let other = json!({"policy": {"validations": [{"expression": "true"}]}});
        chain.informers.validating_policies.put(policy(&other, "ValidatingAdmissionPolicy"));
        chain.admit(config("c")).await.unwrap();
        chain.informers.validating_policies.put(policy(&row, "ValidatingAdmissionPolicy"));
        Chain::refused(chain.admit(config("c")).await, 422, refused);
        chain.informers.validating_policies.remove(None, "p");
        chain.admit(config("c")).await.unwrap();
    });
}

/// A policy that is stored and not seen yet must not let pass what it would refuse.
#[test]
fn nothing_is_judged_before_the_first_list() {
    let missing: [fn(&mut Informers) -> &mut Informer; 4] = [
        |all| &mut all.validating_policies,
        |all| &mut all.validating_bindings,
        |all| &mut all.mutating_policies,
        |all| &mut all.mutating_bindings,
    ];
    for slot in missing {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let fake = Fake::plain(&sim).await;
            let mut informers = furnished();
            *slot(&mut informers) = unlisted(&fake);
            let chain = Chain::new(sim, fake, informers).await;
            let start = chain.fake.host.clock().monotonic();
            let outcome = chain.admit(config("c")).await;
            Chain::refused(outcome, 403, r#"configmaps "c" is forbidden: not yet ready to handle request"#);
            assert_eq!(chain.fake.host.clock().monotonic().since(start).as_secs(), 10);
        })
        .unwrap();
    }
}

/// What could lock everybody out, and questions about who may what, are not judged.
#[test]
fn policies_do_not_judge_policies() {
    let row = json!({"policy": {"validations": [{"expression": "false"}]}});
    story(informers(&row), |chain| async move {
        for what in [
            "validatingadmissionpolicies.admissionregistration.k8s.io",
            "validatingadmissionpolicybindings.admissionregistration.k8s.io",
            "mutatingadmissionpolicies.admissionregistration.k8s.io",
            "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
            "tokenreviews.authentication.k8s.io",
            "subjectaccessreviews.authorization.k8s.io",
        ] {
            chain.admit(Write::create(what, "", json!({"metadata": {"name": "x"}}))).await.unwrap();
        }
        let webhooks = "validatingwebhookconfigurations.admissionregistration.k8s.io";
        let outcome = chain.admit(Write::create(webhooks, "", json!({"metadata": {"name": "x"}}))).await;
        assert_eq!(outcome.unwrap_err().code, 422, "webhooks are judged");
    });
}

/// The first policy of two wants to run again if a later one changes something.
#[test]
fn who_wants_to_runs_again_after_a_change() {
    #[track_caller]
    fn check(reinvocation: &str, expected: Value) {
        let mutation = |expression: &str| json!([{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}]);
        let spec = |mutations: Value, reinvocation: &str| {
            json!({"failurePolicy": "Fail", "matchConstraints": every_resource(),
                "reinvocationPolicy": reinvocation, "mutations": mutations})
        };
        let count = "Object{data: {'seen': string(size(object.?data.orValue({})))}}";
        let first = named("MutatingAdmissionPolicy", "a", spec(mutation(count), reinvocation));
        let second =
            named("MutatingAdmissionPolicy", "b", spec(mutation("Object{data: {'late': 'yes'}}"), "Never"));
        let bind = |name: &str, policy: &str| {
            named("MutatingAdmissionPolicyBinding", name, json!({"policyName": policy}))
        };
        let informers = Informers {
            mutating_policies: Informer::fixed(vec![first, second]),
            mutating_bindings: Informer::fixed(vec![bind("x", "a"), bind("y", "b")]),
            ..furnished()
        };
        story(informers, |chain| async move {
            let made = chain.admit(config("c")).await.unwrap();
            assert_eq!(made.at("/data"), Some(&expected));
        });
    }
    check("Never", json!({"seen": "0", "late": "yes"}));
    check("IfNeeded", json!({"seen": "2", "late": "yes"}));
}
