//! A rolling update seen from outside, all along: never too many pods, never too few.

use chronoplane::Cluster;
use client::Patch;
use serde_json::{Value, json};

use crate::common::*;

/// Rolls a deployment of `replicas` over and returns the most pods and the fewest ready ones seen.
async fn roll(cluster: &Cluster, replicas: i64, strategy: Value) -> (usize, usize) {
    create(cluster, &SERVICES, service("web")).await;
    let mut web = deployment("web", replicas);
    web["spec"]["strategy"] = strategy;
    create(cluster, &DEPLOYMENTS, web).await;
    let done = move |d: &Value| {
        d["status"]["updatedReplicas"] == replicas
            && d["status"]["replicas"] == replicas
            && d["status"]["availableReplicas"] == replicas
            && d["status"]["observedGeneration"] == d["metadata"]["generation"]
    };
    until(cluster, "all are there", &DEPLOYMENTS, NS, "web", done).await;
    let watch = follow(cluster, "app=web");
    watch.synced().await;
    let turn = json!({"spec": {"template": {"metadata": {"annotations": {"turn": "2"}}}}});
    cluster.admin().patch(&DEPLOYMENTS, NS, "web", Patch::Strategic(&turn), None).await.expect("patched");
    until(cluster, "all are new", &DEPLOYMENTS, NS, "web", done).await;
    let pods = until_all(cluster, "the old ones are gone", &PODS, "default", "app=web", |pods| {
        pods.len() == usize::try_from(replicas).expect("few") && all_running(pods)
    })
    .await;
    assert!(pods.iter().all(|p| p["metadata"]["annotations"]["turn"] == "2"), "all of the new template");
    let addresses = |e: &Value| e["subsets"][0]["addresses"].as_array().map_or(0, Vec::len) == pods.len();
    until(cluster, "the service leads to the new ones", &ENDPOINTS, NS, "web", addresses).await;
    let states = watch.states();
    let most = states.iter().map(|s| s.active).max().unwrap_or(0);
    let least = states.iter().map(|s| s.ready).min().unwrap_or(0);
    (most, least)
}

#[chronoplane::test(nodes = 2)]
async fn surge_and_unavailable_are_never_exceeded(cluster: Cluster) {
    let bounds = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}});
    let (most, least) = roll(&cluster, 4, bounds).await;
    assert!(most <= 5, "at most one more than asked for: {most}");
    assert!(least >= 3, "at most one fewer than asked for: {least}");
}

#[chronoplane::test(nodes = 2)]
async fn without_unavailable_every_pod_is_replaced_before_it_goes(cluster: Cluster) {
    let bounds = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    let (most, least) = roll(&cluster, 3, bounds).await;
    assert_eq!((most, least), (4, 3));
}

#[chronoplane::test(nodes = 2)]
async fn the_control_run_recreates_and_is_seen_to_have_none(cluster: Cluster) {
    let (most, least) = roll(&cluster, 3, json!({"type": "Recreate"})).await;
    assert_eq!((most, least), (3, 0), "the watch would have seen a breach");
}

#[chronoplane::test]
async fn a_rollout_that_stands_still_is_said_to_be_stuck(cluster: Cluster) {
    // No worker: nothing ever becomes ready.
    let mut web = deployment("web", 2);
    web["spec"]["progressDeadlineSeconds"] = 60.into();
    create(&cluster, &DEPLOYMENTS, web).await;
    let created = |d: &Value| !reason(d, "Progressing").is_empty();
    until(&cluster, "the rollout has begun", &DEPLOYMENTS, NS, "web", created).await;
    cluster.sim().elapse(std::time::Duration::from_secs(55)).await;
    let before = cluster.admin().get(&DEPLOYMENTS, NS, "web").await.expect("there");
    assert_ne!(reason(&before, "Progressing"), "ProgressDeadlineExceeded", "before its time");
    cluster.sim().elapse(std::time::Duration::from_secs(10)).await;
    let after = cluster.admin().get(&DEPLOYMENTS, NS, "web").await.expect("there");
    assert_eq!(reason(&after, "Progressing"), "ProgressDeadlineExceeded");
    // A new size in the middle of it is not a new rollout, and reaches the set all the same.
    let more = json!({"spec": {"replicas": 4}});
    cluster.admin().patch(&DEPLOYMENTS, NS, "web", Patch::Merge(&more), None).await.expect("patched");
    until_all(&cluster, "four pods", &PODS, "default", "app=web", |pods| pods.len() == 4).await;
}
