//! There and back: what each version shows, and that nothing is lost on the way.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::kinds::find;

fn scaler(version: &str) -> &'static Kind {
    find("autoscaling", version, "horizontalpodautoscalers").expect("a row")
}

fn event(group: &str) -> &'static Kind {
    find(group, "v1", "events").expect("a row")
}

fn converted(from: &Kind, to: &Kind, object: &Value) -> Value {
    let mut object = object.clone();
    convert(from, to, &mut object);
    object
}

/// A metric of v2 beside the text that v1 keeps in its annotation.
#[track_caller]
fn check_metric(metric: Value, flat: Value) {
    let before =
        json!({"apiVersion": "autoscaling/v2", "metadata": {"name": "h"}, "spec": {"metrics": [metric]}});
    let v1 = converted(scaler("v2"), scaler("v1"), &before);
    let text = v1.annotation("autoscaling.alpha.kubernetes.io/metrics").expect("an annotation");
    assert_eq!(serde_json::from_str::<Value>(text).ok(), Some(json!([flat])));
    let mut back = converted(scaler("v1"), scaler("v2"), &v1);
    back.remove_at("/metadata/annotations");
    assert_eq!(back, before);
}

#[test]
fn metrics_of_each_source_in_the_annotation() {
    check_metric(
        json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}),
        json!({"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}}),
    );
    check_metric(
        json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app",
            "target": {"type": "Utilization", "averageUtilization": 60}}}),
        json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app", "targetAverageUtilization": 60}}),
    );
    check_metric(
        json!({"type": "Pods", "pods": {"metric": {"name": "rps", "selector": {"matchLabels": {"a": "b"}}},
            "target": {"type": "AverageValue", "averageValue": "10"}}}),
        json!({"type": "Pods", "pods": {"metricName": "rps", "selector": {"matchLabels": {"a": "b"}}, "targetAverageValue": "10"}}),
    );
    check_metric(
        json!({"type": "External", "external": {"metric": {"name": "queue", "selector": {"matchLabels": {"a": "b"}}},
            "target": {"type": "Value", "value": "30"}}}),
        json!({"type": "External", "external": {"metricName": "queue", "metricSelector": {"matchLabels": {"a": "b"}}, "targetValue": "30"}}),
    );
    let object = json!({"kind": "Service", "name": "s", "apiVersion": "v1"});
    check_metric(
        json!({"type": "Object", "object": {"describedObject": object, "metric": {"name": "hits"},
            "target": {"type": "AverageValue", "averageValue": "5"}}}),
        json!({"type": "Object", "object": {"target": object, "metricName": "hits", "averageValue": "5", "targetValue": "0"}}),
    );
}

#[test]
fn an_autoscaler_of_v1_without_a_metric_aims_at_four_fifths() {
    let v1 = json!({"apiVersion": "autoscaling/v1", "metadata": {}, "spec": {"maxReplicas": 3}});
    let v2 = converted(scaler("v1"), scaler("v2"), &v1);
    let target = v2.at("/spec/metrics/0/resource/target");
    assert_eq!(target, Some(&json!({"type": "Utilization", "averageUtilization": 80})));
    assert_eq!(converted(scaler("v2"), scaler("v1"), &v2)["spec"]["targetCPUUtilizationPercentage"], 80);
}

#[test]
fn status_and_behavior_have_annotations_too() {
    let conditions = json!([{"type": "AbleToScale", "status": "True"}]);
    let current = json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7, "averageValue": "70m"}}}]);
    let before = json!({"apiVersion": "autoscaling/v2", "metadata": {"name": "h"},
        "spec": {"metrics": [utilization(50)],
            "behavior": {"scaleUp": {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}}},
        "status": {"currentMetrics": current, "conditions": conditions}});
    let mut v1 = converted(scaler("v2"), scaler("v1"), &before);
    assert_eq!(v1["spec"], json!({"targetCPUUtilizationPercentage": 50}));
    assert_eq!(v1["status"], json!({"currentCPUUtilizationPercentage": 7}));
    let texts =
        |key: &str| v1.annotation(&format!("autoscaling.alpha.kubernetes.io/{key}")).map(str::to_owned);
    assert_eq!(
        texts("behavior").as_deref(),
        Some(
            r#"{"ScaleUp":{"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}]}}"#
        )
    );
    assert_eq!(texts("conditions"), Some(conditions.to_string()));
    assert_eq!(texts("metrics"), None);
    convert(scaler("v1"), scaler("v2"), &mut v1);
    v1.remove_at("/metadata/annotations");
    assert_eq!(v1, before);
}

fn utilization(percentage: i64) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percentage}}})
}

