//! Disruption budgets: what they say, and that evictions obey them.

use chronoplane::{Cluster, cluster::wait_for};
use client::{ClientError, Patch};
use serde_json::{Value, json};

use crate::common::*;

fn budget(name: &str, rule: (&str, Value)) -> Value {
    let mut budget =
        json!({"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}}});
    budget["spec"][rule.0] = rule.1;
    budget
}

async fn evict(cluster: &Cluster, pod: &str) -> Result<(), ClientError> {
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": "default"},
    });
    cluster.admin().create_sub(&PODS, NS, pod, "eviction", &eviction).await.map(drop)
}

fn allows(n: i64) -> impl Fn(&Value) -> bool {
    move |b: &Value| b["status"]["disruptionsAllowed"] == n && b["status"]["expectedPods"] == 3
}

#[chronoplane::test(nodes = 2)]
async fn evictions_obey_the_budget(cluster: Cluster) {
    create(&cluster, &BUDGETS, budget("web", ("maxUnavailable", json!(1)))).await;
    create(&cluster, &DEPLOYMENTS, deployment("web", 3)).await;
    let full = until(&cluster, "one may go", &BUDGETS, NS, "web", allows(1)).await;
    assert_eq!(full["status"]["desiredHealthy"], 2);
    assert_eq!(reason(&full, "DisruptionAllowed"), "SufficientPods");
    let three = |pods: &[Value]| pods.len() == 3 && all_running(pods);
    let pods = until_all(&cluster, "three run", &PODS, "default", "app=web", three).await;
    let name = |n: usize| pods[n]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let leaving = leaving(&cluster);
    // Without a breath in between: the controller has had no time to count.
    evict(&cluster, &name(0)).await.expect("the first may go");
    let refused = evict(&cluster, &name(1)).await.expect_err("the second may not");
    assert!(refused.is_too_many_requests(), "{refused:?}");
    assert_eq!(refused.to_string(), "Cannot evict pod as it would violate the pod's disruption budget.");
    let status = refused.status().expect("the server's").to_value();
    assert_eq!(status["details"]["causes"][0]["reason"], "DisruptionBudget");
    let counted = |b: &Value| {
        allows(0)(b)
            && b["status"]["currentHealthy"] == 2
            && reason(b, "DisruptionAllowed") == "InsufficientPods"
    };
    until(&cluster, "nobody may go", &BUDGETS, NS, "web", counted).await;
    let refused =
        evict(&cluster, &name(1)).await.expect_err("still not").status().expect("a status").to_value();
    assert_eq!(
        refused["details"]["causes"][0]["message"],
        "The disruption budget web needs 2 healthy pods and has 2 currently"
    );
    until(&cluster, "its successor is ready", &BUDGETS, NS, "web", allows(1)).await;
    evict(&cluster, &name(1)).await.expect("now it may");
    let left = leaving.seen();
    let first = left.iter().find(|p| text(p, "/metadata/name") == name(0)).expect("it left");
    assert_eq!(reason(first, "DisruptionTarget"), "EvictionByEvictionAPI");
}

#[chronoplane::test(nodes = 1)]
async fn without_a_budget_everybody_may_go(cluster: Cluster) {
    create(&cluster, &DEPLOYMENTS, deployment("web", 3)).await;
    let three = |pods: &[Value]| pods.len() == 3 && all_running(pods);
    let pods = until_all(&cluster, "three run", &PODS, "default", "app=web", three).await;
    for pod in &pods {
        evict(&cluster, pod["metadata"]["name"].as_str().unwrap_or_default()).await.expect("nobody minds");
    }
}

#[chronoplane::test(nodes = 1)]
async fn pods_that_nobody_owns_are_named_in_the_budget(cluster: Cluster) {
    let mut pod = template(json!({"app": "lone"}));
    pod["metadata"]["name"] = "lone".into();
    create(&cluster, &PODS, pod).await;
    create(&cluster, &BUDGETS, budget("lone", ("maxUnavailable", json!("50%")))).await;
    until_event(&cluster, "lone", "UnmanagedPods", "Pods selected by this PodDisruptionBudget").await;
}

/// `kubectl drain`: cordon, then evict what is there until nothing is left.
async fn drain(cluster: &Cluster, node: &str) -> usize {
    let cordon = json!({"spec": {"unschedulable": true}});
    cluster.admin().patch(&NODES, None, node, Patch::Merge(&cordon), None).await.expect("cordoned");
    let mut refused = 0;
    wait_for(&cluster.sim().host("workstation"), "the node is empty", async || {
        let pods = cluster.admin().list(&PODS, NS, &client::ListParams::default()).await.ok()?;
        let here: Vec<_> = pods.items.iter().filter(|p| node_of(p) == node).collect();
        for pod in here.iter().filter(|p| p["metadata"].get("deletionTimestamp").is_none()) {
            match evict(cluster, pod["metadata"]["name"].as_str().unwrap_or_default()).await {
                Err(e) if e.is_too_many_requests() => refused += 1,
                outcome => drop(outcome),
            }
        }
        here.is_empty().then_some(())
    })
    .await
    .expect("drained");
    refused
}

#[chronoplane::test(nodes = 2)]
async fn a_drain_leaves_as_many_as_the_budget_asks_for(cluster: Cluster) {
    create(&cluster, &BUDGETS, budget("web", ("minAvailable", json!(3)))).await;
    create(&cluster, &DEPLOYMENTS, deployment("web", 4)).await;
    let one = |b: &Value| b["status"]["disruptionsAllowed"] == 1;
    until(&cluster, "one may go", &BUDGETS, NS, "web", one).await;
    let watch = follow(&cluster, "app=web");
    let refused = drain(&cluster, "node1").await;
    assert!(refused > 0, "the budget was asked, and said no");
    until(&cluster, "all are back", &DEPLOYMENTS, NS, "web", |d| d["status"]["readyReplicas"] == 4).await;
    let states = watch.states();
    let least = states.iter().skip_while(|s| s.ready < 4).map(|s| s.ready).min();
    assert_eq!(least, Some(3), "never fewer, and one at a time: {states:?}");
}
