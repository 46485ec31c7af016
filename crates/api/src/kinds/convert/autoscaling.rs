//! Autoscalers: v1 knows one metric, the CPU; all else that v2 has travels in annotations.
//!
//! The annotations hold what upstream writes there, in the shapes of its types of v1: metrics with
//! flat fields (`targetAverageValue`), and the behavior with the capital letters of Go's fields.

use serde_json::{Map, Value, json};

use crate::object::ObjectExt;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";

/// The utilization that is aimed at if an autoscaler names no metric.
const DEFAULT_UTILIZATION: i64 = 80;

/// The two sides of a metric: what is wanted and what is measured.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Target,
    Current,
}

impl Side {
    /// The field of v2 that holds the amounts.
    fn amounts(self) -> &'static str {
        match self {
            Side::Target => "target",
            Side::Current => "current",
        }
    }

    /// The fields of v1 for value, average value and average utilization.
    fn flat(self) -> [&'static str; 3] {
        match self {
            Side::Target => ["targetValue", "targetAverageValue", "targetAverageUtilization"],
            Side::Current => ["currentValue", "currentAverageValue", "currentAverageUtilization"],
        }
    }
}

/// Amounts of v2, in the order of [`Side::flat`].
const AMOUNTS: [&str; 3] = ["value", "averageValue", "averageUtilization"];

/// In which order v1's types have their fields.
const ORDER: [&str; 13] = [
    "target",
    "metricName",
    "name",
    "metricSelector",
    "targetValue",
    "currentValue",
    "targetAverageUtilization",
    "currentAverageUtilization",
    "targetAverageValue",
    "currentAverageValue",
    "selector",
    "averageValue",
    "container",
];

pub(super) fn to_v1(scaler: &mut Value) {
    for annotation in [METRICS, BEHAVIOR, CONDITIONS, CURRENT] {
        scaler.remove_annotation(annotation);
    }
    if let Some(Value::Array(mut metrics)) = scaler.remove_at("/spec/metrics") {
        if let Some(at) = metrics.iter().position(|metric| cpu(metric, Side::Target).is_some()) {
            let metric = metrics.remove(at);
            if let Some(percentage) = cpu(&metric, Side::Target) {
                scaler.set_at("/spec/targetCPUUtilizationPercentage", percentage.clone());
            }
        }
        annotate(scaler, METRICS, flattened(metrics, Side::Target));
    }
    if let Some(Value::Array(metrics)) = scaler.remove_at("/status/currentMetrics") {
        if let Some(percentage) = metrics.iter().find_map(|metric| cpu(metric, Side::Current)) {
            scaler.set_at("/status/currentCPUUtilizationPercentage", percentage.clone());
        }
        // The processor's too: the annotation holds the raw value beside the percentage.
        annotate(scaler, CURRENT, flattened(metrics, Side::Current));
    }
    if let Some(behavior) = scaler.remove_at("/spec/behavior") {
        scaler.set_annotation(BEHAVIOR, &renamed(behavior, capital).to_string());
    }
    if let Some(Value::Array(conditions)) = scaler.remove_at("/status/conditions") {
        annotate(scaler, CONDITIONS, conditions);
    }
}

pub(super) fn to_v2(scaler: &mut Value) {
    let mut metrics = Vec::new();
    if let Some(percentage) = scaler.remove_at("/spec/targetCPUUtilizationPercentage") {
        metrics.push(utilization(percentage));
    }
    metrics.extend(take_list(scaler, METRICS).into_iter().map(|metric| nested(metric, Side::Target)));
    if metrics.is_empty() {
        metrics.push(utilization(DEFAULT_UTILIZATION.into()));
    }
    scaler.set_at("/spec/metrics", metrics);

    let percentage = scaler.remove_at("/status/currentCPUUtilizationPercentage");
    let mut current: Vec<Value> =
        take_list(scaler, CURRENT).into_iter().map(|metric| nested(metric, Side::Current)).collect();
    if let (true, Some(percentage)) = (current.is_empty(), percentage) {
        let resource = json!({"name": "cpu", "current": {"averageUtilization": percentage}});
        current.push(json!({"type": "Resource", "resource": resource}));
    }
    if !current.is_empty() {
        scaler.set_at("/status/currentMetrics", current);
    }
    if let Some(behavior @ Value::Object(_)) = take(scaler, BEHAVIOR) {
        scaler.set_at("/spec/behavior", renamed(behavior, small));
    }
    let conditions = take_list(scaler, CONDITIONS);
    if !conditions.is_empty() {
        scaler.set_at("/status/conditions", conditions);
    }
}

/// The metric that v1's own field stands for.
fn utilization(percentage: Value) -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": percentage});
    json!({"type": "Resource", "resource": {"name": "cpu", "target": target}})
}

