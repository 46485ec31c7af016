//! A webhook that changes and judges pods, in a cluster with controllers and kubelets: what it does to
//! them, and what its certificate does to everybody.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::time::Duration;

use api::object::ObjectExt as _;
use chronoplane::{
    Cluster,
    cluster::{CONTROL_PLANE, wait_for},
};
use chronoplane_cli::pod_webhook::{LABEL, NAME, PORT, PodWebhook};
use client::{DeleteParams, ListParams, Resource};
use serde_json::{Value, json};

const PODS: Resource = Resource::core("pods");
const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
const REPLICA_SETS: Resource = Resource::new("apps", "v1", "replicasets");
const NS: Option<&str> = Some("shop");
/// How long the webhook's certificate lasts: simulated time at upstream's pace is not free.
const LASTS: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);

async fn until<T>(cluster: &Cluster, what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    wait_for(&cluster.sim().host("workstation"), what, look).await.unwrap_or_else(|e| panic!("{e}"))
}

/// A webhook that lasts so long, for the namespace `shop`.
async fn webhook(cluster: &Cluster, lasts: Duration, policy: &str) -> PodWebhook {
    let shop = json!({"metadata": {"name": "shop", "labels": {"pod-webhook": "enabled"}}});
    cluster.admin().create(&Resource::core("namespaces"), None, &shop).await.expect("a namespace");
    until(cluster, "shop has its service account", async || {
        cluster.admin().get(&Resource::core("serviceaccounts"), NS, "default").await.ok()
    })
    .await;
    let host = cluster.sim().host("webhook");
    let webhook = PodWebhook::start(&host, ([0, 0, 0, 0], PORT).into(), lasts).await.expect("a webhook");
    webhook.register(cluster.admin(), policy).await.expect("it is registered");
    cluster.sim().elapse(SECOND).await;
    webhook
}

fn pod(name: &str, privileged: bool) -> Value {
    let container = json!({"name": "c", "image": "web:1", "securityContext": {"privileged": privileged}});
    json!({"metadata": {"name": name}, "spec": {"containers": [container]}})
}

#[chronoplane::test(nodes = 1)]
async fn pods_are_changed_and_judged(cluster: Cluster) {
    let _webhook = webhook(&cluster, 24 * LASTS, "Fail").await;
    let made = cluster.admin().create(&PODS, NS, &pod("fine", false)).await.expect("a fine pod");
    assert_eq!(made.label(LABEL), Some(NAME));
    assert_eq!(made.str_at("/spec/containers/0/resources/requests/cpu"), "50m");
    let refused = cluster.admin().create(&PODS, NS, &pod("bad", true)).await.expect_err("a privileged pod");
    let words = "admission webhook \"validate.pods.chronoplane.dev\" denied the request: container \"c\" is privileged";
    assert_eq!((refused.is_forbidden(), refused.to_string().as_str()), (true, words));
    // Elsewhere nobody asks.
    let elsewhere =
        cluster.admin().create(&PODS, Some("default"), &pod("bad", true)).await.expect("another namespace");
    assert_eq!(elsewhere.label(LABEL), None);
    // Pods that controllers make are asked about too, and run.
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}}});
    cluster.admin().create(&DEPLOYMENTS, NS, &deployment).await.expect("a deployment");
    let pods = until(&cluster, "two pods run", async || {
        let select = ListParams { label_selector: Some("app=web".to_owned()), ..ListParams::default() };
        let pods = cluster.admin().list(&PODS, NS, &select).await.ok()?.items;
        let running = pods.iter().filter(|p| p.str_at("/status/phase") == "Running").count();
        (running == 2).then_some(pods)
    })
    .await;
    assert!(pods.iter().all(|pod| pod.label(LABEL) == Some(NAME)));
}

/// What a new pod comes to a second before or after the webhook's certificate ends.
async fn at_the_edge(cluster: &Cluster, policy: &str, before: bool) -> Result<Value, String> {
    let webhook = webhook(cluster, LASTS, policy).await;
    let end = webhook.not_after().expect("it has a certificate");
    let left = end.duration_since(cluster.sim().host(CONTROL_PLANE).clock().wall());
    let left = Duration::try_from(left).expect("it is still good");
    cluster.sim().elapse(if before { left - SECOND } else { left + SECOND }).await;
    cluster.admin().create(&PODS, NS, &pod("late", false)).await.map_err(|e| e.to_string())
}

#[chronoplane::test]
async fn a_second_before_its_certificate_ends_it_is_asked(cluster: Cluster) {
    let made = at_the_edge(&cluster, "Fail", true).await.expect("it is asked");
    assert_eq!(made.label(LABEL), Some(NAME));
}

#[chronoplane::test]
async fn a_second_after_nobody_gets_a_pod(cluster: Cluster) {
    let refused = at_the_edge(&cluster, "Fail", false).await.expect_err("it cannot be asked");
    let begins = "Internal error occurred: failed calling webhook \"mutate.pods.chronoplane.dev\": failed to call \
                  webhook: Post \"https://pod-webhook.pod-webhook.svc:443/mutate?timeout=5s\": tls: failed to verify \
                  certificate: x509: certificate has expired or is not yet valid: current time ";
    assert!(refused.starts_with(begins), "{refused}");
    // A deployment shows it where its users look: no pods, and the reason in a condition of its replica set.
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}}});
    cluster.admin().create(&DEPLOYMENTS, NS, &deployment).await.expect("a deployment");
    until(&cluster, "the replica set tells why it has no pods", async || {
        let sets = cluster.admin().list(&REPLICA_SETS, NS, &ListParams::default()).await.ok()?.items;
        let told = sets.iter().flat_map(|set| set.list_at("/status/conditions")).any(|condition| {
            condition.str_at("/type") == "ReplicaFailure"
                && condition.str_at("/message").contains("certificate has expired")
        });
        told.then_some(())
    })
    .await;
}

#[chronoplane::test]
async fn where_failures_are_ignored_pods_come_unchanged(cluster: Cluster) {
    let made = at_the_edge(&cluster, "Ignore", false).await.expect("nobody is asked");
    assert_eq!(made.label(LABEL), None);
}

#[chronoplane::test]
async fn a_new_certificate_heals_it(cluster: Cluster) {
    let mut webhook = webhook(&cluster, LASTS, "Fail").await;
    cluster.sim().elapse(2 * LASTS).await;
    cluster.admin().create(&PODS, NS, &pod("late", false)).await.expect_err("it cannot be asked");
    // Pods that are there can go all the same.
    webhook.renew(LASTS).await.expect("a new certificate");
    let made = cluster.admin().create(&PODS, NS, &pod("late", false)).await.expect("it is asked again");
    assert_eq!(made.label(LABEL), Some(NAME));
    cluster.admin().delete(&PODS, NS, "late", &DeleteParams::default()).await.expect("a deletion");
}
