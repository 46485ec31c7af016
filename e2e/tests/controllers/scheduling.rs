//! Where pods go, what keeps them from going anywhere, and who has to leave for them.

use std::time::Duration;

use chronoplane::{Cluster, cluster::wait_for};
use client::{DeleteParams, Patch, Resource};
use serde_json::{Value, json};

use crate::common::*;

#[chronoplane::test(nodes = 2)]
async fn pods_that_avoid_each_other_get_a_node_each(cluster: Cluster) {
    let mut shy = deployment("shy", 3);
    shy["spec"]["template"]["spec"]["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "shy"}}}
    ]}});
    create(&cluster, &DEPLOYMENTS, shy).await;
    let why = |p: &Value| {
        let all = p["status"]["conditions"].as_array();
        let found = all.into_iter().flatten().find(|c| c["type"] == "PodScheduled" && c["status"] == "False");
        found.and_then(|c| c["message"].as_str()).unwrap_or_default().to_owned()
    };
    let one_waits = |pods: &[Value]| {
        pods.len() == 3
            && pods.iter().filter(|p| !why(p).is_empty()).count() == 1
            && pods.iter().filter(|p| p["status"]["phase"] == "Running").count() == 2
    };
    let pods = until_all(&cluster, "two run, one waits", &PODS, "default", "app=shy", one_waits).await;
    let mut nodes: Vec<&str> = pods.iter().map(node_of).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["", "node1", "node2"]);
    let words = pods.iter().map(why).find(|w| !w.is_empty()).unwrap_or_default();
    let expected = "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match pod anti-affinity rules.";
    assert!(words.starts_with(expected), "{words}");
    // Room for it, once one of the others is gone for good.
    let running = pods.iter().find(|p| node_of(p) == "node1").expect("on node1");
    let name = running["metadata"]["name"].as_str().unwrap_or_default();
    cluster.admin().delete(&PODS, NS, name, &DeleteParams::default()).await.expect("deleted");
    let moved = |pods: &[Value]| {
        pods.iter().any(|p| {
            node_of(p) == "node1" && p["metadata"]["name"] != name && p["status"]["phase"] == "Running"
        })
    };
    until_all(&cluster, "another one has its place", &PODS, "default", "app=shy", moved).await;
}

const CLASSES: Resource = Resource::new("scheduling.k8s.io", "v1", "priorityclasses");

async fn priority_class(cluster: &Cluster, name: &str, value: i64) {
    let class = json!({"metadata": {"name": name}, "value": value});
    cluster.admin().create(&CLASSES, None, &class).await.expect("created");
}

fn pod(name: &str, cpu: &str, class: &str) -> Value {
    let mut pod = template(json!({"app": name}));
    pod["metadata"]["name"] = name.into();
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
    if !class.is_empty() {
        pod["spec"]["priorityClassName"] = class.into();
    }
    pod
}

fn scheduled(pod: &Value) -> (&str, &str) {
    let all = pod["status"]["conditions"].as_array();
    let found = all.into_iter().flatten().find(|c| c["type"] == "PodScheduled");
    found.map_or(("", ""), |c| (c["status"].as_str().unwrap_or(""), c["message"].as_str().unwrap_or("")))
}

async fn runs(cluster: &Cluster, name: &str) -> Value {
    until(cluster, "the pod runs", &PODS, NS, name, |p| p["status"]["phase"] == "Running").await
}

