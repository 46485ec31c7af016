//! Config maps, secrets, limits, priorities, leases, events, namespaces, nodes.

use super::*;

#[test]
fn namespaces() {
    let made = created("Namespace", json!({"metadata": {"name": "shop"}}));
    assert_eq!(made["spec"], json!({"finalizers": ["kubernetes"]}));
    assert_eq!(made["status"], json!({"phase": "Active"}));
    assert_eq!(made.label("kubernetes.io/metadata.name"), Some("shop"));

    let mut new = made.clone();
    new.set_at("/spec/finalizers", json!([]));
    new.set_at("/status/phase", "Terminating");
    new.remove_label("kubernetes.io/metadata.name");
    assert_eq!(updated("Namespace", &made, new.clone(), ""), (made.clone(), vec![]));
    let (finalized, errors) = updated("Namespace", &made, new.clone(), "finalize");
    assert_eq!((&finalized["spec"]["finalizers"], finalized.str_at("/status/phase")), (&json!([]), "Active"));
    assert_eq!(errors, Vec::<String>::new());
    let (_, errors) = updated("Namespace", &made, new.clone(), "status");
    assert_eq!(
        errors,
        [
            "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
        ]
    );
    let mut dying = made.clone();
    dying.set_at("/metadata/deletionTimestamp", NOW);
    new.set_at("/metadata/deletionTimestamp", NOW);
    assert_eq!(updated("Namespace", &dying, new, "status").1, Vec::<String>::new());
}

