//! One row per case: what `kubectl get -o wide` shows for an object.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: &str = "2026-01-02T00:00:00Z";
const CREATED: &str = "2026-01-01T23:54:57Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

/// Prints an object, created 5m3s before, with its cells separated by ` | `.
fn printed(group: &str, kind: &str, mut object: Value) -> String {
    object.set_at("/metadata/creationTimestamp", CREATED);
    object.set_at("/kind", kind);
    let printer = printer(group, kind);
    let cells = printer.row(&object, now());
    assert_eq!(cells.len(), printer.columns().len(), "a cell for every column of {kind}");
    let cells = cells.iter().map(|cell| text::scalar(Some(cell)).unwrap_or_else(|| cell.to_string()));
    cells.collect::<Vec<_>>().join(" | ")
}

#[track_caller]
fn check(kind: &str, object: Value, expected: &str) {
    let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
    assert_eq!(printed(group, kind, object), expected);
}

/// READY, STATUS and RESTARTS of a pod.
#[track_caller]
fn check_pod(object: Value, expected: &str) {
    let cells = printed("", "Pod", object);
    let cells: Vec<_> = cells.split(" | ").skip(1).take(3).collect();
    assert_eq!(cells.join(" "), expected);
}

fn running(restarts: i64) -> Value {
    json!({"name": "a", "ready": true, "restartCount": restarts, "state": {"running": {}}})
}

fn containers(phase: &str, statuses: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
        "status": {"phase": phase, "containerStatuses": statuses}})
}

#[test]
fn pods() {
    check(
        "Pod",
        json!({"metadata": {"name": "web-1"},
            "spec": {"nodeName": "n1", "containers": [{"name": "a"}],
                "readinessGates": [{"conditionType": "x/Up"}, {"conditionType": "x/Down"}]},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.7"}], "containerStatuses": [running(0)],
                "conditions": [{"type": "x/Up", "status": "True"}]}}),
        "web-1 | 1/1 | Running | 0 | 5m3s | 10.0.0.7 | n1 | <none> | 1/2",
    );
    check_pod(containers("Pending", json!([])), "0/2 Pending 0");
    let waiting =
        |reason: &str| json!({"name": "b", "restartCount": 3, "state": {"waiting": {"reason": reason}}});
    check_pod(containers("Pending", json!([waiting("ContainerCreating")])), "0/2 ContainerCreating 3");
    check_pod(
        containers("Running", json!([running(0), waiting("CrashLoopBackOff")])),
        "1/2 CrashLoopBackOff 3",
    );
    let restarted = json!({"name": "a", "ready": true, "restartCount": 2, "state": {"running": {}},
        "lastState": {"terminated": {"finishedAt": "2026-01-01T23:59:00Z"}}});
    check_pod(containers("Running", json!([restarted])), "1/2 Running 2 (60s ago)");
    let ended = |reason: &str, code: i64| json!({"name": "a", "state": {"terminated": {"reason": reason, "exitCode": code}}});
    check_pod(containers("Succeeded", json!([ended("Completed", 0)])), "0/2 Completed 0");
    check_pod(containers("Failed", json!([ended("Error", 1)])), "0/2 Error 0");
    check_pod(containers("Failed", json!([ended("", 137)])), "0/2 ExitCode:137 0");
    let signalled = json!({"name": "a", "state": {"terminated": {"signal": 9, "exitCode": 137}}});
    check_pod(containers("Failed", json!([signalled])), "0/2 Signal:9 0");
    check_pod(containers("Running", json!([ended("Completed", 0), running(0)])), "1/2 NotReady 0");
    check_pod(containers("Running", json!([ended("Completed", 0), ended("Error", 2)])), "0/2 Error 0");
}

