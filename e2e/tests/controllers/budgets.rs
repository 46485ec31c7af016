//! Disruption budgets: what they say, and whom they let go.

use chronoplane::Cluster;
use client::ClientError;
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