#[test]
fn nodes() {
    let node = |taints: Value| json!({"metadata": {"name": "n"}, "spec": {"taints": taints}, "status": {"capacity": {"cpu": "2000m"}}});
    let made = created("Node", node(json!([])));
    assert_eq!(
        made["status"],
        json!({"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}}),
        "a kubelet creates its node with a status"
    );
    check_create(
        "Node",
        node(
            json!([{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}, {"key": "b"}, {"key": "c", "effect": "No"}]),
        ),
        &[
            "spec.taints[1]: Duplicate value: {\"key\":\"a\",\"effect\":\"NoSchedule\"}",
            "spec.taints[2].effect: Required value",
            "spec.taints[3].effect: Unsupported value: \"No\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
        ],
    );
    let mut object = node(json!([]));
    object.set_at("/spec/podCIDRs", json!(["10.1.0.0/24"]));
    check_update(
        "Node",
        object,
        |node| node.set_at("/spec/podCIDRs", json!(["10.2.0.0/24"])),
        &["spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"],
    );
    let mut new = made.clone();
    new.set_at("/spec/unschedulable", true);
    new.set_at("/status/capacity/cpu", "4");
    assert_eq!(updated("Node", &made, new.clone(), "").0["status"], made["status"]);
    assert_eq!(updated("Node", &made, new, "status").0["spec"], made["spec"]);
}

#[test]
fn config_maps() {
    let map = |data: Value| json!({"metadata": {"name": "c"}, "data": data});
    check_create("ConfigMap", map(json!({"a.b-c_d": "x"})), &[]);
    check_create(
        "ConfigMap",
        map(json!({"a/b": "x"})),
        &[
            "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ],
    );
    check_create("ConfigMap", map(json!({"a": "x".repeat(1024 * 1024)})), &[]);
    check_create(
        "ConfigMap",
        map(json!({"a": "x".repeat(1024 * 1024 + 1)})),
        &["[]: Too long: may not be more than 1048576 bytes"],
    );
    check_create(
        "ConfigMap",
        json!({"data": {"a": "x"}, "binaryData": {"a": "eA=="}}),
        &["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"],
    );
    let frozen = || json!({"metadata": {"name": "c"}, "data": {"a": "x"}, "immutable": true});
    check_update("ConfigMap", frozen(), |map| map.set_label("a", "b"), &[]);
    check_update(
        "ConfigMap",
        frozen(),
        |map| map.set_at("/data/a", "y"),
        &["data: Forbidden: field is immutable when `immutable` is set"],
    );
    check_update(
        "ConfigMap",
        frozen(),
        |map| map.set_at("/immutable", false),
        &["immutable: Forbidden: field is immutable when `immutable` is set"],
    );
}

#[test]
fn secrets() {
    let made = created("Secret", json!({"stringData": {"a": "1"}, "data": {"a": "MA==", "b": "Mg=="}}));
    assert_eq!(
        made,
        json!({"data": {"a": "MQ==", "b": "Mg=="}, "type": "Opaque", "metadata": {"uid": "u-1"}})
    );
    let of = |kind: &str, data: Value| json!({"metadata": {"name": "s"}, "type": kind, "data": data});
    check_create(
        "Secret",
        of("kubernetes.io/tls", json!({"tls.crt": ""})),
        &["data[tls.key]: Required value"],
    );
    check_create(
        "Secret",
        of("kubernetes.io/basic-auth", json!({})),
        &["data[username]: Required value", "data[password]: Required value"],
    );
    check_create("Secret", of("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "e30="})), &[]);
    check_create(
        "Secret",
        of("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "eA=="})),
        &["data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": must be a JSON object"],
    );
    check_create(
        "Secret",
        of("kubernetes.io/service-account-token", json!({})),
        &["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
    );
    check_create("Secret", of("bootstrap.kubernetes.io/token", json!({"token-id": "YWJjZGVm"})), &[]);
    check_update(
        "Secret",
        of("a", json!({})),
        |secret| secret.set_at("/type", "b"),
        &["type: Invalid value: \"b\": field is immutable"],
    );
}

#[test]
fn limit_ranges() {
    let range = |item: Value| json!({"metadata": {"name": "l"}, "spec": {"limits": [item]}});
    let made = created(
        "LimitRange",
        range(json!({"type": "Container", "max": {"cpu": "2000m"}, "min": {"cpu": "1", "memory": "1024Mi"}})),
    );
    assert_eq!(
        made["spec"]["limits"][0],
        json!({"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1Gi"}, "default": {"cpu": "2"},
            "defaultRequest": {"cpu": "2", "memory": "1Gi"}})
    );
    check_create(
        "LimitRange",
        range(json!({"type": "Pod", "max": {"cpu": "1"}, "min": {"cpu": "2"}})),
        &["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"],
    );
    check_create(
        "LimitRange",
        range(json!({"type": "Pod", "default": {"cpu": "1"}})),
        &["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
    );
    check_create(
        "LimitRange",
        range(json!({"type": "Container", "defaultRequest": {"cpu": "2"}, "default": {"cpu": "1"}})),
        &[
            "spec.limits[0].defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater than default limit value 1",
        ],
    );
    check_create(
        "LimitRange",
        json!({"spec": {"limits": [{"type": "Pod"}, {"type": "Pod"}, {}]}}),
        &["spec.limits[1].type: Duplicate value: \"Pod\"", "spec.limits[2].type: Required value"],
    );
    check_create(
        "LimitRange",
        range(json!({"type": "PersistentVolumeClaim"})),
        &[
            "spec.limits[0]: Required value: either minimum or maximum storage value is required, but neither was provided",
        ],
    );
}

#[test]
fn quotas() {
    let quota =
        |spec: Value| json!({"metadata": {"name": "q"}, "spec": spec, "status": {"used": {"pods": "9"}}});
    assert_eq!(
        created("ResourceQuota", quota(json!({"hard": {"pods": 5}})))["spec"]["hard"],
        json!({"pods": "5"})
    );
    check_create(
        "ResourceQuota",
        quota(json!({"hard": {"pods": "1.5", "cpu": "-1"}})),
        &[
            "spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
            "spec.hard[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    );
    check_create(
        "ResourceQuota",
        quota(json!({"scopes": ["BestEffort", "NotBestEffort"]})),
        &["spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes"],
    );
    check_update(
        "ResourceQuota",
        quota(json!({"scopes": ["Terminating"]})),
        |quota| quota.set_at("/spec/scopes", json!(["BestEffort"])),
        &["spec.scopes: Invalid value: [\"BestEffort\"]: field is immutable"],
    );
    check_update(
        "ResourceQuota",
        quota(json!({"scopes": ["Terminating", "BestEffort"]})),
        |quota| quota.set_at("/spec/scopes", json!(["BestEffort", "Terminating"])),
        &[],
    );
    check_create(
        "ResourceQuota",
        quota(json!({"scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]},
            {"scopeName": "PriorityClass", "operator": "In"},
            {"scopeName": "Mood", "operator": "Exists", "values": ["good"]},
            {"scopeName": "PriorityClass", "operator": "Like"}]}})),
        &[
            "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            "spec.scopeSelector.matchExpressions.scopeName: Invalid value: \"Mood\": unsupported scope",
            "spec.scopeSelector.matchExpressions.values: Invalid value: [\"good\"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            "spec.scopeSelector.matchExpressions.operator: Invalid value: \"Like\": not a valid selector operator",
        ],
    );
    assert_eq!(created("ResourceQuota", quota(json!({})))["status"], json!({}));
}

/// The newer group lets nothing change but the series.
#[test]
fn updates_of_events() {
    let event = || {
        json!({"metadata": {"namespace": "default"}, "regarding": {"namespace": "default"}, "eventTime": "2026-01-01T00:00:00.000000Z",
            "reportingController": "c", "reportingInstance": "i", "action": "a", "reason": "r", "type": "Normal", "note": "n"})
    };
    let newer = "Event.events.k8s.io";
    check_update(
        newer,
        event(),
        |event| {
            event.set_at("/series", json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}))
        },
        &[],
    );
    check_update(
        newer,
        event(),
        |event| {
            event.set_at("/note", "m");
            event.set_at("/series", json!({"count": 1}));
        },
        &[
            "message: Invalid value: \"m\": field is immutable",
            "series.count: Invalid value: \"\": should be at least 2",
            "series.lastObservedTime: Required value",
        ],
    );
    let core = json!({"metadata": {"namespace": "default"}, "involvedObject": {"namespace": "default"}, "message": "n"});
    check_update("Event", core, |event| event.set_at("/message", "m"), &[]);
}

#[test]
fn priority_classes() {
    let name = "PriorityClass.scheduling.k8s.io";
    let class = |name: &str, value: i64| json!({"metadata": {"name": name}, "value": value});
    assert_eq!(created(name, class("high", 1)).str_at("/preemptionPolicy"), "PreemptLowerPriority");
    check_create(name, class("system-node-critical", 2_000_001_000), &[]);
    check_create(
        name,
        class("system-mine", 1),
        &[
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
        ],
    );
    check_create(
        name,
        class("high", 1_000_000_001),
        &["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    );
    check_update(
        name,
        class("high", 1),
        |class| class.set_at("/value", 2),
        &["Value: Forbidden: may not be changed in an update."],
    );
}

#[test]
fn leases_and_events() {
    let lease = "Lease.coordination.k8s.io";
    check_create(lease, json!({"spec": {"holderIdentity": "a", "leaseDurationSeconds": 40}}), &[]);
    check_create(
        lease,
        json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}),
        &[
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
    let event = |namespace: &str, about: &str| json!({"metadata": {"namespace": namespace}, "involvedObject": {"namespace": about}});
    check_create("Event", event("n", "n"), &[]);
    check_create("Event", event("default", ""), &[]);
    check_create(
        "Event",
        event("n", "m"),
        &["involvedObject.namespace: Invalid value: \"m\": does not match event.namespace"],
    );
    check_create(
        "Event.events.k8s.io",
        json!({"metadata": {"namespace": "n"}, "regarding": {"namespace": "n"}, "eventTime": NOW, "type": "Odd"}),
        &[
            "reportingController: Required value",
            "reportingInstance: Required value",
            "action: Required value",
            "reason: Required value",
            "type: Invalid value: \"\": has invalid value: Odd",
        ],
    );
}
