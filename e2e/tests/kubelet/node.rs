//! The node as the API sees it: what it says, how often, and what it does about others' words.

use std::sync::Arc;

use api::object::ObjectExt as _;
use chronoplane::{Cluster, cluster::wait_for};
use client::{Informer, InformerOptions, ListParams, Patch, Resource};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::common::{MINUTE, node, ready, until_ready_is};

const NODES: Resource = Resource::core("nodes");
const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");

/// How often each object of a resource is written, by name, from now on.
async fn writes(cluster: &Cluster, resource: Resource, namespace: Option<&str>) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let options = InformerOptions { namespace: namespace.map(str::to_owned), ..InformerOptions::default() };
    let informer = Informer::start(&cluster.sim().host("workstation"), cluster.admin(), resource, options);
    informer.synced().await;
    let notes = seen.clone();
    informer.on(move |change| {
        if let client::Change::Updated { new, .. } = change {
            notes.lock().push(new.name().to_owned());
        }
    });
    seen
}

#[chronoplane::test(nodes = 1)]
async fn a_quiet_node_says_little(cluster: Cluster) {
    // Past the first report's spread.
    cluster.sim().elapse(8 * MINUTE).await;
    let nodes = writes(&cluster, NODES, None).await;
    let leases = writes(&cluster, LEASES, Some("kube-node-lease")).await;
    cluster.sim().elapse(20 * MINUTE).await;
    let count = |seen: &Arc<Mutex<Vec<String>>>| seen.lock().iter().filter(|n| *n == "node1").count();
    // Every five minutes, seen at the next ten seconds; every ten seconds and up to 4 % more.
    assert!((3..=5).contains(&count(&nodes)), "{} reports of node1", count(&nodes));
    assert!((115..=121).contains(&count(&leases)), "{} renewals of node1", count(&leases));
    let lease = cluster.admin().get(&LEASES, Some("kube-node-lease"), "node1").await.expect("there");
    let node = node(&cluster, "node1").await.expect("there");
    let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": "node1", "uid": node.uid()}]);
    assert_eq!(lease["metadata"]["ownerReferences"], owner);
    assert_eq!(lease["spec"]["holderIdentity"], "node1");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 40);
}

#[chronoplane::test(nodes = 1)]
async fn a_node_tells_what_it_is(cluster: Cluster) {
    let node = node(&cluster, "node1").await.expect("there");
    let status = &node["status"];
    let kinds: Vec<&str> = status.list_at("/conditions").iter().map(|c| c.str_at("/type")).collect();
    assert_eq!(kinds, ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"]);
    let ip = cluster.sim().host("node1").net().address().to_string();
    let addresses = json!([{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": "node1"}]);
    assert_eq!(status["addresses"], addresses);
    assert_eq!(status["capacity"]["memory"], "32Gi");
    assert_eq!(status["allocatable"]["memory"], "32668Mi", "100Mi are kept for the node");
    assert_eq!(status["capacity"]["pods"], "110");
    assert_eq!(status["daemonEndpoints"]["kubeletEndpoint"]["Port"], 10250);
    assert_eq!(status["nodeInfo"]["kubeletVersion"], "v1.36.0");
    let events =
        cluster.admin().list(&Resource::core("events"), Some("default"), &ListParams::default()).await;
    let events = events.expect("listed").items;
    let about: Vec<String> = events
        .iter()
        .filter(|e| e.str_at("/involvedObject/name") == "node1" && e.str_at("/source/component") == "kubelet")
        .map(|e| format!("{}: {}", e.str_at("/reason"), e.str_at("/message")))
        .collect();
    for told in [
        "Starting: Starting kubelet.",
        "NodeHasSufficientMemory: Node node1 status is now: NodeHasSufficientMemory",
        "NodeReady: Node node1 status is now: NodeReady",
    ] {
        assert!(about.iter().any(|e| e == told), "{told} in {about:?}");
    }
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}});
    cluster.admin().create(&Resource::core("pods"), Some("default"), &pod).await.expect("created");
    wait_for(&cluster.sim().host("workstation"), "the image is told", async || {
        let node = crate::common::node(&cluster, "node1").await?;
        node.list_at("/status/images").iter().any(|i| i["names"] == json!(["nginx:1.27"])).then_some(())
    })
    .await
    .expect("in time");
}

#[chronoplane::test(nodes = 1)]
async fn what_others_say_of_a_living_node_is_put_right_at_the_next_look(cluster: Cluster) {
    let sim = cluster.sim();
    sim.cut("node1", "cp1");
    let unknown = until_ready_is(&cluster, "node1", "Unknown").await;
    let told =
        unknown.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == "Ready").expect("told");
    assert_eq!(told["message"], "Kubelet stopped posting node status.");
    sim.heal("node1", "cp1");
    let workstation = sim.host("workstation");
    let began = workstation.clock().monotonic();
    until_ready_is(&cluster, "node1", "True").await;
    let took = workstation.clock().monotonic().since(began);
    assert!(took < 2 * MINUTE, "{took:?}: not only at the next report, five minutes later");
}

#[chronoplane::test(nodes = 1)]
async fn a_nodes_faults_are_annotations(cluster: Cluster) {
    let annotate = async |value: Value| {
        let patch = json!({"metadata": {"annotations": {"chronoplane.dev/not-ready": value}}});
        cluster.admin().patch(&NODES, None, "node1", Patch::Merge(&patch), None).await.expect("patched");
    };
    annotate("".into()).await;
    let node = until_ready_is(&cluster, "node1", "False").await;
    let told =
        node.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == "Ready").expect("told");
    let words = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized";
    assert_eq!((told.str_at("/reason"), told.str_at("/message")), ("KubeletNotReady", words));
    wait_for(&cluster.sim().host("workstation"), "the node is tainted", async || {
        let node = crate::common::node(&cluster, "node1").await?;
        let taint = |t: &Value| t["key"] == "node.kubernetes.io/not-ready";
        node.list_at("/spec/taints").iter().any(taint).then_some(())
    })
    .await
    .expect("in time");
    annotate(Value::Null).await;
    let node = until_ready_is(&cluster, "node1", "True").await;
    assert_eq!(ready(&node), "True", "the control run");
}

#[chronoplane::test(nodes = 1)]
async fn a_node_that_is_there_already_is_reconciled(cluster: Cluster) {
    let host = cluster.sim().host("node1");
    host.services().stop("kubelet").await;
    let uid = node(&cluster, "node1").await.expect("there").uid().to_owned();
    let patch = json!({"metadata": {"labels": {"kubernetes.io/arch": "s390x", "own": "kept"}}});
    cluster.admin().patch(&NODES, None, "node1", Patch::Merge(&patch), None).await.expect("patched");
    host.services().start(&host, "kubelet");
    let found = wait_for(&cluster.sim().host("workstation"), "the label is put right", async || {
        let found = node(&cluster, "node1").await?;
        (found.label("kubernetes.io/arch") == Some("amd64")).then_some(found)
    })
    .await
    .expect("in time");
    assert_eq!((found.uid(), found.label("own")), (&*uid, Some("kept")));
}
