//! In-place resize: a pod's resources follow its spec while it runs, as far as the node has them.

use std::{sync::Arc, time::Duration};

use api::{object::ObjectExt as _, profile::Profile};
use chronoplane::{Cluster, ClusterOptions, cluster::wait_for};
use client::{DeleteParams, ListParams, Patch, Resource};
use serde_json::{Value, json};

use crate::common::{MINUTE, cluster, run, version};

const PODS: Resource = Resource::core("pods");

fn pod(name: &str, cpu: &str, policy: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "nodeName": "node1",
        "containers": [{
            "name": "c", "image": "busybox:1.36", "command": ["sleep", "1d"],
            "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}},
            "resizePolicy": [{"resourceName": "cpu", "restartPolicy": policy}],
        }],
        "terminationGracePeriodSeconds": 0,
    }})
}

async fn when(cluster: &Cluster, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let workstation = cluster.sim().host("workstation");
    wait_for(&workstation, what, async || {
        let pod = cluster.admin().get(&PODS, Some("default"), name).await.ok()?;
        holds(&pod).then_some(pod)
    })
    .await
    .expect("in time")
}

async fn start(cluster: &Cluster, pod: Value) {
    cluster.admin().create(&PODS, Some("default"), &pod).await.expect("accepted");
    when(cluster, pod.name(), "it runs", |p| container(p)["state"]["running"].is_object()).await;
}

async fn resize(cluster: &Cluster, name: &str, cpu: &str) -> Result<Value, client::ClientError> {
    let patch = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
    cluster.admin().patch(&PODS, Some("default"), name, Patch::Strategic(&patch), Some("resize")).await
}

/// What the kubelet told of a pod's resizes: type, reason and message.
async fn events(cluster: &Cluster, name: &str) -> Vec<String> {
    let all = cluster.admin().list(&Resource::core("events"), Some("default"), &ListParams::default()).await;
    let of = |event: &&Arc<Value>| {
        event.str_at("/involvedObject/name") == name && event.str_at("/reason").starts_with("Resize")
    };
    let shown = |e: &Value| format!("{} {} {}", e.str_at("/type"), e.str_at("/reason"), e.str_at("/message"));
    let mut all = all.expect("listed").items;
    all.sort_by_key(|event| event.str_at("/metadata/resourceVersion").parse::<u64>().unwrap_or_default());
    all.iter().filter(of).map(|event| shown(event)).collect()
}

fn container(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    pod.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == kind)
}

fn has(pod: &Value, cpu: &str) -> bool {
    container(pod)["resources"]["requests"]["cpu"] == cpu
        && container(pod)["allocatedResources"]["cpu"] == cpu
}

#[test]
fn a_container_gets_more_in_place_or_by_a_restart_as_it_wishes() {
    run(async |sim| {
        let cluster = cluster(&sim, ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await;
        for (policy, restarts) in [("NotRequired", 0), ("RestartContainer", 1)] {
            let name = policy.to_lowercase();
            start(&cluster, pod(&name, "100m", policy)).await;
            let before = when(&cluster, &name, "its resources are told", |p| has(p, "100m")).await;
            resize(&cluster, &name, "200m").await.expect("accepted");
            when(&cluster, &name, "it is being resized", |p| condition(p, "PodResizeInProgress").is_some())
                .await;
            let after = when(&cluster, &name, "it is resized", |p| {
                has(p, "200m")
                    && condition(p, "PodResizeInProgress").is_none()
                    && container(p)["restartCount"] == restarts
            })
            .await;
            let same = container(&before)["containerID"] == container(&after)["containerID"];
            assert_eq!(same, restarts == 0, "{policy}");
            assert_eq!(container(&after)["resources"]["requests"]["memory"], "64Mi");
            let asked = r#"{"containers":[{"name":"c","resources":{"requests":{"cpu":"200m","memory":"64Mi"}}}],"generation":2}"#;
            let told = [("Started", "started"), ("Completed", "completed")];
            let told = told.map(|(reason, word)| format!("Normal Resize{reason} Pod resize {word}: {asked}"));
            sim.elapse(Duration::from_secs(2)).await;
            assert_eq!(events(&cluster, &name).await, told);
        }
    });
}

#[test]
fn what_the_node_does_not_have_waits() {
    run(async |sim| {
        // From 1.36 on the API server refuses what no node of that size could ever give.
        let profile = Profile::parse("1.35").expect("a release");
        let cluster = cluster(&sim, ClusterOptions { nodes: 1, profile, ..ClusterOptions::default() }).await;
        start(&cluster, pod("other", "5", "NotRequired")).await;
        start(&cluster, pod("p", "1", "NotRequired")).await;
        let pending = async |reason: &str| {
            let pod = when(&cluster, "p", reason, |p| {
                condition(p, "PodResizePending").is_some_and(|c| c.str_at("/reason") == reason)
            })
            .await;
            assert!(has(&pod, "1"), "{pod}");
            condition(&pod, "PodResizePending").expect("there").str_at("/message").to_owned()
        };
        resize(&cluster, "p", "9").await.expect("accepted");
        assert_eq!(
            pending("Infeasible").await,
            "Node didn't have enough capacity: cpu, requested: 9000, capacity: 8000"
        );
        resize(&cluster, "p", "4").await.expect("accepted");
        assert_eq!(pending("Deferred").await, "Node didn't have enough resource: cpu");
        sim.elapse(Duration::from_secs(2)).await;
        let asked = |cpu: &str, generation: u8, error: &str| {
            format!(
                r#"{{"containers":[{{"name":"c","resources":{{"requests":{{"cpu":"{cpu}","memory":"64Mi"}}}}}}],"generation":{generation},"error":"{error}"}}"#
            )
        };
        let infeasible =
            asked("9", 2, "Node didn't have enough capacity: cpu, requested: 9000, capacity: 8000");
        let deferred = asked("4", 3, "Node didn't have enough resource: cpu");
        let told = [
            format!("Warning ResizeInfeasible Pod resize Infeasible: {infeasible}"),
            format!("Warning ResizeDeferred Pod resize Deferred: {deferred}"),
        ];
        assert_eq!(events(&cluster, "p").await, told);
        // A kubelet that starts anew knows what was granted.
        let host = sim.host("node1");
        host.services().restart(&host, "kubelet").await;
        sim.elapse(MINUTE).await;
        pending("Deferred").await;
        cluster
            .admin()
            .delete(&PODS, Some("default"), "other", &DeleteParams::default())
            .await
            .expect("deleted");
        let pod = when(&cluster, "p", "there is room", |p| has(p, "4")).await;
        assert_eq!(container(&pod)["restartCount"], 0);
        sim.elapse(Duration::from_secs(5)).await;
        let pod = when(&cluster, "p", "it is there", |_| true).await;
        assert!(
            !pod.list_at("/status/conditions").iter().any(|c| c.str_at("/type").starts_with("PodResize")),
            "{pod}"
        );
    });
}

#[test]
fn before_1_33_a_node_says_that_it_cannot() {
    run(async |sim| {
        let cluster = cluster(&sim, ClusterOptions { nodes: 1, ..version("1.32") }).await;
        start(&cluster, pod("p", "1", "NotRequired")).await;
        let words = resize(&cluster, "p", "2").await.expect_err("not supported").to_string();
        assert!(words.contains("spec: Forbidden: Pod running on node without support for resize"), "{words}");
    });
}
