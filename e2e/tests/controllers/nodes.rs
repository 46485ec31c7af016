//! Nodes that fall silent, alone and by zones; what becomes of their pods.

use std::time::Duration;

use chronoplane::Cluster;
use client::{DeleteParams, ListParams, Patch};
use serde_json::{Value, json};

use crate::common::*;

#[chronoplane::test(nodes = 1)]
async fn pods_of_a_node_that_is_gone_are_collected(cluster: Cluster) {
    let mut pod = template(json!({"app": "lost"}));
    pod["metadata"]["name"] = "lost".into();
    pod["spec"]["nodeName"] = "nowhere".into();
    create(&cluster, &PODS, pod).await;
    cluster.sim().elapse(seconds(39)).await;
    cluster.admin().get(&PODS, NS, "lost").await.expect("its node has forty seconds to come back");
    cluster.sim().elapse(seconds(22)).await;
    assert!(cluster.admin().get_opt(&PODS, NS, "lost").await.expect("an answer").is_none(), "collected");
}

/// Puts node1 to node5 into zone a and all others into zone b; the control plane too.
async fn zoned(cluster: &Cluster) {
    let nodes = cluster.admin().list(&NODES, None, &ListParams::default()).await.expect("listed");
    for node in &nodes.items {
        let name = text(node, "/metadata/name");
        let zone = if matches!(name, "node1" | "node2" | "node3" | "node4" | "node5") { "a" } else { "b" };
        let labels = json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}});
        cluster.admin().patch(&NODES, None, name, Patch::Strategic(&labels), None).await.expect("labelled");
    }
}

fn has_taint(node: &Value, effect: &str) -> bool {
    let taints = node["spec"]["taints"].as_array();
    taints.into_iter().flatten().any(|t| {
        matches!(text(t, "/key"), "node.kubernetes.io/unreachable" | "node.kubernetes.io/not-ready")
            && t["effect"] == effect
    })
}

/// How many nodes have a taint of this effect because they are not ready.
async fn tainted(cluster: &Cluster, effect: &str) -> usize {
    let nodes = cluster.admin().list(&NODES, None, &ListParams::default()).await.expect("listed");
    nodes.items.iter().filter(|n| has_taint(n, effect)).count()
}

fn silence(cluster: &Cluster, nodes: impl IntoIterator<Item = usize>) {
    for n in nodes {
        cluster.sim().cut("cp1", &format!("node{n}"));
    }
}

/// Longer than a node may be silent, and a look.
const GRACE: Duration = Duration::from_secs(50 + 10 + 5 + 1);

#[chronoplane::test(nodes = 10)]
async fn a_dead_zone_is_emptied_one_node_in_ten_seconds(cluster: Cluster) {
    zoned(&cluster).await;
    silence(&cluster, 1..=5);
    cluster.sim().elapse(GRACE).await;
    assert_eq!(tainted(&cluster, "NoSchedule").await, 5, "nothing new goes there, at once");
    let began = tainted(&cluster, "NoExecute").await;
    assert!((1..=3).contains(&began), "not all at once: {began}");
    cluster.sim().elapse(Duration::from_secs(10)).await;
    assert_eq!(tainted(&cluster, "NoExecute").await, began + 1, "one more in ten seconds");
    cluster.sim().elapse(Duration::from_secs(40)).await;
    assert_eq!(tainted(&cluster, "NoExecute").await, 5);
    for n in 1..=5 {
        cluster.sim().heal("cp1", &format!("node{n}"));
    }
    cluster.nodes_ready().await.expect("back");
    cluster.sim().elapse(Duration::from_secs(1)).await;
    assert_eq!((tainted(&cluster, "NoSchedule").await, tainted(&cluster, "NoExecute").await), (0, 0));
}

#[chronoplane::test(nodes = 10)]
async fn a_small_zone_that_is_mostly_down_is_not_emptied(cluster: Cluster) {
    zoned(&cluster).await;
    silence(&cluster, 1..=4);
    // The other zone has one dead node of six: business as usual.
    silence(&cluster, [6]);
    cluster.sim().elapse(GRACE).await;
    assert_eq!(tainted(&cluster, "NoSchedule").await, 5);
    // Before the zone was known to be that ill, its first node may have had its turn.
    let began = tainted(&cluster, "NoExecute").await;
    assert!((1..=3).contains(&began), "the one of the healthy zone at least: {began}");
    cluster.sim().elapse(Duration::from_secs(600)).await;
    assert_eq!(tainted(&cluster, "NoExecute").await, began, "and then no more");
}

