//! Whether a cluster is well: what is asked, and how long it may take after the last remedy.

use std::time::Duration;

use api::object::ObjectExt as _;
use client::{ClientError, ListParams, Resource};
use jiff::SignedDuration;
use serde_json::json;
use world::{Mono, Wall};

use super::scene::{ACCOUNTS, CONFIG_MAPS, LEASES, NS, Scene, is_ready};
use crate::{Component, cluster::CONTROL_PLANE};

/// How long healing may take: [`super::invariants::HEALTHY`] says it in words.
pub(super) const HEALS_WITHIN: Duration = Duration::from_secs(15 * 60);
/// How long [`led`] waits at most.
const LED_WITHIN: Duration = Duration::from_secs(8 * 60);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// Looks until all is well; how long after `began` that is, or what is not well [`HEALS_WITHIN`] later.
pub(super) async fn healed(scene: &Scene, began: Mono) -> Result<Duration, String> {
    let clock = scene.workstation().clock().clone();
    let since = clock.wall();
    loop {
        let wrong = match look(scene, since).await {
            Ok(None) => return Ok(clock.monotonic().since(began)),
            Ok(Some(wrong)) => wrong,
            Err(e) => format!("the operator is told: {e}"),
        };
        if clock.monotonic().since(began) >= HEALS_WITHIN {
            return Err(wrong);
        }
        clock.sleep(LOOK).await;
    }
}

/// Waits until components renew their leases again, for as long as a kubelet may wait before it starts a container anew,
/// and the lease of before holds. Where the world is stretched they would wait for days, and nobody signs meanwhile.
pub(super) async fn led(scene: &Scene) {
    let clock = scene.workstation().clock().clone();
    let (began, since) = (clock.monotonic(), clock.wall());
    while !matches!(components(scene, since).await, Ok(None)) {
        if clock.monotonic().since(began) >= LED_WITHIN {
            return;
        }
        clock.sleep(LOOK).await;
    }
}

/// The first thing that is not well; leases count when they were renewed after `since`.
async fn look(scene: &Scene, since: Wall) -> Result<Option<String>, ClientError> {
    let operator = &scene.operator;
    let ready = scene.cluster.options().profile.ready_path();
    let (status, body) = operator.raw(http::Method::GET, ready, None).await?;
    if !status.is_success() {
        return Ok(Some(format!("{ready} says {status}: {}", String::from_utf8_lossy(&body))));
    }
    let wrong = match nodes(scene, since).await? {
        Some(wrong) => Some(wrong),
        None => components(scene, since).await?,
    };
    if wrong.is_some() {
        return Ok(wrong);
    }
    let deployment = scene.deployment().await?;
    let wanted = deployment.i64_at("/spec/replicas").unwrap_or(0);
    let available = deployment.i64_at("/status/availableReplicas").unwrap_or(0);
    let observed = deployment.i64_at("/status/observedGeneration").unwrap_or(0);
    if available < wanted || observed < deployment.generation() {
        return Ok(Some(format!("{available} of {wanted} replicas are available")));
    }
    for (what, there) in [
        ("kube-root-ca.crt", operator.get_opt(&CONFIG_MAPS, NS, "kube-root-ca.crt").await?),
        ("service account default", operator.get_opt(&ACCOUNTS, NS, "default").await?),
    ] {
        if there.is_none() {
            return Ok(Some(format!("{what} has not come back")));
        }
    }
    let write = json!({"metadata": {"generateName": "write-"}, "data": {}});
    operator.create(&CONFIG_MAPS, Some("default"), &write).await.map(|_| None)
}

async fn nodes(scene: &Scene, since: Wall) -> Result<Option<String>, ClientError> {
    let nodes = scene.operator.list(&Resource::core("nodes"), None, &ListParams::default()).await?;
    let unready = nodes.items.iter().find(|node| !is_ready(node)).map(|node| node.name());
    if let Some(name) = unready {
        return Ok(Some(format!("node {name} is not Ready")));
    }
    if nodes.items.len() != scene.cluster.members().len() {
        return Ok(Some(format!("there are {} nodes", nodes.items.len())));
    }
    for name in scene.cluster.members() {
        if !renewed(scene, "kube-node-lease", &name, since).await? {
            return Ok(Some(format!("the lease of node {name} is not renewed")));
        }
    }
    Ok(None)
}

async fn components(scene: &Scene, since: Wall) -> Result<Option<String>, ClientError> {
    for component in Component::STATIC {
        let pod = format!("{}-{CONTROL_PLANE}", component.name());
        let pod = scene.operator.get_opt(&Resource::core("pods"), Some("kube-system"), &pod).await?;
        if !pod.as_ref().is_some_and(is_ready) {
            return Ok(Some(format!("the pod of {} is not Ready", component.name())));
        }
    }
    for name in ["kube-controller-manager", "kube-scheduler"] {
        if !renewed(scene, "kube-system", name, since).await? {
            return Ok(Some(format!("the lease of {name} is not renewed")));
        }
    }
    Ok(None)
}

/// Whether a Lease was renewed after `since` by somebody who still has it. Clocks are right by now.
async fn renewed(scene: &Scene, ns: &str, name: &str, since: Wall) -> Result<bool, ClientError> {
    let Some(lease) = scene.operator.get_opt(&LEASES, Some(ns), name).await? else { return Ok(false) };
    let now = scene.workstation().clock().wall();
    let fresh = |at: Wall| at > since && at <= now + SignedDuration::from_secs(1);
    let held = !lease.str_at("/spec/holderIdentity").is_empty();
    Ok(held && lease.time_at("/spec/renewTime").is_some_and(fresh))
}
