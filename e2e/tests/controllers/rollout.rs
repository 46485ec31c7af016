//! A rolling update seen from outside, all along: never too many pods, never too few.

use chronoplane::{Cluster, cluster::wait_for};
use client::{DeleteParams, Patch};
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

#[chronoplane::test(nodes = 2)]
async fn a_rollout_waits_for_min_ready_seconds_and_goes_on(cluster: Cluster) {
    let mut web = deployment("web", 3);
    web["spec"]["minReadySeconds"] = 30.into();
    web["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    create(&cluster, &DEPLOYMENTS, web).await;
    let clock = cluster.sim().host("workstation");
    let ready = |d: &Value| d["status"]["readyReplicas"] == 3;
    let early = until(&cluster, "all are ready", &DEPLOYMENTS, NS, "web", ready).await;
    let begun = clock.clock().monotonic();
    assert_eq!(early["status"]["availableReplicas"], 0, "too young");
    let available = |d: &Value| {
        d["status"]["availableReplicas"] == 3
            && d["status"]["updatedReplicas"] == 3
            && d["status"]["replicas"] == 3
            && d["status"]["observedGeneration"] == d["metadata"]["generation"]
    };
    until(&cluster, "all are available", &DEPLOYMENTS, NS, "web", available).await;
    let took = clock.clock().monotonic().since(begun).as_secs();
    assert!((28..=32).contains(&took), "their seconds, and no more: {took}");

    let turn = json!({"spec": {"template": {"metadata": {"annotations": {"turn": "2"}}}}});
    cluster.admin().patch(&DEPLOYMENTS, NS, "web", Patch::Strategic(&turn), None).await.expect("patched");
    let begun = clock.clock().monotonic();
    until(&cluster, "all are new", &DEPLOYMENTS, NS, "web", available).await;
    let took = clock.clock().monotonic().since(begun).as_secs();
    assert!((90..=120).contains(&took), "one after the other: {took}");
}

#[chronoplane::test(nodes = 1)]
async fn a_deployment_that_is_made_again_takes_over_what_it_left(cluster: Cluster) {
    let web = deployment("web", 3);
    let available = |d: &Value| d["status"]["availableReplicas"] == 3;
    let running = |pods: &[Value]| pods.len() == 3 && all_running(pods);
    create(&cluster, &DEPLOYMENTS, web.clone()).await;
    until(&cluster, "all are there", &DEPLOYMENTS, NS, "web", available).await;
    let before = until_all(&cluster, "three run", &PODS, "default", "app=web", running).await;
    let orphan = DeleteParams { propagation_policy: Some("Orphan".into()), ..DeleteParams::default() };
    cluster.admin().delete(&DEPLOYMENTS, NS, "web", &orphan).await.expect("deleted");
    wait_for(&cluster.sim().host("workstation"), "it is gone", async || {
        cluster.admin().get_opt(&DEPLOYMENTS, NS, "web").await.ok()?.is_none().then_some(())
    })
    .await
    .expect("gone");
    let again = create(&cluster, &DEPLOYMENTS, web).await;
    let shown = until(&cluster, "all are there again", &DEPLOYMENTS, NS, "web", available).await;
    assert_eq!(shown["status"].get("collisionCount"), None, "its own set is no stranger: {shown}");
    cluster.sim().elapse(seconds(60)).await;
    let sets =
        until_all(&cluster, "one set", &REPLICA_SETS, "default", "app=web", |sets| sets.len() == 1).await;
    assert_eq!(sets[0]["metadata"]["ownerReferences"][0]["uid"], again["metadata"]["uid"]);
    let after = until_all(&cluster, "three run", &PODS, "default", "app=web", running).await;
    let uids = |pods: &[Value]| pods.iter().map(|p| text(p, "/metadata/uid").to_owned()).collect::<Vec<_>>();
    assert_eq!(uids(&before), uids(&after), "the same pods");
}