/// The CPU utilization in percent, if a metric is about it.
fn cpu(metric: &Value, side: Side) -> Option<&Value> {
    if metric.str_at("/type") != "Resource" || metric.str_at("/resource/name") != "cpu" {
        return None;
    }
    metric.get("resource")?.get(side.amounts())?.get("averageUtilization")
}

fn flattened(metrics: Vec<Value>, side: Side) -> Vec<Value> {
    metrics.into_iter().map(|metric| flat(metric, side)).collect()
}

/// A metric of v2 in v1's shape.
fn flat(mut metric: Value, side: Side) -> Value {
    for source in ["object", "pods", "resource", "containerResource", "external"] {
        let Some(Value::Object(mut fields)) = metric.remove_at(&format!("/{source}")) else { continue };
        let mut out = Map::new();
        if let Some(object) = fields.shift_remove("describedObject") {
            out.insert("target".into(), object);
        }
        if let Some(Value::Object(mut name)) = fields.shift_remove("metric") {
            if let Some(name) = name.shift_remove("name") {
                out.insert("metricName".into(), name);
            }
            if let Some(selector) = name.shift_remove("selector") {
                out.insert(selector_field(source).into(), selector);
            }
        }
        if let Some(Value::Object(mut amounts)) = fields.shift_remove(side.amounts()) {
            for (from, to) in AMOUNTS.into_iter().zip(side.flat()) {
                if let Some(amount) = amounts.shift_remove(from) {
                    out.insert(amount_field(source, from, to).into(), amount);
                }
            }
            // Upstream's field is no pointer: it is always there.
            if source == "object" {
                out.entry(side.flat()[0]).or_insert("0".into());
            }
        }
        out.extend(fields);
        let known = ORDER.iter().filter_map(|key| out.shift_remove_entry(*key));
        let mut ordered: Map<String, Value> = known.collect();
        ordered.extend(out);
        metric.set_at(&format!("/{source}"), ordered);
    }
    metric
}

/// A metric of v1's shape in v2's.
fn nested(mut metric: Value, side: Side) -> Value {
    for source in ["object", "pods", "resource", "containerResource", "external"] {
        let Some(Value::Object(mut fields)) = metric.remove_at(&format!("/{source}")) else { continue };
        let mut out = Map::new();
        if let Some(object) = fields.shift_remove("target") {
            out.insert("describedObject".into(), object);
        }
        let mut name = Map::new();
        if let Some(text) = fields.shift_remove("metricName") {
            name.insert("name".into(), text);
        }
        if let Some(selector) = fields.shift_remove(selector_field(source)) {
            name.insert("selector".into(), selector);
        }
        if !name.is_empty() {
            out.insert("metric".into(), name.into());
        }
        let mut amounts = Map::new();
        for (to, from) in AMOUNTS.into_iter().zip(side.flat()) {
            if let Some(amount) = fields.shift_remove(amount_field(source, to, from)) {
                amounts.insert(to.into(), amount);
            }
        }
        let zero = amounts.get("value").is_some_and(|value| value == "0");
        if source == "object" && zero && amounts.contains_key("averageValue") {
            amounts.shift_remove("value");
        }
        if side == Side::Target {
            let kind = match () {
                () if amounts.contains_key("averageUtilization") => "Utilization",
                () if amounts.contains_key("averageValue") => "AverageValue",
                () => "Value",
            };
            amounts.insert("type".into(), kind.into());
        }
        out.insert(side.amounts().into(), amounts.into());
        out.extend(fields);
        metric.set_at(&format!("/{source}"), out);
    }
    metric
}

fn selector_field(source: &str) -> &'static str {
    if source == "external" { "metricSelector" } else { "selector" }
}

/// An object's average is called like v2's, on both sides.
fn amount_field<'a>(source: &str, v2: &'a str, v1: &'a str) -> &'a str {
    if source == "object" && v2 == "averageValue" { v2 } else { v1 }
}

fn annotate(scaler: &mut Value, key: &str, list: Vec<Value>) {
    if !list.is_empty() {
        scaler.set_annotation(key, &Value::from(list).to_string());
    }
}

fn take(scaler: &mut Value, key: &str) -> Option<Value> {
    let value = serde_json::from_str(scaler.annotation(key)?).ok();
    scaler.remove_annotation(key);
    value
}

fn take_list(scaler: &mut Value, key: &str) -> Vec<Value> {
    match take(scaler, key) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

/// All keys renamed; nulls, which Go writes for absent fields, go.
fn renamed(value: Value, rename: fn(&str) -> String) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (rename(&key), renamed(value, rename)))
            .collect(),
        Value::Array(list) => list.into_iter().map(|value| renamed(value, rename)).collect(),
        other => other,
    }
}

fn capital(key: &str) -> String {
    let mut chars = key.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

fn small(key: &str) -> String {
    let mut chars = key.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}