fn target() -> impl Strategy<Value = Value> {
    prop_oneof![
        (1..100i64).prop_map(|n| json!({"type": "Utilization", "averageUtilization": n})),
        (1..100i64).prop_map(|n| json!({"type": "AverageValue", "averageValue": n.to_string()})),
    ]
}

fn named_target() -> impl Strategy<Value = Value> {
    prop_oneof![
        (1..100i64).prop_map(|n| json!({"type": "Value", "value": n.to_string()})),
        (1..100i64).prop_map(|n| json!({"type": "AverageValue", "averageValue": n.to_string()})),
    ]
}

fn metric_name() -> impl Strategy<Value = Value> {
    ("[a-z]{1,5}", any::<bool>()).prop_map(|(name, selected)| match selected {
        true => json!({"name": name, "selector": {"matchLabels": {"a": "b"}}}),
        false => json!({"name": name}),
    })
}

fn metric() -> impl Strategy<Value = Value> {
    prop_oneof![
        ("cpu|memory", target())
            .prop_map(|(name, target)| json!({"type": "Resource", "resource": {"name": name, "target": target}})),
        ("cpu|memory", target()).prop_map(|(name, target)| json!({"type": "ContainerResource",
            "containerResource": {"name": name, "container": "c", "target": target}})),
        (metric_name(), (1..100i64)).prop_map(|(name, n)| json!({"type": "Pods",
            "pods": {"metric": name, "target": {"type": "AverageValue", "averageValue": n.to_string()}}})),
        (metric_name(), named_target())
            .prop_map(|(name, target)| json!({"type": "External", "external": {"metric": name, "target": target}})),
        (metric_name(), named_target()).prop_map(|(name, target)| json!({"type": "Object",
            "object": {"describedObject": {"kind": "Service", "name": "s"}, "metric": name, "target": target}})),
    ]
}

/// Metrics as a set: v1's own field comes first on the way back.
fn sorted(scaler: &Value) -> Vec<String> {
    let mut metrics: Vec<String> = scaler
        .list_at("/spec/metrics")
        .iter()
        .map(|metric| {
            // The order of keys is no part of the meaning.
            let mut metric = metric.clone();
            metric.sort_all_objects();
            metric.to_string()
        })
        .collect();
    metrics.sort();
    metrics
}

proptest! {
    #[test]
    fn an_autoscaler_loses_nothing_on_its_way_through_v1(metrics in proptest::collection::vec(metric(), 1..5), replicas in 1..9i64) {
        let before = json!({"apiVersion": "autoscaling/v2", "metadata": {"name": "h"},
            "spec": {"maxReplicas": replicas, "metrics": metrics, "behavior": {"scaleDown": {"stabilizationWindowSeconds": replicas}}},
            "status": {"desiredReplicas": replicas}});
        let v1 = converted(scaler("v2"), scaler("v1"), &before);
        for field in ["/spec/metrics", "/spec/behavior", "/status/currentMetrics", "/status/conditions"] {
            prop_assert_eq!(v1.at(field), None);
        }
        let back = converted(scaler("v1"), scaler("v2"), &v1);
        prop_assert_eq!(sorted(&back), sorted(&before));
        prop_assert_eq!(&back["spec"]["behavior"], &before["spec"]["behavior"]);
        prop_assert_eq!(&back["status"], &before["status"]);
        prop_assert_eq!(&back["spec"]["maxReplicas"], &before["spec"]["maxReplicas"]);
    }

    #[test]
    fn an_event_loses_nothing_on_its_way_through_the_other_group(fields in proptest::collection::btree_map(
        proptest::sample::select(vec!["involvedObject", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reportingComponent",
            "reportingInstance", "eventTime", "series", "action", "related", "reason", "type"]), 0..9i64, 0..14)) {
        let mut before = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}});
        for (field, value) in &fields {
            before[*field] = (*value).into();
        }
        let new = converted(event(""), event("events.k8s.io"), &before);
        prop_assert_eq!(new.as_object().map(|map| map.len()), before.as_object().map(|map| map.len()));
        prop_assert_eq!(converted(event("events.k8s.io"), event(""), &new), before);
    }

    #[test]
    fn anything_can_be_in_the_annotations(text in ".*") {
        let mut scaler_v1 = json!({"apiVersion": "autoscaling/v1", "metadata": {"name": "h"}, "spec": {}});
        for key in ["metrics", "behavior", "conditions", "current-metrics"] {
            scaler_v1.set_annotation(&format!("autoscaling.alpha.kubernetes.io/{key}"), &text);
        }
        convert(scaler("v1"), scaler("v2"), &mut scaler_v1);
        convert(scaler("v2"), scaler("v1"), &mut scaler_v1);
    }
}
