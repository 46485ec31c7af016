//! Programs that crash, stop and start again; and what becomes of who needs them.

use std::time::Duration;

use chronoplane::{
    Cluster, Component, HarnessError,
    k8s_openapi::api::core::v1::{ConfigMap, Node},
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);

/// Whether the apiserver answers, now.
async fn answers(cluster: &Cluster) -> bool {
    cluster.client().unwrap().apiserver_version().await.is_ok()
}

#[chronoplane::test]
async fn what_crashes_is_started_again_by_who_runs_it(cluster: Cluster) -> Result<(), HarnessError> {
    for component in Component::STATIC {
        cluster.crash("cp1", component).await?;
        if component == Component::KubeApiserver {
            assert!(!answers(&cluster).await, "nobody has started it again yet");
        }
        cluster
            .elapse_until("it answers", SECOND * 300, async || answers(&cluster).await.then_some(()))
            .await?;
    }
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client()?);
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "written"}})).unwrap();
    let create = async || maps.create(&PostParams::default(), &map).await.ok();
    cluster.elapse_until("a write succeeds", SECOND * 300, create).await.map(drop)
}

#[chronoplane::test]
async fn what_is_stopped_stays_so_until_it_is_started(cluster: Cluster) -> Result<(), HarnessError> {
    let why = cluster.start_again("cp1", Component::Etcd).unwrap_err().to_string();
    assert!(why.contains("/etc/kubernetes/etcd.yaml"), "{why}");

    cluster.stop("cp1", Component::KubeApiserver).await?;
    cluster.elapse(SECOND * 3_600).await;
    assert!(!answers(&cluster).await);
    let why = cluster.crash("cp1", Component::KubeApiserver).await.unwrap_err().to_string();
    assert_eq!(why, "no kube-apiserver runs on cp1");
    cluster.start_again("cp1", Component::KubeApiserver)?;
    cluster.elapse_until("it answers", SECOND * 300, async || answers(&cluster).await.then_some(())).await
}

#[chronoplane::test(nodes = 1)]
async fn a_kubelet_that_is_stopped_is_missed_and_one_that_crashed_is_not(
    cluster: Cluster,
) -> Result<(), HarnessError> {
    cluster.crash("node1", Component::Kubelet).await?;
    cluster.elapse(SECOND * 120).await;
    cluster.nodes_ready().await?;

    cluster.stop("node1", Component::Kubelet).await?;
    cluster.wait_for("node/node1", "condition=Ready=Unknown").await?;
    cluster.start_again("node1", Component::Kubelet)?;
    cluster.nodes_ready().await
}

#[chronoplane::test]
async fn who_lists_from_before_a_compaction_is_told_so(cluster: Cluster) -> Result<(), HarnessError> {
    let nodes: Api<Node> = Api::all(cluster.client()?);
    let before = nodes.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let first = ListParams::default().at(&before).matching(kube::api::VersionMatch::Exact);
    nodes.list(&first).await.expect("the control: it is kept");
    cluster.elapse(SECOND * 60).await;
    let compacted = cluster.compact().await?;
    assert!(compacted > before.parse().unwrap(), "{compacted} after {before}");
    let refused = nodes.list(&first).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 410), "{refused}");
    Ok(())
}

#[chronoplane::test(nodes = 1)]
async fn connections_that_are_reset_are_made_anew(cluster: Cluster) -> Result<(), HarnessError> {
    assert!(cluster.reset("node1", "cp1", 6443) > 0, "its kubelet had one");
    assert_eq!(cluster.reset("cp1", "node1", 6443), 0, "the other way nobody has dialled");
    cluster.elapse(SECOND * 120).await;
    cluster.nodes_ready().await
}
