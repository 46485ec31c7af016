//! One object in two versions: the two Event kinds and the two autoscalers.
//!
//! These are the only built-in resources that 1.36 serves in more than one version.

use serde_json::{Map, Value, json};

use super::Kind;
use crate::object::ObjectExt;

/// Rewrites `object` from the version of row `from` to that of row `to`, `apiVersion` included. Both
/// rows must be of one resource; between other rows only `apiVersion` changes.
pub fn convert(from: &Kind, to: &Kind, object: &mut Value) {
    object.set_at("/apiVersion", to.api_version());
    match (from.group, from.version, to.group, to.version) {
        ("", _, "events.k8s.io", _) => rename(object, |(core, new)| (core, new)),
        ("events.k8s.io", _, "", _) => rename(object, |(core, new)| (new, core)),
        ("autoscaling", "v1", "autoscaling", "v2") => autoscaler_to_v2(object),
        ("autoscaling", "v2", "autoscaling", "v1") => autoscaler_to_v1(object),
        _ => {}
    }
}

/// Fields of an Event: in the core group, in events.k8s.io.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename(object: &mut Value, pick: fn((&'static str, &'static str)) -> (&'static str, &'static str)) {
    let Some(fields) = object.as_object_mut() else { return };
    let old = std::mem::take(fields);
    for (key, value) in old {
        let name = EVENT_FIELDS.map(pick).into_iter().find(|(from, _)| *from == key);
        fields.insert(name.map_or(key, |(_, to)| to.to_owned()), value);
    }
}

// What v1 has no field for travels in annotations, in v2's shape. Upstream writes an older shape
// there; nobody but the conversion itself reads it.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";

fn autoscaler_to_v1(object: &mut Value) {
    let (target, metrics) = split_cpu(object.remove_at("/spec/metrics"), "target");
    let (current, current_metrics) = split_cpu(object.remove_at("/status/currentMetrics"), "current");
    if let Some(target) = target {
        object.set_at("/spec/targetCPUUtilizationPercentage", target);
    }
    if let Some(current) = current {
        object.set_at("/status/currentCPUUtilizationPercentage", current);
    }
    let behavior = object.remove_at("/spec/behavior");
    let conditions = object.remove_at("/status/conditions");
    for (key, value) in
        [(METRICS, metrics), (BEHAVIOR, behavior), (CONDITIONS, conditions), (CURRENT, current_metrics)]
    {
        if let Some(value) = value {
            object.set_annotation(key, &value.to_string());
        }
    }
}

fn autoscaler_to_v2(object: &mut Value) {
    let cpu = |percentage: Value, side: &str| {
        let mut amount = Map::from_iter([("averageUtilization".to_owned(), percentage)]);
        if side == "target" {
            amount.insert("type".into(), "Utilization".into());
        }
        json!({"type": "Resource", "resource": {"name": "cpu", side: amount}})
    };
    for (field, list, side, key) in [
        ("/spec/targetCPUUtilizationPercentage", "/spec/metrics", "target", METRICS),
        ("/status/currentCPUUtilizationPercentage", "/status/currentMetrics", "current", CURRENT),
    ] {
        let mut metrics: Vec<Value> = object.remove_at(field).map(|p| cpu(p, side)).into_iter().collect();
        if let Some(Value::Array(rest)) = take_annotation(object, key) {
            metrics.extend(rest);
        }
        if !metrics.is_empty() {
            object.set_at(list, metrics);
        }
    }
    for (field, key) in [("/spec/behavior", BEHAVIOR), ("/status/conditions", CONDITIONS)] {
        if let Some(value) = take_annotation(object, key) {
            object.set_at(field, value);
        }
    }
}

fn take_annotation(object: &mut Value, key: &str) -> Option<Value> {
    let value = serde_json::from_str(object.annotation(key)?).ok();
    object.remove_annotation(key);
    value
}

/// The first CPU utilization in a list of metrics, and what else is in it.
fn split_cpu(metrics: Option<Value>, side: &str) -> (Option<Value>, Option<Value>) {
    let Some(Value::Array(mut metrics)) = metrics else { return (None, None) };
    let pointer = format!("/resource/{side}/averageUtilization");
    let cpu = metrics.iter().position(|m| {
        m.str_at("/type") == "Resource" && m.str_at("/resource/name") == "cpu" && m.at(&pointer).is_some()
    });
    let percentage = cpu.and_then(|i| metrics.remove(i).at(&pointer).cloned());
    (percentage, (!metrics.is_empty()).then_some(Value::Array(metrics)))
}
