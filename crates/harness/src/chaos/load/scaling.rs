//! Somebody scales a Deployment up and down, so that pods come and go.

use std::sync::Arc;

use client::Patch;
use serde_json::json;

use super::super::scene::{DEPLOYMENT, DEPLOYMENTS, NS, Scene};

/// The most replicas.
const MOST: u64 = 3;

/// See the module.
pub(super) async fn run(scene: Arc<Scene>) {
    let host = scene.workstation();
    while scene.tempo.turn(&host).await {
        // Every fourth turn or so: what was asked for is to come true now and then.
        if host.entropy().below(4) > 0 {
            continue;
        }
        let replicas = 1 + host.entropy().below(MOST);
        let patch = json!({"spec": {"replicas": replicas}});
        // What is lost by a fault is asked for again some turns later.
        let _ = scene.operator.patch(&DEPLOYMENTS, NS, DEPLOYMENT, Patch::Merge(&patch), None).await;
    }
}
