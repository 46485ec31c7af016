//! Programs that are killed, that are away for a while, or whose certificates nobody has renewed.

use std::time::Duration;

use super::{super::scene::Scene, tried};
use crate::{Component, HarnessError, cluster::CONTROL_PLANE, programs::MANIFEST_SEEN};

/// What does not run cannot be killed: another fault has stopped it.
pub(super) async fn crash(scene: &Scene, host: &str, component: Component) {
    let _ = scene.cluster.crash(host, component).await;
}

pub(super) async fn stop(
    scene: &Scene,
    host: &str,
    component: Component,
    lasts: Duration,
) -> Result<(), HarnessError> {
    let began = scene.workstation().clock().monotonic();
    scene.cluster.stop(host, component).await?;
    scene.workstation().clock().sleep_until(began + lasts).await;
    tried(scene, async || scene.cluster.start_again(host, component)).await
}

/// What an operator does when it is noticed: everything renewed, every static pod restarted.
pub(super) async fn renew(scene: &Scene) -> Result<(), HarnessError> {
    let host = scene.host(CONTROL_PLANE);
    tried(scene, async || scene.cluster.kubeadm(&host, &["certs", "renew", "all"]).await.map(drop)).await?;
    for component in Component::STATIC {
        tried(scene, async || scene.cluster.withdraw(CONTROL_PLANE, component)).await?;
    }
    scene.sim().elapse(MANIFEST_SEEN).await;
    for component in Component::STATIC {
        tried(scene, async || scene.cluster.start_again(CONTROL_PLANE, component)).await?;
    }
    scene.sim().elapse(MANIFEST_SEEN).await;
    Ok(())
}
