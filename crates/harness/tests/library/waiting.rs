//! Conditions that come, and what is said when they do not.

use std::time::Duration;

use chronoplane::{
    Cluster, Condition, ControlPlane, Manifests, Target, k8s_openapi::api::core::v1::ConfigMap,
};

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: nginx}]}
";

#[chronoplane::test(nodes = 1)]
async fn a_deployment_becomes_available(cluster: Cluster) {
    cluster.apply(&Manifests::yaml(DEPLOYMENT).unwrap()).await.unwrap();
    let web = cluster.wait_for("deployment/web", "condition=Available").await.unwrap();
    assert_eq!(web["status"]["availableReplicas"], 2);
}

/// Without nodes it never does: what was waited for, when, and what was seen instead.
#[chronoplane::test(controllers)]
async fn what_does_not_come_is_told_with_what_was_seen(plane: ControlPlane) {
    plane.apply(&Manifests::yaml(DEPLOYMENT).unwrap()).await.unwrap();
    let minute = Duration::from_secs(60);
    let why = plane.wait_for_within("deployment/web", "condition=Available", minute).await.unwrap_err();
    let why = why.to_string();
    assert!(
        why.starts_with(
            "waited 60s in vain until deployment/web has condition Available=True; at 2026-01-01T00:01:"
        ),
        "{why}"
    );
    assert!(
        why.ends_with(
            "Available=False (MinimumReplicasUnavailable: Deployment does not have minimum availability.)"
        ),
        "{why}"
    );
}

#[chronoplane::test]
async fn objects_come_and_go(plane: ControlPlane) {
    let absent = plane.wait_for_within("configmap/a", "create", Duration::from_secs(2)).await.unwrap_err();
    assert!(absent.to_string().ends_with(": it is not there"), "{absent}");
    let map: ConfigMap =
        serde_json::from_str(r#"{"metadata": {"name": "a"}, "data": {"colour": "red"}}"#).unwrap();
    plane.apply(&Manifests::object(&map).unwrap()).await.unwrap();
    plane.wait_for(Target::of(&map), "create").await.unwrap();
    let red = Condition::that("is red", |object| object["data"]["colour"] == "red");
    plane.wait_for("configmaps/a", red).await.unwrap();
    let maps: kube::Api<ConfigMap> = kube::Api::default_namespaced(plane.client().unwrap());
    maps.delete("a", &Default::default()).await.unwrap();
    assert!(plane.wait_for("configmap/a", "delete").await.unwrap().is_null());
}

#[chronoplane::test]
async fn what_cannot_be_waited_for_is_refused_at_once(plane: ControlPlane) {
    let words = plane.wait_for("configmap/a", "available").await.unwrap_err().to_string();
    assert!(words.contains("there are condition=TYPE[=STATUS], create, delete"), "{words}");
    let second = Duration::from_secs(1);
    let kind = plane.wait_for_within("lamp/a", "create", second).await.unwrap_err().to_string();
    assert!(kind.ends_with(r#"the server doesn't have a resource type "lamp""#), "{kind}");
    let name = plane.wait_for_within("configmap", "create", second).await.unwrap_err().to_string();
    assert!(name.contains("an object is named as kind/name"), "{name}");
}

#[chronoplane::test(nodes = 1)]
async fn nodes_that_are_not_ready_are_named(cluster: Cluster) {
    cluster.link("node1", "cp1").cut();
    cluster.elapse(Duration::from_secs(120)).await;
    let why = cluster.nodes_ready().await.unwrap_err().to_string();
    assert!(
        why.starts_with(
            "waited 300s in vain until 2 nodes are Ready: 2 of 2 nodes are there; node1: Ready=Unknown ("
        ),
        "{why}"
    );
}
