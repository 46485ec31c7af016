//! The bootstrap sequence end to end, in the simulated gear: files, objects, identities.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::time::Duration;

use chronoplane::{Cluster, ControlPlane};
use client::{ListParams, Resource};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, ResourceExt, api::PostParams};
use serde_json::json;
use world::FileKind;

const PODS: Resource = Resource::core("pods");

#[chronoplane::test(nodes = 2)]
async fn kubeadm_leaves_what_it_leaves(cluster: Cluster) {
    let host = cluster.sim().host("cp1");
    let mode = |path: &str| host.disk().stat(path).map(|s| s.mode);
    for file in [
        "ca",
        "apiserver",
        "apiserver-kubelet-client",
        "front-proxy-ca",
        "front-proxy-client",
        "etcd/ca",
        "etcd/server",
        "etcd/peer",
        "etcd/healthcheck-client",
        "apiserver-etcd-client",
    ] {
        assert_eq!(mode(&format!("/etc/kubernetes/pki/{file}.crt")), Some(0o644), "{file}.crt");
        assert_eq!(mode(&format!("/etc/kubernetes/pki/{file}.key")), Some(0o600), "{file}.key");
    }
    for file in ["admin", "super-admin", "kubelet", "controller-manager", "scheduler"] {
        assert_eq!(mode(&format!("/etc/kubernetes/{file}.conf")), Some(0o600), "{file}.conf");
    }
    let node = cluster.sim().host("node1");
    let current = node
        .disk()
        .stat("/var/lib/kubelet/pki/kubelet-client-current.pem")
        .expect("the kubelet has a certificate");
    assert_eq!(current.kind, FileKind::Symlink);
    assert!(!node.disk().exists("/etc/kubernetes/bootstrap-kubelet.conf"), "of no use after the bootstrap");
    let printed = &cluster.transcript()[0].1;
    assert!(printed.contains("Your Kubernetes control-plane has initialized successfully!"), "{printed}");
    assert!(
        cluster.transcript()[1].1.contains("This node has joined the cluster:"),
        "{:?}",
        cluster.transcript()[1]
    );
}

#[chronoplane::test(nodes = 2)]
async fn a_pod_is_scheduled_and_runs(cluster: Cluster) {
    let (rest, workstation) = (cluster.admin(), cluster.sim().host("workstation"));
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}});
    rest.create(&PODS, Some("default"), &pod).await.expect("accepted");
    let running = chronoplane::cluster::wait_for(&workstation, "the pod runs", async || {
        let pod = rest.get(&PODS, Some("default"), "p").await.ok()?;
        (pod["status"]["phase"] == "Running").then_some(pod)
    })
    .await
    .expect("runs");
    let node = running["spec"]["nodeName"].as_str().unwrap_or_default();
    assert!(node.starts_with("node"), "the control plane is tainted: {node}");
    let components = ["etcd-cp1", "kube-apiserver-cp1", "kube-controller-manager-cp1", "kube-scheduler-cp1"];
    chronoplane::cluster::wait_for(&workstation, "every static pod has its mirror", async || {
        let mirrors = rest.list(&PODS, Some("kube-system"), &ListParams::default()).await.ok()?;
        let there = |name: &&str| mirrors.items.iter().any(|p| p["metadata"]["name"] == **name);
        components.iter().all(there).then_some(())
    })
    .await
    .expect("mirrored");
}

#[chronoplane::test(nodes = 1, sparse)]
async fn a_kubelets_certificate_is_renewed_before_its_end(cluster: Cluster) {
    let node = cluster.sim().host("node1");
    let current =
        || node.disk().read_link("/var/lib/kubelet/pki/kubelet-client-current.pem").expect("a link");
    let first = current();
    // Signed for a year: the kubelet asks for the next one between seven and nine tenths of it.
    let tenth = Duration::from_secs(365 * 86_400 / 10);
    cluster.sim().elapse(tenth * 7 - Duration::from_secs(3600)).await;
    assert_eq!(current(), first, "before seven tenths");
    cluster.sim().elapse(tenth * 2 + Duration::from_secs(7200)).await;
    assert_ne!(current(), first, "after nine tenths");
    assert!(node.disk().exists(&first), "old files are never deleted");
    cluster.nodes_ready().await.expect("still Ready with the new certificate");
}

#[chronoplane::test]
async fn a_typed_client_speaks_to_a_control_plane_in_the_process(plane: ControlPlane) {
    let client = plane.client().expect("a client");
    let namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"name": "team"}})).expect("a namespace");
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.expect("created");
    let maps: Api<ConfigMap> = Api::namespaced(client, "team");
    let map: ConfigMap =
        serde_json::from_value(json!({"metadata": {"generateName": "m-"}, "data": {"k": "v"}}))
            .expect("a map");
    let made = maps.create(&PostParams::default(), &map).await.expect("created");
    assert_eq!(maps.get(&made.name_any()).await.expect("found").data.expect("data")["k"], "v");
}

#[chronoplane::test(sparse)]
async fn a_token_dies_at_its_second(cluster: Cluster) {
    let rest = cluster.admin();
    let secrets = rest
        .list(&Resource::core("secrets"), Some("kube-system"), &ListParams::default())
        .await
        .expect("listed");
    let token = secrets
        .items
        .iter()
        .find(|s| s["type"] == "bootstrap.kubernetes.io/token")
        .expect("kubeadm made one");
    let at = pki::token::TokenSecret::from_object(token).expect("readable").expiration.expect("after a day");
    let there = async || {
        let name = token["metadata"]["name"].as_str().unwrap_or_default();
        rest.get(&Resource::core("secrets"), Some("kube-system"), name).await.is_ok()
    };
    let left = at.duration_since(cluster.sim().host("cp1").clock().wall());
    cluster.sim().elapse(Duration::try_from(left).expect("ahead") - Duration::from_secs(1)).await;
    assert!(there().await, "one second before");
    cluster.sim().elapse(Duration::from_secs(2)).await;
    assert!(!there().await, "one second after");
    let info =
        rest.get(&Resource::core("configmaps"), Some("kube-public"), "cluster-info").await.expect("there");
    let data = info["data"].as_object().expect("data");
    assert!(
        !data.keys().any(|k| k.starts_with("jws-kubeconfig-")),
        "its signature is gone with it: {:?}",
        data.keys()
    );
}
