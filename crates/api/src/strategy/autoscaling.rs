//! Autoscalers, in the shape of v2.

use serde_json::{Value, json};

use super::{Strategy, check::Complaints, fill::fill, path::Path};
use crate::{names, object::ObjectExt, quantity::Quantity};

const SPEC: Path<'static> = Path::root("spec");
const WINDOW_SECONDS_MAX: i64 = 3600;
const PERIOD_SECONDS_MAX: i64 = 1800;
/// Types of metrics and the fields that describe them, in the order in which they are looked at.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];
const TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];
const POPULATE: &str = "must populate information for the given metric source";

pub(super) static STRATEGIES: &[Strategy] = &[Strategy {
    default,
    create: |_, scaler, _| scaler.set_at("/status", json!({"currentReplicas": 0, "desiredReplicas": 0})),
    validate: |scaler, complaints| validate(scaler, complaints),
    validate_update: |new, _, subresource, complaints| {
        if subresource == "status" {
            let status = Path::root("status");
            for field in ["currentReplicas", "desiredReplicas"] {
                complaints.non_negative(status.child(field), new.i64_at(&format!("/status/{field}")));
            }
        }
    },
    ..Strategy::of("autoscaling", "HorizontalPodAutoscaler")
}];

fn default(scaler: &mut Value) {
    fill(scaler, "/spec/minReplicas", 1);
    if scaler.list_at("/spec/metrics").is_empty() {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        scaler.set_at("/spec/metrics", json!([metric]));
    }
    if scaler.map_at("/spec/behavior").is_some() {
        let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
        let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
        fill(scaler, "/spec/behavior/scaleUp/stabilizationWindowSeconds", 0);
        fill(scaler, "/spec/behavior/scaleUp/selectPolicy", "Max");
        fill(scaler, "/spec/behavior/scaleUp/policies", json!([pods, percent]));
        fill(scaler, "/spec/behavior/scaleDown/selectPolicy", "Max");
        fill(scaler, "/spec/behavior/scaleDown/policies", json!([percent]));
    }
}

fn validate(scaler: &Value, complaints: &mut Complaints) {
    let max = scaler.i64_at("/spec/maxReplicas").unwrap_or(0);
    let min = scaler.i64_at("/spec/minReplicas").unwrap_or(1);
    if min < 1 {
        complaints.invalid(SPEC.child("minReplicas"), min, "must be greater than or equal to 1");
    }
    if max < 1 {
        complaints.invalid(SPEC.child("maxReplicas"), max, "must be greater than 0");
    }
    if max < min {
        let detail = "must be greater than or equal to `minReplicas`";
        complaints.invalid(SPEC.child("maxReplicas"), max, detail);
    }
    reference(scaler.at("/spec/scaleTargetRef"), SPEC.child("scaleTargetRef"), complaints);
    let metrics = SPEC.child("metrics");
    for (index, metric) in scaler.list_at("/spec/metrics").iter().enumerate() {
        validate_metric(metric, metrics.index(index), complaints);
    }
    let behavior = SPEC.child("behavior");
    for side in ["scaleUp", "scaleDown"] {
        if let Some(rules) = scaler.at(&format!("/spec/behavior/{side}")) {
            scaling_rules(rules, behavior.child(side), complaints);
        }
    }
}

fn segment(name: &str) -> Vec<String> {
    names::path_segment(name, false)
}

fn reference(reference: Option<&Value>, at: Path<'_>, complaints: &mut Complaints) {
    for field in ["kind", "name"] {
        let value = reference.map_or("", |reference| reference.str_at(&format!("/{field}")));
        complaints.name(at.child(field), value, segment);
    }
}

fn validate_metric(metric: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let kind = metric.str_at("/type");
    if kind.is_empty() {
        complaints.required(at.child("type"), "must specify a metric source type");
    }
    if !TYPES.contains(&kind) {
        complaints.not_supported(at.child("type"), kind, TYPES);
    }
    let given: Vec<&str> = SOURCES
        .iter()
        .map(|(_, field)| *field)
        .filter(|field| metric.get(field).is_some_and(Value::is_object))
        .collect();
    if let Some((field, source)) = given.first().and_then(|field| Some((*field, metric.get(field)?))) {
        validate_source(field, source, at.child(field), complaints);
    }
    let expected = SOURCES.iter().find(|(known, _)| *known == kind).map(|(_, field)| *field);
    match expected {
        Some(field) if !given.contains(&field) => complaints.required(at.child(field), POPULATE),
        Some(_) => {}
        None => complaints.not_supported(at.child("type"), kind, TYPES),
    }
    if given.len() > 1 {
        for other in given.iter().filter(|field| Some(**field) != expected) {
            complaints.forbidden(at.child(other), "must populate the given metric source only");
        }
    }
}