#[test]
fn deleted_and_lost_pods() {
    let mut pod = containers("Running", json!([running(0), running(0)]));
    pod.set_at("/metadata/deletionTimestamp", NOW);
    check_pod(pod.clone(), "2/2 Terminating 0");
    pod.set_at("/status/reason", "NodeLost");
    check_pod(pod.clone(), "2/2 Unknown 0");
    pod.set_at("/status/reason", "Evicted");
    pod.set_at("/status/phase", "Failed");
    check_pod(pod, "2/2 Evicted 0");
    check_pod(
        json!({"spec": {"containers": [{}]}, "status": {"phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}}),
        "0/1 SchedulingGated 0",
    );
}

#[test]
fn init_containers() {
    let pod = |inits: Value, main: Value| {
        json!({"spec": {"containers": [{"name": "a"}], "initContainers": [
                {"name": "i1"}, {"name": "i2", "restartPolicy": "Always"}]},
            "status": {"phase": "Pending", "initContainerStatuses": inits, "containerStatuses": main}})
    };
    let done = json!({"name": "i1", "restartCount": 4, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    let sidecar =
        json!({"name": "i2", "restartCount": 1, "started": true, "ready": true, "state": {"running": {}}});
    check_pod(pod(json!([{"name": "i1", "state": {"running": {}}}]), json!([])), "0/2 Init:0/2 0");
    check_pod(
        pod(json!([done, {"name": "i2", "state": {"waiting": {"reason": "PodInitializing"}}}]), json!([])),
        "0/2 Init:1/2 4",
    );
    check_pod(
        pod(json!([{"name": "i1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]), json!([])),
        "0/2 Init:ImagePullBackOff 0",
    );
    check_pod(
        pod(json!([{"name": "i1", "state": {"terminated": {"exitCode": 3}}}]), json!([])),
        "0/2 Init:ExitCode:3 0",
    );
    // Once they are through, only what keeps running counts.
    check_pod(pod(json!([done, sidecar]), json!([running(2)])), "2/2 Pending 3");
}

#[test]
fn pods_that_are_done_say_so_in_their_row() {
    let pod = |phase: &str| json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": phase}});
    assert_eq!(row_conditions(&pod("Running")), Vec::<Value>::new());
    assert_eq!(row_conditions(&json!({"kind": "Job", "status": {"phase": "Failed"}})), Vec::<Value>::new());
    for phase in ["Succeeded", "Failed"] {
        assert_eq!(row_conditions(&pod(phase))[0].str_at("/reason"), phase);
    }
}

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
fn workloads() {
    let template = json!({"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y"}],
        "nodeSelector": {"disk": "ssd", "arch": "arm"}}});
    let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
        {"key": "zone", "operator": "In", "values": ["b", "a"]}, {"key": "old", "operator": "DoesNotExist"}]});
    check(
        "Deployment.apps",
        json!({"metadata": {"name": "web"}, "spec": {"replicas": 3, "template": template, "selector": selector},
            "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}}),
        "web | 2/3 | 3 | 1 | 5m3s | a,b | x:1,y | app=web,!old,zone in (a,b)",
    );
    check(
        "ReplicaSet.apps",
        json!({"metadata": {"name": "web-1"}, "spec": {"replicas": 3, "template": template, "selector": {}},
            "status": {"replicas": 2, "readyReplicas": 1}}),
        "web-1 | 3 | 2 | 1 | 5m3s | a,b | x:1,y | <none>",
    );
    check(
        "DaemonSet.apps",
        json!({"metadata": {"name": "proxy"}, "spec": {"template": template, "selector": {"matchLabels": {"a": "b"}}},
            "status": {"desiredNumberScheduled": 4, "currentNumberScheduled": 3, "numberReady": 2,
                "updatedNumberScheduled": 1, "numberAvailable": 0}}),
        "proxy | 4 | 3 | 2 | 1 | 0 | arch=arm,disk=ssd | 5m3s | a,b | x:1,y | a=b",
    );
    check(
        "StatefulSet.apps",
        json!({"metadata": {"name": "db"}, "spec": {"replicas": 2, "template": template}}),
        "db | 0/2 | 5m3s | a,b | x:1,y",
    );
    check(
        "Scale.autoscaling",
        json!({"metadata": {"name": "web"}, "spec": {"replicas": 3}, "status": {"replicas": 2}}),
        "web | 3 | 2 | 5m3s",
    );
}

#[test]
fn jobs() {
    let job = |spec: Value, status: Value| json!({"metadata": {"name": "j"}, "spec": spec, "status": status});
    let tail = "5m3s |  |  | <none>";
    check(
        "Job.batch",
        job(json!({"completions": 5}), json!({"succeeded": 2})),
        &format!("j | Running | 2/5 |  | {tail}"),
    );
    check(
        "Job.batch",
        job(json!({"parallelism": 3}), json!({})),
        &format!("j | Running | 0/1 of 3 |  | {tail}"),
    );
    check(
        "Job.batch",
        job(
            json!({"completions": 1}),
            json!({"succeeded": 1, "startTime": "2026-01-01T00:00:00Z",
            "completionTime": "2026-01-01T00:00:07Z", "conditions": [{"type": "Complete", "status": "True"}]}),
        ),
        &format!("j | Complete | 1/1 | 7s | {tail}"),
    );
    check(
        "Job.batch",
        job(
            json!({}),
            json!({"startTime": "2026-01-01T23:00:00Z", "conditions": [{"type": "Suspended", "status": "True"}]}),
        ),
        &format!("j | Suspended | 0/1 | 60m | {tail}"),
    );
    check(
        "CronJob.batch",
        json!({"metadata": {"name": "c"}, "spec": {"schedule": "* * * * *", "suspend": false},
            "status": {"active": [{}], "lastScheduleTime": "2026-01-01T23:59:30Z"}}),
        "c | * * * * * | <none> | False | 1 | 30s | 5m3s |  |  | <none>",
    );
}

#[test]
fn services() {
    let service =
        |spec: Value, status: Value| json!({"metadata": {"name": "s"}, "spec": spec, "status": status});
    check(
        "Service",
        service(
            json!({"type": "NodePort", "clusterIPs": ["10.96.0.9"], "selector": {"app": "web"},
            "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}),
            json!({}),
        ),
        "s | NodePort | 10.96.0.9 | <none> | 80:30080/TCP,53/UDP | 5m3s | app=web",
    );
    check(
        "Service",
        service(json!({"type": "ClusterIP", "clusterIPs": ["None"], "externalIPs": ["1.2.3.4"]}), json!({})),
        "s | ClusterIP | None | 1.2.3.4 | <none> | 5m3s | <none>",
    );
    check(
        "Service",
        service(json!({"type": "ExternalName", "externalName": "example.com"}), json!({})),
        "s | ExternalName | <none> | example.com | <none> | 5m3s | <none>",
    );
    let balancer = json!({"type": "LoadBalancer", "clusterIPs": ["10.96.0.9"]});
    check(
        "Service",
        service(balancer.clone(), json!({})),
        "s | LoadBalancer | 10.96.0.9 | <pending> | <none> | 5m3s | <none>",
    );
    check(
        "Service",
        service(balancer, json!({"loadBalancer": {"ingress": [{"hostname": "b"}, {"ip": "5.6.7.8"}]}})),
        "s | LoadBalancer | 10.96.0.9 | 5.6.7.8,b | <none> | 5m3s | <none>",
    );
}

#[test]
fn endpoints() {
    check("Endpoints", json!({"metadata": {"name": "e"}}), "e | <none> | 5m3s");
    check(
        "Endpoints",
        json!({"metadata": {"name": "e"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            "ports": [{"port": 80}, {"port": 443}]}]}),
        "e | 10.0.0.1:80,[fd00::1]:80,10.0.0.1:443 + 1 more... | 5m3s",
    );
    check(
        "Endpoints",
        json!({"metadata": {"name": "e"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}]}]}),
        "e | 10.0.0.1 | 5m3s",
    );
    check(
        "EndpointSlice.discovery.k8s.io",
        json!({"metadata": {"name": "e"}, "addressType": "IPv4", "ports": [{"port": 80}, {"name": "x"}, {}],
            "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}]}),
        "e | IPv4 | 80,x,* | 10.0.0.1,10.0.0.2 | 5m3s",
    );
    check(
        "EndpointSlice.discovery.k8s.io",
        json!({"metadata": {"name": "e"}, "addressType": "IPv4"}),
        "e | IPv4 | <unset> | <unset> | 5m3s",
    );
    check(
        "IPAddress.networking.k8s.io",
        json!({"metadata": {"name": "10.96.0.1"}, "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "kubernetes"}}}),
        "10.96.0.1 | services/default/kubernetes",
    );
    check(
        "ServiceCIDR.networking.k8s.io",
        json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/12", "fd00::/108"]}}),
        "kubernetes | 10.96.0.0/12,fd00::/108 | 5m3s",
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
fn columns_go_over_the_wire_as_definitions() {
    let pod = printer("", "Pod").columns();
    assert_eq!(
        pod[0].to_value(),
        json!({"name": "Name", "type": "string", "format": "name", "priority": 0,
            "description": "Name of the object, unique within its namespace."})
    );
    assert_eq!(pod.iter().map(|column| column.priority).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1, 1, 1, 1]);
}

/// What upstream has no printer for shows its name and creation time.
const PLAIN: &[&str] = &["clusterroles", "customresourcedefinitions", "limitranges", "roles"];

#[test]
fn every_kind_that_can_be_listed_has_a_printer() {
    for kind in crate::kinds::all().iter().filter(|kind| kind.allows("list")) {
        let printer = printer(kind.group, kind.kind);
        assert_eq!(printer.kind.is_empty(), PLAIN.contains(&kind.plural), "{}", kind.qualified());
        assert!(printer.columns.iter().any(|column| column.format == "name"), "{}", kind.qualified());
    }
    for printer in PRINTERS.iter().copied().flatten() {
        let known = crate::kinds::all().iter().any(|k| (k.group, k.kind) == (printer.group, printer.kind));
        assert!(known || printer.kind == "Scale", "{}.{}", printer.kind, printer.group);
    }
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

#[test]
fn the_hosts_of_an_ingress_are_cut_short_by_rules() {
    let hosts = |hosts: &[&str]| {
        let rules: Vec<Value> = hosts.iter().map(|host| json!({"host": host})).collect();
        let cells = printed(
            "networking.k8s.io",
            "Ingress",
            json!({"metadata": {"name": "i"}, "spec": {"rules": rules}}),
        );
        cells.split(" | ").nth(2).map(str::to_owned)
    };
    for (given, shown) in [
        (&[][..], "*"),
        (&[""][..], "*"),
        (&["a", "", "b", "c"][..], "a,b,c"),
        (&["a", "b", "c", ""][..], "a,b,c + 1 more..."),
        (&["a", "", "b", "c", "d"][..], "a,b,c + 2 more..."),
    ] {
        assert_eq!(hosts(given).as_deref(), Some(shown));
    }
}

/// Anything may come back from the store or an aggregated server: no printer may panic, and each
/// fills its columns.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z:/]{0,4}".prop_map(Value::from)
    ];
    let key = prop_oneof![
        Just("metadata"),
        Just("spec"),
        Just("status"),
        Just("conditions"),
        Just("containers"),
        Just("ports"),
        Just("initContainerStatuses"),
        Just("containerStatuses"),
        Just("state"),
        Just("hard"),
        Just("subsets"),
        Just("labels"),
        Just("type"),
        Just("metrics"),
        Just("name"),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_printer_takes_anything(object in any_json()) {
        for printer in PRINTERS.iter().copied().flatten() {
            prop_assert_eq!(printer.row(&object, now()).len(), printer.columns().len());
        }
        row_conditions(&object);
    }
}
