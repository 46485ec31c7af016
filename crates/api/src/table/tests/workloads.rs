//! Deployments and the other kinds with a template, jobs, scales.

use super::*;

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
