//! Pods: one status out of those of many containers.

use super::*;

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
