//! Which volume a claim gets (`component-helpers/storage/volume/pv_helpers.go`). The binder and the
//! scheduler must agree on it.

use std::{collections::BTreeSet, sync::Arc};

use api::{object::ObjectExt as _, quantity::Quantity, selector::LabelSelector};
use serde_json::{Value, json};

use crate::affinity;

/// Set on a claim, and on a volume, once the two belong together.
pub(crate) const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Set where a controller made the choice, not a person.
pub(crate) const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// The node that the scheduler chose for a claim's first pod.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The class of a claim or volume of before 1.6.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// The storage class of a claim or a volume; empty for none.
pub(crate) fn class_of(object: &Value) -> &str {
    annotation(object, BETA_CLASS).unwrap_or_else(|| object.str_at("/spec/storageClassName"))
}

/// Whether the claim has its volume for good.
pub(crate) fn is_bound(claim: &Value) -> bool {
    !claim.str_at("/spec/volumeName").is_empty() && annotation(claim, BIND_COMPLETED).is_some()
}

/// Whether the volume is meant for this claim and no other.
pub(crate) fn is_for(volume: &Value, claim: &Value) -> bool {
    let reference = |at: &str| volume.str_at(at);
    let uid = reference("/spec/claimRef/uid");
    reference("/spec/claimRef/name") == claim.name()
        && reference("/spec/claimRef/namespace") == claim.namespace()
        && (uid.is_empty() || uid == claim.uid())
}

pub(crate) fn has_reference(volume: &Value) -> bool {
    volume.pointer("/spec/claimRef").is_some_and(|r| !r.is_null())
}

/// What a volume says of the claim that it is for.
pub(crate) fn reference_to(claim: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "name": claim.name(),
        "namespace": claim.namespace(),
        "resourceVersion": claim.resource_version(),
        "uid": claim.uid(),
    })
}

fn amount(object: &Value, at: &str) -> Option<Quantity> {
    object.str_at(at).parse().ok()
}

/// Why the volume cannot serve the claim, in the binder's words; `None` if it can.
pub(crate) fn mismatch(volume: &Value, claim: &Value) -> Option<&'static str> {
    let (has, wants) =
        (amount(volume, "/spec/capacity/storage"), amount(claim, "/spec/resources/requests/storage"));
    if wants.is_some() && has < wants {
        return Some("requested PV is too small");
    }
    if class_of(volume) != class_of(claim) {
        return Some("storageClassName does not match");
    }
    let mode = |object| match Value::str_at(object, "/spec/volumeMode") {
        "" => "Filesystem",
        mode => mode,
    };
    if mode(volume) != mode(claim) {
        return Some("incompatible volumeMode");
    }
    if !offers_modes(volume, claim) {
        return Some("incompatible accessMode");
    }
    None
}

fn offers_modes(volume: &Value, claim: &Value) -> bool {
    claim
        .list_at("/spec/accessModes")
        .iter()
        .all(|m| volume.list_at("/spec/accessModes").iter().any(|o| o == m))
}

/// The volume for `claim`: one that is reserved for it, else the smallest that is free and suits. With
/// `node`, one that can be used there; without, claims of a class that waits for its first consumer
/// (`waits`) get what is reserved for them only.
pub(crate) fn find<'a>(
    claim: &Value,
    volumes: &'a [Arc<Value>],
    node: Option<&Value>,
    taken: &BTreeSet<String>,
    waits: bool,
) -> Option<&'a Arc<Value>> {
    let selector = claim.pointer("/spec/selector").filter(|s| s.is_object());
    let selected = |volume: &Value| {
        selector.is_none_or(|s| LabelSelector::from_object(s).is_ok_and(|s| s.matches(volume)))
    };
    let reachable = |volume: &Value| node.is_none_or(|n| affinity::reaches(volume, n));
    let usable =
        |v: &&Arc<Value>| !taken.contains(v.name()) && !v.is_terminating() && mismatch(v, claim).is_none();
    let reserved = volumes.iter().filter(usable).find(|v| is_for(v, claim));
    if let Some(volume) = reserved {
        return reachable(volume).then_some(volume);
    }
    if node.is_none() && waits {
        return None;
    }
    volumes
        .iter()
        .filter(usable)
        .filter(|v| !has_reference(v) && v.str_at("/status/phase") == "Available")
        .filter(|v| selected(v) && reachable(v))
        .min_by_key(|v| amount(v, "/spec/capacity/storage"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str, size: &str, extra: Value) -> Arc<Value> {
        let mut spec = json!({"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"]});
        for (key, value) in extra.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        Arc::new(json!({
            "metadata": {"name": name, "labels": {"disk": name}},
            "spec": spec,
            "status": {"phase": "Available"},
        }))
    }

    fn claim(size: &str, extra: Value) -> Value {
        let mut spec =
            json!({"resources": {"requests": {"storage": size}}, "accessModes": ["ReadWriteOnce"]});
        for (key, value) in extra.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        json!({"metadata": {"namespace": "n", "name": "c", "uid": "1"}, "spec": spec})
    }

    fn check(claim: Value, volumes: &[Arc<Value>], expect: Option<&str>) {
        let found = find(&claim, volumes, None, &BTreeSet::new(), false);
        assert_eq!(found.map(|v| v.name()), expect, "{claim}");
    }

    #[test]
    fn the_smallest_that_suits_is_taken() {
        let plain = [volume("big", "10Gi", json!({})), volume("small", "2Gi", json!({}))];
        check(claim("1Gi", json!({})), &plain, Some("small"));
        check(claim("3Gi", json!({})), &plain, Some("big"));
        check(claim("11Gi", json!({})), &plain, None);
        check(claim("1Gi", json!({"accessModes": ["ReadWriteMany"]})), &plain, None);
        check(claim("1Gi", json!({"storageClassName": "fast"})), &plain, None);
        check(claim("1Gi", json!({"selector": {"matchLabels": {"disk": "big"}}})), &plain, Some("big"));
        check(claim("1Gi", json!({"volumeMode": "Block"})), &plain, None);
        let fast = [volume("fast", "1Gi", json!({"storageClassName": "fast"}))];
        check(claim("1Gi", json!({"storageClassName": "fast"})), &fast, Some("fast"));
        let other = json!({"claimRef": {"namespace": "n", "name": "other"}});
        let mine = json!({"claimRef": {"namespace": "n", "name": "c"}});
        let reserved = [volume("small", "1Gi", other), volume("mine", "20Gi", mine)];
        check(claim("1Gi", json!({})), &reserved, Some("mine"));
    }

    #[test]
    fn where_the_first_consumer_runs_decides() {
        let on = |node: &str| {
            json!({"nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "host", "operator": "In", "values": [node]}]}
            ]}}})
        };
        let volumes = [volume("a", "1Gi", on("a")), volume("b", "2Gi", on("b"))];
        let node = json!({"metadata": {"name": "b", "labels": {"host": "b"}}});
        let found = |node: Option<&Value>, taken: &[&str]| {
            let taken = taken.iter().map(|t| (*t).to_owned()).collect();
            find(&claim("1Gi", json!({})), &volumes, node, &taken, true).map(|v| v.name().to_owned())
        };
        assert_eq!(found(None, &[]), None, "not before it is known");
        assert_eq!(found(Some(&node), &[]).as_deref(), Some("b"));
        assert_eq!(found(Some(&node), &["b"]), None);
    }
}