#[chronoplane::test(nodes = 2)]
async fn the_important_pod_gets_the_place_of_the_less_important(cluster: Cluster) {
    priority_class(&cluster, "high", 1000).await;
    let never = json!({"metadata": {"name": "never"}, "value": 1000, "preemptionPolicy": "Never"});
    cluster.admin().create(&CLASSES, None, &never).await.expect("created");
    // Each node has 8 CPUs.
    for name in ["low-1", "low-2"] {
        create(&cluster, &PODS, pod(name, "6", "")).await;
        runs(&cluster, name).await;
    }
    // Who may not push others out waits, and is told why.
    create(&cluster, &PODS, pod("patient", "6", "never")).await;
    let waits =
        until(&cluster, "the patient pod waits", &PODS, NS, "patient", |p| scheduled(p).0 == "False").await;
    assert_eq!(
        scheduled(&waits).1,
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. preemption: not eligible \
         due to preemptionPolicy=Never."
    );
    // A pod of the same importance as the others pushes nobody out either.
    create(&cluster, &PODS, pod("equal", "6", "")).await;
    let waits =
        until(&cluster, "the equal pod waits", &PODS, NS, "equal", |p| scheduled(p).0 == "False").await;
    assert_eq!(
        scheduled(&waits).1,
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. preemption: 0/3 nodes are \
         available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
    );
    cluster.admin().delete(&PODS, NS, "equal", &DeleteParams::default()).await.expect("deleted");
    cluster.admin().delete(&PODS, NS, "patient", &DeleteParams::default()).await.expect("deleted");

    let leaving = leaving(&cluster);
    create(&cluster, &PODS, pod("urgent", "6", "high")).await;
    let placed = runs(&cluster, "urgent").await;
    let left = leaving.seen();
    let victim = left.iter().find(|p| text(p, "/metadata/name").starts_with("low-")).expect("one has left");
    assert_eq!(victim["spec"]["nodeName"], placed["spec"]["nodeName"], "its place was taken");
    assert_eq!(reason(victim, "DisruptionTarget"), "PreemptionByScheduler");
    assert_eq!(victim["metadata"]["deletionGracePeriodSeconds"], 30, "it had its grace");
    let gone = victim["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let stayed = if gone == "low-1" { "low-2" } else { "low-1" };
    assert_eq!(runs(&cluster, stayed).await["metadata"].get("deletionTimestamp"), None, "one was enough");
    let words = format!(
        "Preempted by pod {} on node {}",
        text(&placed, "/metadata/uid"),
        text(&placed, "/spec/nodeName")
    );
    until_event(&cluster, &gone, "Preempted", &words).await;
}

#[chronoplane::test(nodes = 2)]
async fn a_budget_decides_who_is_pushed_out(cluster: Cluster) {
    priority_class(&cluster, "high", 1000).await;
    for name in ["kept", "loose"] {
        create(&cluster, &PODS, pod(name, "6", "")).await;
        runs(&cluster, name).await;
    }
    let budget = json!({
        "metadata": {"name": "kept"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "kept"}}},
    });
    create(&cluster, &BUDGETS, budget).await;
    let counted = |b: &Value| b["status"]["currentHealthy"] == 1 && b["status"]["disruptionsAllowed"] == 0;
    until(&cluster, "the budget is counted", &BUDGETS, NS, "kept", counted).await;
    create(&cluster, &PODS, pod("urgent", "6", "high")).await;
    runs(&cluster, "urgent").await;
    assert!(cluster.admin().get_opt(&PODS, NS, "loose").await.expect("an answer").is_none(), "pushed out");
    assert_eq!(runs(&cluster, "kept").await["metadata"].get("deletionTimestamp"), None);
}

#[chronoplane::test(nodes = 1, version = "1.34")]
async fn an_older_scheduler_names_the_taint(cluster: Cluster) {
    create(&cluster, &PODS, pod("large", "9", "")).await;
    let waits = until(&cluster, "the pod waits", &PODS, NS, "large", |p| scheduled(p).0 == "False").await;
    assert_eq!(
        scheduled(&waits).1,
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint \
         {node-role.kubernetes.io/control-plane: }. preemption: 0/2 nodes are available: 2 Preemption is not helpful \
         for scheduling."
    );
}

#[chronoplane::test(nodes = 1)]
async fn a_gated_pod_waits_for_its_gate_only(cluster: Cluster) {
    let mut gated = pod("gated", "1", "");
    gated["spec"]["schedulingGates"] = json!([{"name": "example.com/quota"}]);
    create(&cluster, &PODS, gated).await;
    cluster.sim().elapse(Duration::from_secs(900)).await;
    let waits = cluster.admin().get(&PODS, NS, "gated").await.expect("there");
    assert_eq!(reason(&waits, "PodScheduled"), "SchedulingGated", "{waits}");
    let open = json!({"spec": {"schedulingGates": null}});
    cluster.admin().patch(&PODS, NS, "gated", Patch::Merge(&open), None).await.expect("opened");
    runs(&cluster, "gated").await;
}

#[chronoplane::test(nodes = 1)]
async fn room_is_taken_as_soon_as_a_pod_has_ended(cluster: Cluster) {
    create(&cluster, &PODS, pod("first", "6", "")).await;
    runs(&cluster, "first").await;
    create(&cluster, &PODS, pod("second", "6", "")).await;
    until(&cluster, "the second waits", &PODS, NS, "second", |p| scheduled(p).0 == "False").await;
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.admin().delete(&PODS, NS, "first", &now).await.expect("deleted");
    let began = cluster.sim().host("workstation").clock().monotonic();
    wait_for(&cluster.sim().host("workstation"), "the second has its node", async || {
        let pod = cluster.admin().get(&PODS, NS, "second").await.ok()?;
        (scheduled(&pod).0 == "True").then_some(())
    })
    .await
    .expect("scheduled");
    let waited = cluster.sim().host("workstation").clock().monotonic().since(began);
    assert!(waited < Duration::from_secs(12), "its backoff at most, not the flush: {waited:?}");
}