#[chronoplane::test(nodes = 2)]
async fn when_all_nodes_are_down_nothing_is_emptied(cluster: Cluster) {
    // The control plane's own kubelet always reaches its apiserver: its node is taken out of the count.
    cluster.admin().delete(&NODES, None, "cp1", &DeleteParams::default()).await.expect("deleted");
    silence(&cluster, [1]);
    cluster.sim().elapse(GRACE).await;
    assert_eq!(tainted(&cluster, "NoExecute").await, 1, "the control run: others are alive");
    silence(&cluster, [2]);
    cluster.sim().elapse(GRACE).await;
    assert_eq!(tainted(&cluster, "NoSchedule").await, 2, "all are known to be down");
    assert_eq!(tainted(&cluster, "NoExecute").await, 0, "and those that had to go may stay");
}

#[chronoplane::test(nodes = 2)]
async fn pods_leave_a_silent_node_when_their_toleration_ends(cluster: Cluster) {
    let mut web = deployment("web", 2);
    web["spec"]["template"]["spec"]["tolerations"] = json!([
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}
    ]);
    web["spec"]["template"]["spec"]["affinity"] = json!({"podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
        ]
    }});
    create(&cluster, &DEPLOYMENTS, web).await;
    let two = |pods: &[Value]| pods.len() == 2 && all_running(pods);
    let pods = until_all(&cluster, "two run", &PODS, "default", "app=web", two).await;
    let stranded = pods.iter().find(|p| node_of(p) == "node1").expect("one on each node");
    let name = text(stranded, "/metadata/name");
    silence(&cluster, [1]);
    until(&cluster, "the node is to be emptied", &NODES, None, "node1", |n| has_taint(n, "NoExecute")).await;
    let now = cluster.admin().get(&PODS, NS, name).await.expect("there");
    let ready = now["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == "Ready");
    assert_eq!(ready.map(|c| c["status"].clone()), Some("False".into()), "not offered any more");
    until_event(&cluster, "node1", "NodeNotReady", "Node node1 status is now: NodeNotReady").await;
    cluster.sim().elapse(Duration::from_secs(57)).await;
    let now = cluster.admin().get(&PODS, NS, name).await.expect("there");
    assert_eq!(now["metadata"].get("deletionTimestamp"), None, "before its time");
    cluster.sim().elapse(Duration::from_secs(5)).await;
    let now = cluster.admin().get(&PODS, NS, name).await.expect("terminating, for nobody ends it");
    assert!(now["metadata"].get("deletionTimestamp").is_some(), "{now}");
    assert_eq!(reason(&now, "DisruptionTarget"), "DeletionByTaintManager");
    until_event(&cluster, name, "TaintManagerEviction", &format!("Marking for deletion Pod default/{name}"))
        .await;
    // Somebody has looked: the machine is off, its pods are not coming back.
    let out =
        json!({"spec": {"taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]}});
    cluster.admin().patch(&NODES, None, "node1", Patch::Strategic(&out), None).await.expect("tainted");
    cluster.sim().elapse(Duration::from_secs(21)).await;
    assert!(cluster.admin().get_opt(&PODS, NS, name).await.expect("an answer").is_none(), "collected");
}

#[chronoplane::test(nodes = 1)]
async fn a_node_that_changes_during_a_look_is_looked_at_again(cluster: Cluster) {
    // The answers to the controller's writes take their time on the way: a look with a write in it lasts
    // long enough for somebody to change a node meanwhile.
    let taint = json!({"spec": {"unschedulable": true}});
    let open = json!({"spec": {"unschedulable": null}});
    for turn in 0..20 {
        // Two changes in a row: the second one comes while the first is being acted on.
        cluster.admin().patch(&NODES, None, "node1", Patch::Merge(&taint), None).await.expect("cordoned");
        cluster.admin().patch(&NODES, None, "node1", Patch::Merge(&open), None).await.expect("uncordoned");
        cluster.sim().elapse(Duration::from_secs(1)).await;
        let node = cluster.admin().get(&NODES, None, "node1").await.expect("there");
        let left = node["spec"]["taints"].as_array().map_or(0, Vec::len);
        assert_eq!(left, 0, "turn {turn}: not only at the next look, five seconds later: {}", node["spec"]);
    }
}

#[chronoplane::test(nodes = 1)]
async fn nodes_are_greeted_and_told_how_long_to_believe_what_they_read(cluster: Cluster) {
    until_event(&cluster, "node1", "RegisteredNode", "Node node1 event: Registered Node node1 in Controller")
        .await;
    let node = cluster.admin().get(&NODES, None, "node1").await.expect("there");
    assert_eq!(text(&node, "/metadata/annotations/node.alpha.kubernetes.io~1ttl"), "0");
}

#[chronoplane::test(nodes = 1)]
async fn the_wall_clock_does_not_shorten_a_toleration(cluster: Cluster) {
    let mut pod = template(json!({"app": "guest"}));
    pod["metadata"]["name"] = "guest".into();
    pod["spec"]["tolerations"] =
        json!([{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 120}]);
    create(&cluster, &PODS, pod).await;
    until(&cluster, "it runs", &PODS, NS, "guest", |p| p["status"]["phase"] == "Running").await;
    // Whoever set the taint has a clock of their own.
    let taint = json!({"spec": {"taints": [{"key": "k", "effect": "NoExecute", "timeAdded": "2020-01-01T00:00:00Z"}]}});
    cluster.admin().patch(&NODES, None, "node1", Patch::Strategic(&taint), None).await.expect("tainted");
    cluster.sim().elapse(seconds(30)).await;
    cluster.sim().step("cp1", jiff::SignedDuration::from_mins(5));
    let touch = json!({"metadata": {"annotations": {"touched": "yes"}}});
    cluster.admin().patch(&PODS, NS, "guest", Patch::Merge(&touch), None).await.expect("touched");
    cluster.sim().elapse(seconds(80)).await;
    let guest = cluster.admin().get(&PODS, NS, "guest").await.expect("there");
    assert_eq!(guest["metadata"].get("deletionTimestamp"), None, "before its time: {guest}");
    cluster.sim().elapse(seconds(12)).await;
    let guest = cluster.admin().get_opt(&PODS, NS, "guest").await.expect("an answer");
    let leaves = |p: Value| p["metadata"].get("deletionTimestamp").is_some();
    assert!(guest.is_none_or(leaves), "its time is over");
}

#[chronoplane::test(nodes = 1)]
async fn a_taint_that_goes_in_time_cancels_the_eviction(cluster: Cluster) {
    let mut pod = template(json!({"app": "guest"}));
    pod["metadata"]["name"] = "guest".into();
    pod["spec"]["tolerations"] =
        json!([{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}]);
    create(&cluster, &PODS, pod).await;
    until(&cluster, "it runs", &PODS, NS, "guest", |p| p["status"]["phase"] == "Running").await;
    // By hand, as `kubectl taint`: without a time.
    let taint = json!({"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}});
    let clean = json!({"spec": {"taints": null}});
    cluster.admin().patch(&NODES, None, "node1", Patch::Strategic(&taint), None).await.expect("tainted");
    cluster.sim().elapse(seconds(50)).await;
    cluster.admin().patch(&NODES, None, "node1", Patch::Merge(&clean), None).await.expect("clean");
    until_event(&cluster, "guest", "TaintManagerEviction", "Cancelling deletion of Pod default/guest").await;
    cluster.admin().patch(&NODES, None, "node1", Patch::Strategic(&taint), None).await.expect("tainted");
    cluster.sim().elapse(seconds(55)).await;
    let guest = cluster.admin().get(&PODS, NS, "guest").await.expect("there");
    assert_eq!(guest["metadata"].get("deletionTimestamp"), None, "a new time has begun: {guest}");
    cluster.sim().elapse(seconds(7)).await;
    let guest = cluster.admin().get_opt(&PODS, NS, "guest").await.expect("an answer");
    let leaves = |p: Value| p["metadata"].get("deletionTimestamp").is_some();
    assert!(guest.is_none_or(leaves), "its time is over");
}
