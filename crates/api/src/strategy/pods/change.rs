//! What may change in a pod that exists: its images, more tolerations, a shorter deadline.

use serde_json::Value;

use super::{
    super::{
        check::Complaints,
        fill::{each, restore_at},
        path::Path,
    },
    same,
};
use crate::object::ObjectExt;

const REFUSED: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const SPEC: Path<'static> = Path::root("spec");

pub(super) fn validate(new: &Value, old: &Value, subresource: &str, complaints: &mut Complaints) {
    match subresource {
        "status" => status(new, old, complaints),
        "ephemeralcontainers" => ephemeral(new, old, complaints),
        "resize" => super::resize::validate(new, old, complaints),
        "binding" | "eviction" => {}
        _ => spec(new, old, complaints),
    }
}

fn spec(new: &Value, old: &Value, complaints: &mut Complaints) {
    for (field, pointer) in [("containers", "/spec/containers"), ("initContainers", "/spec/initContainers")] {
        if new.list_at(pointer).len() != old.list_at(pointer).len() {
            return complaints.forbidden(SPEC.child(field), "pod updates may not add or remove containers");
        }
    }
    deadline(new, old, complaints);
    tolerations(new, old, complaints);

    // What may change is put back; what differs then may not.
    let mut rest = new.clone();
    for pointer in ["/spec/containers", "/spec/initContainers"] {
        for (container, before) in each(&mut rest, pointer).zip(old.list_at(pointer)) {
            restore_at(container, before, "/image");
        }
    }
    for pointer in ["/spec/activeDeadlineSeconds", "/spec/tolerations"] {
        restore_at(&mut rest, old, pointer);
    }
    let grace = "/spec/terminationGracePeriodSeconds";
    if old.i64_at(grace).is_some_and(|seconds| seconds < 0) && new.i64_at(grace) == Some(1) {
        restore_at(&mut rest, old, grace);
    }
    let gated = !old.list_at("/spec/schedulingGates").is_empty();
    if gated {
        gates(new, old, complaints);
        restore_at(&mut rest, old, "/spec/schedulingGates");
        let kept = |key: &String, value: &Value| {
            new.map_at("/spec/nodeSelector").and_then(|map| map.get(key)) == Some(value)
        };
        if old.map_at("/spec/nodeSelector").into_iter().flatten().all(|(key, value)| kept(key, value)) {
            restore_at(&mut rest, old, "/spec/nodeSelector");
        }
        if old.at("/spec/affinity/nodeAffinity").is_none() {
            restore_at(&mut rest, old, "/spec/affinity");
        }
    }
    if !same(rest.at("/spec"), old.at("/spec")) {
        let mut changes = Vec::new();
        differences("spec", rest.at("/spec"), old.at("/spec"), &mut changes);
        complaints.forbidden(SPEC, format!("{REFUSED}\n{}", changes.join("\n")));
    }
}

fn deadline(new: &Value, old: &Value, complaints: &mut Complaints) {
    let pointer = "/spec/activeDeadlineSeconds";
    let at = SPEC.child("activeDeadlineSeconds");
    match (new.i64_at(pointer), old.i64_at(pointer)) {
        (Some(new), Some(old)) if new > old => {
            complaints.invalid(at, new, "must be less than or equal to previous value");
        }
        (None, Some(_)) => {
            complaints.invalid(at, Value::Null, "must not update from a positive integer to nil value")
        }
        _ => {}
    }
}

/// Tolerations may only be added, except that a duration may change.
fn tolerations(new: &Value, old: &Value, complaints: &mut Complaints) {
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        toleration.remove_at("/tolerationSeconds");
        toleration
    };
    let now: Vec<Value> = new.list_at("/spec/tolerations").iter().map(without_seconds).collect();
    let lost = |before: &Value| !now.iter().any(|toleration| same(Some(toleration), Some(before)));
    if old.list_at("/spec/tolerations").iter().map(without_seconds).any(|before| lost(&before)) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        complaints.forbidden(SPEC.child("tolerations"), detail);
    }
}

fn gates(new: &Value, old: &Value, complaints: &mut Complaints) {
    let before = old.list_at("/spec/schedulingGates");
    let at = SPEC.child("schedulingGates");
    for (index, gate) in new.list_at("/spec/schedulingGates").iter().enumerate() {
        let name = gate.str_at("/name");
        if !before.iter().any(|other| other.str_at("/name") == name) {
            complaints.forbidden(
                at.index(index).child("name"),
                "only deletion is allowed, but found new scheduling gate",
            );
        }
    }
}

fn status(new: &Value, old: &Value, complaints: &mut Complaints) {
    let at = Path::root("status");
    let (now, before) = (new.str_at("/status/qosClass"), old.str_at("/status/qosClass"));
    if now != before && !before.is_empty() {
        complaints.invalid(at.child("qosClass"), now, "field is immutable");
    }
    let policy = old.str_at("/spec/restartPolicy");
    if policy == "Always" {
        return;
    }
    for (field, pointer) in [
        ("containerStatuses", "/status/containerStatuses"),
        ("initContainerStatuses", "/status/initContainerStatuses"),
    ] {
        let at = at.child(field);
        for (index, before) in old.list_at(pointer).iter().enumerate() {
            let code = before.i64_at("/state/terminated/exitCode").unwrap_or(0);
            if before.map_at("/state/terminated").is_none() || (code != 0 && policy != "Never") {
                continue;
            }
            let restarts = old.list_at("/spec/initContainers").iter().any(|container| {
                container.str_at("/name") == before.str_at("/name")
                    && container.str_at("/restartPolicy") == "Always"
            });
            let now = new.list_at(pointer).iter().find(|now| now.str_at("/name") == before.str_at("/name"));
            if !restarts && now.is_some_and(|now| now.map_at("/state/terminated").is_none()) {
                let detail = "may not be transitioned to non-terminated state";
                complaints.forbidden(at.index(index).child("state"), detail);
            }
        }
    }
}

fn ephemeral(new: &Value, old: &Value, complaints: &mut Complaints) {
    if old.annotation(super::MIRROR).is_some() {
        return complaints.forbidden(super::NOWHERE, "static pods do not support ephemeral containers");
    }
    let at = SPEC.child("ephemeralContainers");
    let now = new.list_at("/spec/ephemeralContainers");
    for before in old.list_at("/spec/ephemeralContainers") {
        let name = before.str_at("/name");
        match now.iter().find(|container| container.str_at("/name") == name) {
            None => complaints
                .forbidden(at, format!("existing ephemeral containers \"{name}\" may not be removed\n")),
            Some(container) if !same(Some(container), Some(before)) => {
                complaints
                    .forbidden(at, format!("existing ephemeral containers \"{name}\" may not be changed\n"));
            }
            Some(_) => {}
        }
    }
}

/// The fields that differ, one per line: `  spec.nodeName: "a" -> "b"`.
fn differences(path: &str, new: Option<&Value>, old: Option<&Value>, lines: &mut Vec<String>) {
    if same(new, old) {
        return;
    }
    match (new, old) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let fresh = a.keys().filter(|key| !b.contains_key(*key));
            for key in b.keys().chain(fresh) {
                differences(&format!("{path}.{key}"), a.get(key), b.get(key), lines);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{index}]"), Some(a), Some(b), lines);
            }
        }
        (new, old) => {
            let shown = |value: Option<&Value>| value.map_or_else(|| "<unset>".into(), Value::to_string);
            lines.push(format!("  {path}: {} -> {}", shown(old), shown(new)));
        }
    }
}
