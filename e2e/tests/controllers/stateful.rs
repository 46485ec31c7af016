//! Stateful sets keep their order.

use chronoplane::Cluster;
use client::{DeleteParams, Patch};
use serde_json::{Value, json};

use crate::common::*;

#[chronoplane::test(nodes = 1)]
async fn a_stateful_set_goes_up_and_down_in_order(cluster: Cluster) {
    let set = json!({
        "metadata": {"name": "db"},
        "spec": {
            "replicas": 3,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": template(json!({"app": "db"})),
        },
    });
    create(&cluster, &STATEFUL_SETS, set).await;
    let ready = |n: i64| move |s: &Value| s["status"]["readyReplicas"] == n && s["status"]["replicas"] == n;
    until(&cluster, "three are ready", &STATEFUL_SETS, NS, "db", ready(3)).await;
    let settled = |count: usize| move |pods: &[Value]| pods.len() == count && all_running(pods);
    let pods = until_all(&cluster, "three run", &PODS, "default", "app=db", settled(3)).await;
    assert_eq!(names(&pods), ["db-0", "db-1", "db-2"]);
    let bound: Vec<String> = cluster
        .sim()
        .events()
        .iter()
        .filter(|e| e.kind == "bind")
        .flat_map(|e| e.fields.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>())
        .filter(|pod| pod.starts_with("default/db-"))
        .collect();
    assert_eq!(bound, ["default/db-0", "default/db-1", "default/db-2"], "one after the other");

    // A new template, but only from ordinal 1 on.
    let change = json!({"spec": {
        "template": {"metadata": {"annotations": {"turn": "2"}}},
        "updateStrategy": {"rollingUpdate": {"partition": 1}},
    }});
    cluster.admin().patch(&STATEFUL_SETS, NS, "db", Patch::Strategic(&change), None).await.expect("patched");
    let turned = |pods: &[Value]| {
        settled(3)(pods)
            && pods.iter().all(|p| {
                let first = p["metadata"]["name"] == "db-0";
                (p["metadata"]["annotations"]["turn"] == "2") != first
            })
    };
    until_all(&cluster, "all but the first are updated", &PODS, "default", "app=db", turned).await;

    // Below the partition a pod comes back as it was, under its own name.
    let old = cluster.admin().get(&PODS, NS, "db-0").await.expect("there");
    cluster.admin().delete(&PODS, NS, "db-0", &DeleteParams::default()).await.expect("deleted");
    let back = until(&cluster, "db-0 is back", &PODS, NS, "db-0", |p| {
        p["metadata"]["uid"] != old["metadata"]["uid"] && p["status"]["phase"] == "Running"
    })
    .await;
    assert_eq!(back["metadata"]["annotations"].get("turn"), None, "{back}");

    let less = json!({"spec": {"replicas": 1}});
    cluster.admin().patch(&STATEFUL_SETS, NS, "db", Patch::Merge(&less), None).await.expect("patched");
    let left = until_all(&cluster, "one is left", &PODS, "default", "app=db", settled(1)).await;
    assert_eq!(names(&left), ["db-0"]);
}
