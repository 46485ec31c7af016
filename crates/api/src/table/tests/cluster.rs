//! What is neither a workload nor a way to one: nodes, settings, permissions, events, storage, devices, policies.

use super::*;

#[test]
fn nodes() {
    check(
        "Node",
        json!({"metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "b",
                "node-role.kubernetes.io/": ""}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
                "nodeInfo": {"kubeletVersion": "v1.36.2", "osImage": "Debian"}}}),
        "n1 | Ready,SchedulingDisabled | b,control-plane | 5m3s | v1.36.2 | 10.0.0.1 | <none> | Debian | <unknown> | <unknown>",
    );
    let status = |status: &str| json!({"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": status}]}});
    let tail = "<none> | 5m3s |  | <none> | <none> | <unknown> | <unknown> | <unknown>";
    check("Node", status("False"), &format!("n | NotReady | {tail}"));
    check("Node", status("Unknown"), &format!("n | NotReady | {tail}"));
    check("Node", json!({"metadata": {"name": "n"}}), &format!("n | Unknown | {tail}"));
    check(
        "Lease.coordination.k8s.io",
        json!({"metadata": {"name": "n"}, "spec": {"holderIdentity": "me"}}),
        "n | me | 5m3s",
    );
}

#[test]
fn configuration() {
    check(
        "Namespace",
        json!({"metadata": {"name": "shop"}, "status": {"phase": "Terminating"}}),
        "shop | Terminating | 5m3s",
    );
    check(
        "ConfigMap",
        json!({"metadata": {"name": "c"}, "data": {"a": "1"}, "binaryData": {"b": "Mg=="}}),
        "c | 2 | 5m3s",
    );
    check(
        "Secret",
        json!({"metadata": {"name": "s"}, "type": "Opaque", "data": {"a": "MQ=="}}),
        "s | Opaque | 1 | 5m3s",
    );
    check("ServiceAccount", json!({"metadata": {"name": "default"}}), "default | 5m3s");
    check("LimitRange", json!({"metadata": {"name": "l"}}), "l | 2026-01-01T23:54:57Z");
    check(
        "ResourceQuota",
        json!({"metadata": {"name": "q"}, "status": {"hard": {"pods": "10", "limits.cpu": "4", "cpu": "2"}, "used": {"pods": "3"}}}),
        "q | cpu: 0/2, pods: 3/10 | limits.cpu: 0/4 | 5m3s",
    );
    check(
        "PriorityClass.scheduling.k8s.io",
        json!({"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "PreemptLowerPriority"}),
        "high | 1000 | false | 5m3s | PreemptLowerPriority",
    );
    check(
        "CustomResourceDefinition.apiextensions.k8s.io",
        json!({"metadata": {"name": "w.example.com"}}),
        "w.example.com | 2026-01-01T23:54:57Z",
    );
}

#[test]
fn access() {
    check(
        "ClusterRole.rbac.authorization.k8s.io",
        json!({"metadata": {"name": "admin"}}),
        "admin | 2026-01-01T23:54:57Z",
    );
    check(
        "RoleBinding.rbac.authorization.k8s.io",
        json!({"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": [
            {"kind": "User", "name": "u1"}, {"kind": "User", "name": "u2"}, {"kind": "Group", "name": "g"},
            {"kind": "ServiceAccount", "namespace": "n", "name": "a"}]}),
        "b | Role/r | 5m3s | u1, u2 | g | n/a",
    );
    let csr = |conditions: &[&str], certificate: &str| {
        let conditions: Vec<_> =
            conditions.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
        json!({"metadata": {"name": "csr-x"}, "spec": {"signerName": "s/x", "username": "u"},
            "status": {"conditions": conditions, "certificate": certificate}})
    };
    for (conditions, certificate, words) in [
        (&[][..], "", "Pending"),
        (&["Approved"], "", "Approved"),
        (&["Approved"], "Q0VSVA==", "Approved,Issued"),
        (&["Denied"], "", "Denied"),
        (&["Approved", "Failed"], "", "Approved,Failed"),
    ] {
        check(
            "CertificateSigningRequest.certificates.k8s.io",
            csr(conditions, certificate),
            &format!("csr-x | 5m3s | s/x | u | <none> | {words}"),
        );
    }
    let mut short = csr(&[], "");
    short.set_at("/spec/expirationSeconds", 3600 * 24);
    check("CertificateSigningRequest.certificates.k8s.io", short, "csr-x | 5m3s | s/x | u | 24h | Pending");
}

#[test]
fn events() {
    check(
        "Event",
        json!({"metadata": {"name": "e.1"}, "type": "Warning", "reason": "Failed", "message": " it broke \n",
            "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{a}"},
            "source": {"component": "kubelet", "host": "n1"}, "count": 3,
            "firstTimestamp": "2026-01-01T23:00:00Z", "lastTimestamp": "2026-01-01T23:59:00Z"}),
        "60s | Warning | Failed | pod/p | spec.containers{a} | kubelet, n1 | it broke | 60m | 3 | e.1",
    );
    check(
        "Event",
        json!({"metadata": {"name": "e.2"}, "type": "Normal", "reason": "Scheduled", "message": "m",
            "involvedObject": {"kind": "Node"}, "reportingComponent": "scheduler", "eventTime": "2026-01-01T23:59:58.000000Z"}),
        "2s | Normal | Scheduled | node |  | scheduler | m | 2s | 1 | e.2",
    );
    check(
        "Event.events.k8s.io",
        json!({"metadata": {"name": "e.3"}, "type": "Normal", "reason": "R", "note": "m", "eventTime": "2026-01-01T23:00:00.000000Z",
            "regarding": {"kind": "Pod", "name": "p"}, "reportingController": "c", "reportingInstance": "i",
            "series": {"count": 7, "lastObservedTime": "2026-01-01T23:59:50.000000Z"}}),
        "10s | Normal | R | pod/p |  | c, i | m | 60m | 7 | e.3",
    );
}

#[test]
fn storage_and_cluster() {
    check(
        "PersistentVolume",
        json!({"metadata": {"name": "pv"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": "n", "name": "c"}, "storageClassName": "fast",
            "volumeMode": "Filesystem"}, "status": {"phase": "Bound"}}),
        "pv | 1Gi | RWO,RWX | Retain | Bound | n/c | fast | <unset> |  | 5m3s | Filesystem",
    );
    check(
        "PersistentVolumeClaim",
        json!({"metadata": {"name": "c"}, "spec": {}, "status": {"phase": "Pending"}}),
        "c | Pending |  |  |  |  | <unset> | 5m3s | <unset>",
    );
    check(
        "StorageClass.storage.k8s.io",
        json!({"metadata": {"name": "std", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "x/y"}),
        "std (default) | x/y | Delete | Immediate | false | 5m3s",
    );
    check(
        "APIService.apiregistration.k8s.io",
        json!({"metadata": {"name": "v1.apps"}, "status": {"conditions": [{"type": "Available", "status": "True"}]}}),
        "v1.apps | Local | True | 5m3s",
    );
    check(
        "APIService.apiregistration.k8s.io",
        json!({"metadata": {"name": "v1.x"}, "spec": {"service": {"namespace": "n", "name": "s"}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}}),
        "v1.x | n/s | False (MissingEndpoints) | 5m3s",
    );
    check(
        "HorizontalPodAutoscaler.autoscaling",
        json!({"metadata": {"name": "h"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
                {"type": "Pods", "pods": {"target": {"averageValue": "10"}}}, {"type": "Odd"}]},
            "status": {"currentMetrics": [{"resource": {"current": {"averageUtilization": 40}}}], "currentReplicas": 2}}),
        "h | Deployment/web | cpu: 40%/80%, <unknown>/10 + 1 more... | <unset> | 5 | 2 | 5m3s",
    );
}

#[test]
fn devices() {
    check("DeviceClass.resource.k8s.io", json!({"metadata": {"name": "gpu"}}), "gpu | 5m3s");
    check("ResourceClaimTemplate.resource.k8s.io", json!({"metadata": {"name": "t"}}), "t | 5m3s");
    check(
        "ResourceSlice.resource.k8s.io",
        json!({"metadata": {"name": "s"}, "spec": {"nodeName": "n1", "driver": "d.example.com", "pool": {"name": "p"}}}),
        "s | n1 | d.example.com | p | 5m3s",
    );
    for (claim, state) in [
        (json!({}), "pending"),
        (json!({"metadata": {"deletionTimestamp": NOW}}), "deleted"),
        (json!({"status": {"allocation": {}}}), "allocated"),
        (json!({"status": {"allocation": {}, "reservedFor": [{"uid": "u"}]}}), "allocated,reserved"),
        (
            json!({"metadata": {"deletionTimestamp": NOW}, "status": {"allocation": {}, "reservedFor": [{"uid": "u"}]}}),
            "deleted,allocated,reserved",
        ),
    ] {
        check("ResourceClaim.resource.k8s.io", claim, &format!(" | {state} | 5m3s"));
    }
}

#[test]
fn storage_and_policies() {
    check(
        "VolumeAttributesClass.storage.k8s.io",
        json!({"metadata": {"name": "gold", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "driverName": "d"}),
        "gold (default) | d | 5m3s",
    );
    check(
        "CSIStorageCapacity.storage.k8s.io",
        json!({"metadata": {"name": "c"}, "storageClassName": "fast", "capacity": "1Gi"}),
        "c | fast | 1Gi",
    );
    check(
        "CSIStorageCapacity.storage.k8s.io",
        json!({"metadata": {"name": "c"}, "storageClassName": "fast"}),
        "c | fast | <unset>",
    );
    check(
        "MutatingAdmissionPolicy.admissionregistration.k8s.io",
        json!({"metadata": {"name": "m"}, "spec": {"mutations": [{}, {}], "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}}),
        "m | 2 | v1/ConfigMap | 5m3s",
    );
    check(
        "MutatingAdmissionPolicyBinding.admissionregistration.k8s.io",
        json!({"metadata": {"name": "b"}, "spec": {"policyName": "m", "paramRef": {"name": "p"}}}),
        "b | m | */p | 5m3s",
    );
}

#[test]
fn component_statuses() {
    let component = |conditions: Value| json!({"metadata": {"name": "scheduler"}, "conditions": conditions});
    for (conditions, expected) in [
        (json!([]), "scheduler | Unknown |  | "),
        (json!([{"type": "Healthy", "status": "True", "message": "ok"}]), "scheduler | Healthy | ok | "),
        (json!([{"type": "Healthy", "status": "False", "error": "e"}]), "scheduler | Unhealthy |  | e"),
    ] {
        check("ComponentStatus", component(conditions), expected);
    }
}
