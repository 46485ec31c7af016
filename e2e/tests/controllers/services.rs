//! Services lead to the pods behind them.

use std::time::Duration;

use chronoplane::{Cluster, cluster::wait_for};
use client::{DeleteParams, Patch};
use serde_json::{Value, json};

use crate::common::*;

#[chronoplane::test(nodes = 2)]
async fn a_deployment_and_a_service_end_with_endpoints(cluster: Cluster) {
    create(&cluster, &SERVICES, service("web")).await;
    let empty = until(&cluster, "the service has Endpoints", &ENDPOINTS, NS, "web", |_| true).await;
    assert_eq!(len(&empty, "/subsets"), 0, "no pod yet: {empty}");
    create(&cluster, &DEPLOYMENTS, deployment("web", 3)).await;
    let ready =
        |e: &Value| len(e, "/subsets/0/addresses") == 3 && len(e, "/subsets/0/notReadyAddresses") == 0;
    let endpoints = until(&cluster, "three addresses are ready", &ENDPOINTS, NS, "web", ready).await;
    assert_eq!(endpoints["subsets"][0]["ports"], json!([{"name": "web", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(endpoints["metadata"]["labels"]["team"], "a", "the service's labels: {endpoints}");
    let slices = until_all(
        &cluster,
        "three endpoints are ready",
        &SLICES,
        "default",
        "kubernetes.io/service-name=web",
        |slices| {
            slices.len() == 1
                && len(&slices[0], "/endpoints") == 3
                && slices[0]["endpoints"]
                    .as_array()
                    .is_some_and(|all| all.iter().all(|e| e["conditions"]["ready"] == true))
        },
    )
    .await;
    let slice = &slices[0];
    assert_eq!(
        slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"],
        "endpointslice-controller.k8s.io"
    );
    assert!(
        slice["metadata"]["name"].as_str().is_some_and(|n| n.starts_with("web-") && n.len() == 9),
        "{slice}"
    );
    assert_eq!(slice["ports"][0]["port"], 8080);
    assert_eq!(slice["metadata"]["ownerReferences"][0]["kind"], "Service");
    let revision = slice["metadata"]["resourceVersion"].clone();
    cluster.sim().elapse(Duration::from_secs(600)).await;
    let name = slice["metadata"]["name"].as_str().unwrap_or_default();
    let later = cluster.admin().get(&SLICES, NS, name).await.expect("still there");
    assert_eq!(later["metadata"]["resourceVersion"], revision, "nobody writes what is right already");
    cluster.admin().delete(&SERVICES, NS, "web", &DeleteParams::default()).await.expect("deleted");
    wait_for(&cluster.sim().host("workstation"), "both are gone with the service", async || {
        let endpoints = cluster.admin().get_opt(&ENDPOINTS, NS, "web").await.ok()?;
        let slice = cluster.admin().get_opt(&SLICES, NS, name).await.ok()?;
        (endpoints.is_none() && slice.is_none()).then_some(())
    })
    .await
    .expect("gone");
}

#[chronoplane::test]
async fn a_pod_that_is_not_ready_is_named_but_not_offered(cluster: Cluster) {
    // Without a node the test plays the kubelet: it alone says what the pod's status is.
    let headless = json!({"metadata": {"name": "db"}, "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 5432}]}});
    create(&cluster, &SERVICES, headless).await;
    let mut pod = template(json!({"app": "db"}));
    pod["metadata"]["name"] = "db-0".into();
    pod["spec"]["hostname"] = "db-0".into();
    pod["spec"]["subdomain"] = "db".into();
    create(&cluster, &PODS, pod).await;
    let tell = async |ready: &str| {
        let status = json!({"status": {"phase": "Running", "podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}], "conditions": [{"type": "Ready", "status": ready}]}});
        cluster
            .admin()
            .patch(&PODS, NS, "db-0", Patch::Strategic(&status), Some("status"))
            .await
            .expect("told");
    };
    tell("False").await;
    let not_ready =
        |e: &Value| len(e, "/subsets/0/notReadyAddresses") == 1 && len(e, "/subsets/0/addresses") == 0;
    let endpoints = until(&cluster, "the address is not ready", &ENDPOINTS, NS, "db", not_ready).await;
    assert_eq!(endpoints["subsets"][0]["notReadyAddresses"][0]["hostname"], "db-0");
    assert_eq!(endpoints["metadata"]["labels"]["service.kubernetes.io/headless"], "");
    tell("True").await;
    let ready =
        |e: &Value| len(e, "/subsets/0/addresses") == 1 && len(e, "/subsets/0/notReadyAddresses") == 0;
    until(&cluster, "the address is ready", &ENDPOINTS, NS, "db", ready).await;
}
