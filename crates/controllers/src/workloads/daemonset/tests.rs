//! What a rolling update sees of the pods that its own turn has just made.

use std::time::Duration;

use api::object::ObjectExt as _;
use client::Resource;
use serde_json::{Value, json};
use world::sim::{Config, run};

use crate::{pods::owner_reference, testing::Fake};

const PODS: &str = "/api/v1/pods";

fn set() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"namespace": "n", "name": "agent", "uid": "set", "generation": 2},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "c"}]}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}},
        },
    })
}

fn pod(name: &str, node: &str, status: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "n",
            "name": name,
            "uid": name,
            "labels": {"app": "agent", "controller-revision-hash": "old"},
            "ownerReferences": [owner_reference(&set())],
        },
        "spec": {"nodeName": node},
        "status": status,
    })
}

fn ready() -> Value {
    let since = "2026-01-01T00:00:00Z";
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}]})
}

#[test]
fn a_pod_that_was_just_made_counts_as_unavailable() {
    let story = run(Config::default(), |sim| async move {
        let (host, server) = (sim.host("cp"), Fake::start(&sim).await);
        server.holds("/apis/apps/v1/daemonsets", vec![set()]);
        server.holds("/api/v1/nodes", ["a", "b", "c"].map(|n| json!({"metadata": {"name": n}})).to_vec());
        // Node b lacks a pod. That of node c is gone already, which the loop learns when it deletes it: so much time
        // passes in its turn that it is shown the new pod of b.
        let old = pod("on-a", "a", ready());
        server.holds(PODS, vec![old.clone(), pod("on-c", "c", json!({"phase": "Succeeded"}))]);
        super::run(&server.context(&host, &[]));
        server.answer(|line, _| {
            let gone = line == "DELETE /api/v1/namespaces/n/pods/on-c";
            gone.then(|| api::status::Status::not_found("pods", "on-c"))
        });
        sim.elapse(Duration::from_secs(60)).await;
        let written = |verb: &str| -> Vec<String> {
            let lines = server.written().into_iter().map(|(line, _)| line);
            lines.filter(|line| line.starts_with(verb) && line.contains("/pods")).collect()
        };
        assert_eq!(written("POST"), ["POST /api/v1/namespaces/n/pods"]);
        let deleted = "DELETE /api/v1/namespaces/n/pods/on-a".to_owned();
        assert!(!written("DELETE").contains(&deleted), "b and c have nothing: {:?}", written("DELETE"));

        // The control run: when b has something, a may be without.
        let rest = server.rest(&host);
        let all =
            rest.list(&Resource::core("pods"), None, &client::ListParams::default()).await.expect("pods");
        let new = all.items.iter().find(|p| p.name().starts_with("agent-")).expect("the new pod");
        let mut new = Value::clone(new);
        new["status"] = ready();
        rest.update(&Resource::core("pods"), Some("n"), new.name(), &new).await.expect("updated");
        sim.elapse(Duration::from_secs(60)).await;
        assert!(written("DELETE").contains(&deleted), "{:?}", written("DELETE"));
    });
    story.expect("a world");
}
