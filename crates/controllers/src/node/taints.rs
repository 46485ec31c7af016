//! The taints that a node's state asks for, free of requests.

use api::object::ObjectExt as _;
use serde_json::{Value, json};
use world::{Wall, rfc3339};

use super::{NOT_READY, UNREACHABLE};
use crate::objects::{condition, condition_is};

/// Conditions that, as long as they hold, keep new pods away.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// What may become of the pods on a node that is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    /// They stay, and those that were to go may stay after all.
    Off,
    /// They go if they had to go already.
    Begun,
    /// They go.
    On,
}

fn is(taint: &Value, key: &str, effect: &str) -> bool {
    taint.str_at("/key") == key && taint.str_at("/effect") == effect
}

/// Whether the pods of the node already have to go.
pub(super) fn is_evicting(taints: &[Value]) -> bool {
    taints.iter().any(|t| is(t, NOT_READY, "NoExecute") || is(t, UNREACHABLE, "NoExecute"))
}

/// The key of the taint for a node's readiness; `None` for a ready one.
pub(super) fn unready_key(node: &Value) -> Option<&'static str> {
    match condition(node, "Ready").map_or("", |c| c.str_at("/status")) {
        "True" => None,
        "Unknown" => Some(UNREACHABLE),
        // A node that has never said anything is not ready.
        _ => Some(NOT_READY),
    }
}

/// All taints that the node should have: those of other people, and ours.
pub(super) fn wanted(node: &Value, old: &[Value], eviction: Eviction, now: Wall) -> Vec<Value> {
    let key = unready_key(node);
    let mut ours: Vec<(&str, &str)> = key.map(|k| (k, "NoSchedule")).into_iter().collect();
    for (kind, taint) in PRESSURES {
        if condition_is(node, kind, "True") {
            ours.push((taint, "NoSchedule"));
        }
    }
    if node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true) {
        ours.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let evicts = match eviction {
        Eviction::Off => false,
        Eviction::Begun => is_evicting(old),
        Eviction::On => true,
    };
    if let Some(key) = key.filter(|_| evicts) {
        ours.push((key, "NoExecute"));
    }
    let managed = |t: &Value| match (t.str_at("/key"), t.str_at("/effect")) {
        (NOT_READY | UNREACHABLE, "NoSchedule" | "NoExecute") | (UNSCHEDULABLE, "NoSchedule") => true,
        (key, "NoSchedule") => PRESSURES.iter().any(|(_, taint)| *taint == key),
        _ => false,
    };
    let mut all: Vec<Value> =
        old.iter().filter(|t| !managed(t) || ours.iter().any(|(k, e)| is(t, k, e))).cloned().collect();
    for (key, effect) in ours {
        if !all.iter().any(|t| is(t, key, effect)) {
            all.push(json!({"effect": effect, "key": key, "timeAdded": rfc3339(now)}));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ready: &str, old: &[(&str, &str)], eviction: Eviction, expect: &[(&str, &str)]) {
        let node = json!({"status": {"conditions": [{"type": "Ready", "status": ready}]}});
        let old: Vec<Value> = old.iter().map(|(k, e)| json!({"key": k, "effect": e})).collect();
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let all = wanted(&node, &old, eviction, now);
        let got: Vec<(&str, &str)> = all.iter().map(|t| (t.str_at("/key"), t.str_at("/effect"))).collect();
        assert_eq!(got, expect, "{ready} with {old:?}, {eviction:?}");
    }

    #[test]
    fn readiness_shows_in_taints() {
        use Eviction::{Begun, Off, On};
        let theirs = ("example.com/k", "NoExecute");
        check("True", &[], Begun, &[]);
        check("True", &[(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute"), theirs], Begun, &[theirs]);
        check("False", &[], Begun, &[(NOT_READY, "NoSchedule")]);
        check("Unknown", &[], On, &[(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]);
        // From silent to not ready: swapped at once.
        let silent = [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")];
        check("False", &silent, Begun, &[(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]);
        check("Unknown", &silent, Off, &[(UNREACHABLE, "NoSchedule")]);
        // kubeadm and cloud providers taint too.
        let early = ("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule");
        check("True", &[early], Begun, &[early]);
    }
}
