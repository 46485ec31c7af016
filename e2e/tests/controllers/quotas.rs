//! Quotas: what is used is counted, and what goes makes room.

use std::time::Duration;

use chronoplane::Cluster;
use client::{DeleteParams, Resource};
use serde_json::{Value, json};

use crate::common::*;

const QUOTAS: Resource = Resource::core("resourcequotas");
const CONFIG_MAPS: Resource = Resource::core("configmaps");

fn pod(name: &str, cpu: &str) -> Value {
    let mut pod = template(json!({"app": name}));
    pod["metadata"]["name"] = name.into();
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
    pod
}

#[chronoplane::test(nodes = 1)]
async fn a_quota_counts_what_is_there_and_lets_in_what_has_room(cluster: Cluster) {
    create(&cluster, &PODS, pod("first", "1500m")).await;
    let hard = json!({"pods": "2", "requests.cpu": "2", "configmaps": "2", "count/deployments.apps": "1"});
    create(&cluster, &QUOTAS, json!({"metadata": {"name": "small"}, "spec": {"hard": hard}})).await;
    let counted = |q: &Value| q["status"]["used"]["pods"] == "1";
    let quota = until(&cluster, "what is there is counted", &QUOTAS, NS, "small", counted).await;
    assert_eq!(quota["status"]["hard"], hard);
    let used =
        json!({"pods": "1", "requests.cpu": "1500m", "configmaps": "1", "count/deployments.apps": "0"});
    assert_eq!(quota["status"]["used"], used, "kube-root-ca.crt is a config map");
    let refused = cluster.admin().create(&PODS, NS, &pod("second", "600m")).await.expect_err("no room");
    assert!(refused.is_forbidden() && refused.to_string().contains("exceeded quota: small"), "{refused}");
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.admin().delete(&PODS, NS, "first", &now).await.expect("deleted");
    let free = |q: &Value| q["status"]["used"]["pods"] == "0" && q["status"]["used"]["requests.cpu"] == "0";
    until(&cluster, "what is gone is counted no longer", &QUOTAS, NS, "small", free).await;
    create(&cluster, &PODS, pod("second", "600m")).await;
}

#[chronoplane::test]
async fn what_somebody_wrote_into_the_status_is_put_right_within_five_minutes(cluster: Cluster) {
    create(&cluster, &QUOTAS, json!({"metadata": {"name": "small"}, "spec": {"hard": {"configmaps": "5"}}}))
        .await;
    let one = |q: &Value| q["status"]["used"]["configmaps"] == "1";
    let mut quota = until(&cluster, "counted", &QUOTAS, NS, "small", one).await;
    quota["status"]["used"]["configmaps"] = "5".into();
    cluster.admin().update_sub(&QUOTAS, NS, "small", "status", &quota).await.expect("written");
    let full = json!({"metadata": {"name": "more"}});
    cluster.admin().create(&CONFIG_MAPS, NS, &full).await.expect_err("it is believed");
    cluster.sim().elapse(Duration::from_secs(301)).await;
    until(&cluster, "counted again", &QUOTAS, NS, "small", one).await;
    cluster.admin().create(&CONFIG_MAPS, NS, &full).await.expect("room again");
}
