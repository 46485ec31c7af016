//! What is done through the API, or to the store's history.

use std::time::Duration;

use client::{DeleteParams, ListParams, Resource};
use futures::future::join_all;
use jiff::SignedDuration;
use pki::kubeconfig::User;

use super::{
    super::{
        fault::Kept,
        scene::{ACCOUNTS, CONFIG, LEASES, NS, SECRETS, Scene, identity},
    },
    tried,
};
use crate::HarnessError;

pub(super) async fn delete(scene: &Scene, which: Kept) -> Result<(), HarnessError> {
    let (resource, ns, name) = match which {
        Kept::RootCa => (Resource::core("configmaps"), NS, "kube-root-ca.crt"),
        Kept::NodeLease => (LEASES, Some("kube-node-lease"), "node1"),
        Kept::LeaderLease => (LEASES, Some("kube-system"), "kube-controller-manager"),
        Kept::DefaultAccount => (ACCOUNTS, NS, "default"),
    };
    let deleted = scene.operator.delete(&resource, ns, name, &DeleteParams::default()).await;
    deleted.map(drop).map_err(HarnessError::new)
}

/// The Secret is away that the Deployment's pods read, then somebody makes it again.
pub(super) async fn without_secret(scene: &Scene, lasts: Duration) -> Result<(), HarnessError> {
    let deleted = scene.operator.delete(&SECRETS, NS, CONFIG, &DeleteParams::default()).await;
    deleted.map(drop).map_err(HarnessError::new)?;
    scene.sim().elapse(lasts).await;
    tried(scene, async || match scene.make_config().await {
        Err(e) if !e.is_already_exists() => Err(HarnessError::new(e)),
        _ => Ok(()),
    })
    .await
}

/// Lists of everything in the core, by a user without a place of its own in the queues.
pub(super) async fn overload(scene: &Scene, requests: u32) -> Result<(), HarnessError> {
    let host = scene.workstation();
    let now = host.clock().wall();
    let until = now + SignedDuration::from_hours(1);
    let pair = identity(&host, &scene.authority, "chaos-crowd", &["crowd"], now, until)?;
    let rest = scene.client(&host, User::with_certificate(&pair), "crowd")?;
    let pods = Resource::core("pods");
    let all = ListParams::default();
    // Refused or not: what matters is what becomes of the others meanwhile.
    join_all((0..requests).map(|_| rest.list(&pods, None, &all))).await;
    Ok(())
}
