//! Budgets and autoscalers.

use super::*;

const SCALER: &str = "HorizontalPodAutoscaler.autoscaling";

fn scaler(rest: Value) -> Value {
    let mut object =
        json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "w"}, "maxReplicas": 2}});
    for (field, value) in rest.as_object().into_iter().flatten() {
        object.set_at(&format!("/spec/{field}"), value.clone());
    }
    object
}

#[test]
fn budgets() {
    let budget = "PodDisruptionBudget.policy";
    check_create(budget, json!({"spec": {"minAvailable": "50%"}}), &[]);
    check_create(
        budget,
        json!({"spec": {"minAvailable": "half"}}),
        &[
            "spec.minAvailable: Invalid value: \"half\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ],
    );
    check_create(
        budget,
        json!({"spec": {"minAvailable": 1, "maxUnavailable": 1}}),
        &[
            "spec: Invalid value: {\"minAvailable\":1,\"maxUnavailable\":1}: minAvailable and maxUnavailable cannot be both set",
        ],
    );
    check_create(
        budget,
        json!({"spec": {"maxUnavailable": "101%", "unhealthyPodEvictionPolicy": "Never"}}),
        &[
            "spec.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
            "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\": supported values: \"AlwaysAllow\", \"IfHealthyBudget\"",
        ],
    );
    let old = created(budget, json!({"spec": {"minAvailable": 1}}));
    let mut new = old.clone();
    new.set_at("/status/expectedPods", -1);
    assert_eq!(
        updated(budget, &old, new, "status").1,
        ["status.expectedPods: Invalid value: -1: must be greater than or equal to 0"]
    );
}

#[test]
fn autoscalers() {
    let made = created(SCALER, scaler(json!({"behavior": {"scaleUp": {"selectPolicy": "Min"}}})));
    let target = json!({"type": "Utilization", "averageUtilization": 80});
    assert_eq!(
        made["spec"]["metrics"],
        json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}])
    );
    assert_eq!(
        made["spec"]["behavior"],
        json!({
            "scaleUp": {"selectPolicy": "Min", "stabilizationWindowSeconds": 0, "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]},
            "scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
        })
    );
    check_create(SCALER, scaler(json!({})), &[]);
    check_create(
        SCALER,
        json!({"spec": {"minReplicas": 3, "maxReplicas": 2}}),
        &[
            "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
            "spec.scaleTargetRef.kind: Required value",
            "spec.scaleTargetRef.name: Required value",
        ],
    );
    check_create(
        SCALER,
        scaler(
            json!({"minReplicas": 0, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 3601, "policies": []},
            "scaleUp": {"policies": [{"type": "Some", "value": 0, "periodSeconds": 1801}]}}}),
        ),
        &[
            "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
            "spec.behavior.scaleUp.policies[0].type: Unsupported value: \"Some\": supported values: \"Percent\", \"Pods\"",
            "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
            "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
            "spec.behavior.scaleDown.policies: Required value: must specify at least one Policy",
        ],
    );
}

#[track_caller]
fn check_metric(metric: Value, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|text| format!("spec.metrics[0]{text}")).collect();
    let object = created(SCALER, scaler(json!({"metrics": [metric]})));
    assert_eq!(words(validate_create(kind(SCALER), &object)), expected);
}

#[test]
fn metrics() {
    let average = json!({"type": "AverageValue", "averageValue": "1"});
    check_metric(json!({"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": average}}), &[]);
    check_metric(
        json!({}),
        &[
            ".type: Required value: must specify a metric source type",
            ".type: Unsupported value: \"\": supported values: \"ContainerResource\", \"External\", \"Object\", \"Pods\", \"Resource\"",
            ".type: Unsupported value: \"\": supported values: \"ContainerResource\", \"External\", \"Object\", \"Pods\", \"Resource\"",
        ],
    );
    check_metric(
        json!({"type": "Resource"}),
        &[".resource: Required value: must populate information for the given metric source"],
    );
    check_metric(
        json!({"type": "Resource", "resource": {"target": {"type": "Utilization", "averageUtilization": 0}}}),
        &[
            ".resource.name: Required value: must specify a resource name",
            ".resource.target.averageUtilization: Invalid value: 0: must be greater than 0",
        ],
    );
    check_metric(
        json!({"type": "Pods", "pods": {"metric": {}, "target": {"type": "Most", "averageValue": "0"}}, "resource": {}}),
        &[
            ".pods.metric.name: Required value: must specify a metric name",
            ".pods.target.type: Invalid value: \"Most\": must be either Utilization, Value, or AverageValue",
            ".pods.target.averageValue: Invalid value: \"0\": must be positive",
            ".resource: Forbidden: must populate the given metric source only",
        ],
    );
    check_metric(
        json!({"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s"}, "metric": {"name": "m"}, "target": {"type": "Value"}}}),
        &[".object.target.averageValue: Required value: must set either a target value or averageValue"],
    );
}

/// The rules are those of v2, whichever version a client speaks; so are the paths in the complaints.
#[test]
fn an_autoscaler_of_the_old_version_is_held_to_the_new_one_s_rules() {
    let v1 = kinds::find("autoscaling", "v1", "horizontalpodautoscalers").expect("a row");
    let mut object = scaler(json!({"targetCPUUtilizationPercentage": 0}));
    object.set_at("/apiVersion", "autoscaling/v1");
    default(v1, &mut object);
    prepare_for_create(v1, &mut object, now());
    assert_eq!(object["spec"]["targetCPUUtilizationPercentage"], 0);
    assert_eq!(object["spec"]["minReplicas"], 1);
    assert_eq!(object.at("/spec/metrics"), None);
    assert_eq!(
        words(validate_create(v1, &object)),
        ["spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0"]
    );
}

/// The status of v1 stands partly in annotations, which a client of the main endpoint may have lost.
#[test]
fn the_main_endpoint_keeps_the_annotated_status() {
    let (v1, v2) = (
        kinds::find("autoscaling", "v1", "horizontalpodautoscalers").expect("a row"),
        kinds::find("autoscaling", "v2", "horizontalpodautoscalers").expect("a row"),
    );
    let mut stored = created(SCALER, scaler(json!({})));
    stored.set_at("/apiVersion", "autoscaling/v2");
    stored.set_at("/status/conditions", json!([{"type": "AbleToScale", "status": "True"}]));
    let mut old = stored.clone();
    kinds::convert(v2, v1, &mut old);
    let mut new = old.clone();
    new.remove_annotation("autoscaling.alpha.kubernetes.io/conditions");
    new.set_at("/spec/maxReplicas", 9);
    default(v1, &mut new);
    prepare_for_update(v1, &mut new, &old, "", now());
    assert_eq!(validate_update(v1, &new, &old, ""), []);
    kinds::convert(v1, v2, &mut new);
    assert_eq!(new["spec"]["maxReplicas"], 9);
    assert_eq!(new["status"], stored["status"]);
}