fn validate_source(field: &str, source: &Value, at: Path<'_>, complaints: &mut Complaints) {
    match field {
        "object" => {
            reference(source.at("/describedObject"), at.child("describedObject"), complaints);
        }
        "resource" | "containerResource" if source.str_at("/name").is_empty() => {
            complaints.required(at.child("name"), "must specify a resource name");
        }
        _ => {}
    }
    if field == "containerResource" {
        match source.str_at("/container") {
            "" => complaints.required(at.child("container"), "must specify a container"),
            name => complaints.each(at.child("container"), name, names::dns1123_label(name)),
        }
    }
    if matches!(field, "object" | "external" | "pods") {
        let (at, name) = (at.child("metric"), source.str_at("/metric/name"));
        if name.is_empty() {
            complaints.required(at.child("name"), "must specify a metric name");
        } else {
            complaints.each(at.child("name"), name, segment(name));
        }
    }
    let at = at.child("target");
    target(source.at("/target").unwrap_or(&Value::Null), at, complaints);
    let has = |amount: &str| source.at(&format!("/target/{amount}")).is_some();
    let (value, average, utilization) = (has("value"), has("averageValue"), has("averageUtilization"));
    match field {
        "object" if !value && !average => {
            complaints.required(at.child("averageValue"), "must set either a target value or averageValue");
        }
        "external" if !value && !average => {
            let detail = "must set either a target value for metric or a per-pod target";
            complaints.required(at.child("averageValue"), detail);
        }
        "external" if value && average => {
            let detail = "may not set both a target value for metric and a per-pod target";
            complaints.forbidden(at.child("value"), detail);
        }
        "pods" if !average => {
            complaints.required(at.child("averageValue"), "must specify a positive target averageValue");
        }
        "resource" | "containerResource" if !utilization && !average => {
            let detail = "must set either a target raw value or a target utilization";
            complaints.required(at.child("averageUtilization"), detail);
        }
        "resource" | "containerResource" if utilization && average => {
            let detail = "may not set both a target raw value and a target utilization";
            complaints.forbidden(at.child("averageValue"), detail);
        }
        _ => {}
    }
}

fn target(target: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let kind = target.str_at("/type");
    if kind.is_empty() {
        complaints.required(at.child("type"), "must specify a metric target type");
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        complaints.invalid(at.child("type"), kind, "must be either Utilization, Value, or AverageValue");
    }
    for field in ["value", "averageValue"] {
        let Some(amount) = target.get(field) else { continue };
        let at = at.child(field);
        match Quantity::from_value(amount) {
            Ok(amount) if amount.is_negative() || amount.is_zero() => {
                complaints.invalid(at, amount.to_string(), "must be positive");
            }
            Ok(_) => {}
            Err(error) => complaints.invalid(at, amount.clone(), error.to_string()),
        }
    }
    complaints.positive(at.child("averageUtilization"), target.i64_at("/averageUtilization"));
}

fn scaling_rules(rules: &Value, at: Path<'_>, complaints: &mut Complaints) {
    if let Some(seconds) = rules.i64_at("/stabilizationWindowSeconds") {
        let at = at.child("stabilizationWindowSeconds");
        if seconds < 0 {
            complaints.invalid(at, seconds, "must be greater than or equal to zero");
        }
        if seconds > WINDOW_SECONDS_MAX {
            complaints.invalid(at, seconds, format!("must be less than or equal to {WINDOW_SECONDS_MAX}"));
        }
    }
    let select = rules.str_at("/selectPolicy");
    complaints.optional_one_of(at.child("selectPolicy"), select, &["Disabled", "Max", "Min"]);
    let list = at.child("policies");
    let policies = rules.list_at("/policies");
    if policies.is_empty() {
        complaints.required(list, "must specify at least one Policy");
    }
    for (index, policy) in policies.iter().enumerate() {
        let at = list.index(index);
        let kind = policy.str_at("/type");
        if !matches!(kind, "Percent" | "Pods") {
            complaints.not_supported(at.child("type"), kind, &["Percent", "Pods"]);
        }
        let (value, period) =
            (policy.i64_at("/value").unwrap_or(0), policy.i64_at("/periodSeconds").unwrap_or(0));
        if value <= 0 {
            complaints.invalid(at.child("value"), value, "must be greater than zero");
        }
        if period <= 0 {
            complaints.invalid(at.child("periodSeconds"), period, "must be greater than zero");
        }
        if period > PERIOD_SECONDS_MAX {
            let detail = format!("must be less than or equal to {PERIOD_SECONDS_MAX}");
            complaints.invalid(at.child("periodSeconds"), period, detail);
        }
    }
    if let Some(tolerance) = rules.get("tolerance") {
        complaints.amount(at.child("tolerance"), tolerance);
    }
}
