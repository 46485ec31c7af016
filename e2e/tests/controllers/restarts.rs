//! A controller manager that ends and begins again: it takes what is there for what is there.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use api::object::ObjectExt as _;
use chronoplane::Cluster;
use client::{Change, Informer, InformerOptions};
use serde_json::json;

use crate::common::*;

#[chronoplane::test(nodes = 1)]
async fn a_manager_that_starts_again_makes_no_pod_twice(cluster: Cluster) {
    let mut wanted = 0;
    for n in 1..=10 {
        create(&cluster, &DEPLOYMENTS, deployment(&format!("web-{n}"), 10)).await;
        wanted += 10;
    }
    let mut set = deployment("db", 5);
    set["spec"]["podManagementPolicy"] = "Parallel".into();
    set["spec"]["serviceName"] = "db".into();
    create(&cluster, &STATEFUL_SETS, set).await;
    wanted += 5;
    create(
        &cluster,
        &DAEMON_SETS,
        json!({
            "metadata": {"name": "agent"},
            "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": template(json!({"app": "agent"}))},
        }),
    )
    .await;
    wanted += 1;
    let all = |pods: &[serde_json::Value]| pods.len() == wanted;
    until_all(&cluster, "all pods are there", &PODS, "default", "app", all).await;

    let options = InformerOptions { namespace: Some("default".into()), ..InformerOptions::default() };
    let pods = Informer::start(&cluster.sim().host("workstation"), cluster.admin(), PODS, options);
    let (came, went) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(Mutex::new(BTreeSet::new())));
    let (coming, going) = (came.clone(), went.clone());
    pods.on(move |change| {
        let pod = change.object();
        coming.lock().expect("no panic").insert(pod.uid().to_owned());
        if matches!(change, Change::Deleted(_)) || pod.is_terminating() {
            going.lock().expect("no panic").insert(pod.name().to_owned());
        }
    });
    pods.synced().await;

    let cp1 = cluster.sim().host("cp1");
    let manifest = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
    for _ in 0..3 {
        cp1.disk().rename(manifest, "/etc/kubernetes/away.yaml").expect("taken away");
        cluster.sim().elapse(seconds(30)).await;
        cp1.disk().rename("/etc/kubernetes/away.yaml", manifest).expect("put back");
        cluster.sim().elapse(seconds(60)).await;
    }
    assert_eq!(*went.lock().expect("no panic"), BTreeSet::new(), "none had to go");
    assert_eq!(came.lock().expect("no panic").len(), wanted, "and none was made");
    // It is there, and works.
    create(&cluster, &DEPLOYMENTS, deployment("late", 1)).await;
    until_all(&cluster, "the new one's pod", &PODS, "default", "app=late", |pods| pods.len() == 1).await;
}
