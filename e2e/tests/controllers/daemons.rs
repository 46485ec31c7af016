//! Daemon sets follow their nodes.

use std::time::Duration;

use chronoplane::Cluster;
use client::{Patch, Resource};
use serde_json::{Value, json};

use crate::common::*;

#[chronoplane::test(nodes = 2)]
async fn kube_proxy_runs_on_every_node(cluster: Cluster) {
    let everywhere = |pods: &[Value]| pods.len() == 3 && all_running(pods);
    let pods =
        until_all(&cluster, "kube-proxy runs", &PODS, "kube-system", "k8s-app=kube-proxy", everywhere).await;
    let mut nodes: Vec<&str> = pods.iter().map(node_of).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["cp1", "node1", "node2"]);
    let done = |set: &Value| {
        [
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "numberReady",
            "numberAvailable",
            "updatedNumberScheduled",
        ]
        .iter()
        .all(|field| set["status"][*field] == 3)
    };
    until(&cluster, "the status counts them", &DAEMON_SETS, Some("kube-system"), "kube-proxy", done).await;
}

#[chronoplane::test(nodes = 2)]
async fn a_daemon_follows_its_nodes_and_its_template(cluster: Cluster) {
    let set = json!({
        "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": template(json!({"app": "agent"}))},
    });
    create(&cluster, &DAEMON_SETS, set).await;
    let settled = |count: usize| move |pods: &[Value]| pods.len() == count && all_running(pods);
    let first =
        until_all(&cluster, "it runs on the workers", &PODS, "default", "app=agent", settled(2)).await;
    assert!(first.iter().all(|p| node_of(p).starts_with("node")), "the control plane is tainted");
    let affinity =
        &first[0]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(affinity["nodeSelectorTerms"][0]["matchFields"][0]["values"][0], first[0]["spec"]["nodeName"]);

    // A new template replaces one pod after the other.
    let change = json!({"spec": {"template": {"metadata": {"annotations": {"turn": "2"}}}}});
    cluster.admin().patch(&DAEMON_SETS, NS, "agent", Patch::Strategic(&change), None).await.expect("patched");
    let turned =
        |pods: &[Value]| settled(2)(pods) && pods.iter().all(|p| p["metadata"]["annotations"]["turn"] == "2");
    until_all(&cluster, "all pods are of the new template", &PODS, "default", "app=agent", turned).await;
    let revisions = Resource::new("apps", "v1", "controllerrevisions");
    let two = |all: &[Value]| all.len() == 2;
    until_all(&cluster, "both templates are kept", &revisions, "default", "app=agent", two).await;

    // A taint that it does not tolerate ends the pod; a cordon does not.
    let cordon = json!({"spec": {"unschedulable": true}});
    cluster.admin().patch(&NODES, None, "node1", Patch::Merge(&cordon), None).await.expect("cordoned");
    cluster.sim().elapse(Duration::from_secs(30)).await;
    until_all(&cluster, "a cordoned node keeps it", &PODS, "default", "app=agent", settled(2)).await;
    let taint = json!({"spec": {"unschedulable": null, "taints": [{"key": "k", "effect": "NoExecute"}]}});
    cluster.admin().patch(&NODES, None, "node1", Patch::Merge(&taint), None).await.expect("tainted");
    let only = |pods: &[Value]| settled(1)(pods) && node_of(&pods[0]) == "node2";
    until_all(&cluster, "it has left the tainted node", &PODS, "default", "app=agent", only).await;
    let clean = json!({"spec": {"taints": null}});
    cluster.admin().patch(&NODES, None, "node1", Patch::Merge(&clean), None).await.expect("untainted");
    until_all(&cluster, "it is back", &PODS, "default", "app=agent", settled(2)).await;
}
