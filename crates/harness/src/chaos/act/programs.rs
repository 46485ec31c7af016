//! Programs that are killed, that are away for a while, or whose certificates nobody has renewed.

use std::time::Duration;

use super::{
    super::{fault::Component, scene::Scene},
    tried,
};
use crate::{HarnessError, cluster::CONTROL_PLANE, launcher};

/// How long the kubelet takes to see that a manifest is gone.
const GONE: Duration = Duration::from_secs(20);

pub(super) async fn crash(scene: &Scene, host: &str, component: Component) {
    let host = scene.host(host);
    match component {
        // systemd starts it again after ten seconds.
        Component::Kubelet => {
            host.services().stop("kubelet").await;
            scene.sim().elapse(Duration::from_secs(10)).await;
            host.services().start(&host, "kubelet");
        }
        other => drop(launcher::kill(&host, other.name()).await),
    }
}

pub(super) async fn stop(
    scene: &Scene,
    host: &str,
    component: Component,
    lasts: Duration,
) -> Result<(), HarnessError> {
    let host = scene.host(host);
    if component == Component::Kubelet {
        host.services().stop("kubelet").await;
        scene.sim().elapse(lasts).await;
        host.services().start(&host, "kubelet");
        return Ok(());
    }
    let (there, away) = manifest(component);
    host.disk().rename(&there, &away).map_err(HarnessError::new)?;
    scene.sim().elapse(lasts.max(GONE)).await;
    tried(scene, async || host.disk().rename(&away, &there).map_err(HarnessError::new)).await
}

fn manifest(component: Component) -> (String, String) {
    let name = component.name();
    (format!("/etc/kubernetes/manifests/{name}.yaml"), format!("/etc/kubernetes/{name}.yaml"))
}

/// What an operator does when it is noticed: everything renewed, every static pod restarted.
pub(super) async fn renew(scene: &Scene) -> Result<(), HarnessError> {
    let host = scene.host(CONTROL_PLANE);
    tried(scene, async || scene.cluster.kubeadm(&host, &["certs", "renew", "all"]).await.map(drop)).await?;
    for from_to in [false, true] {
        for (there, away) in Component::STATIC.map(manifest) {
            let (from, to) = if from_to { (&away, &there) } else { (&there, &away) };
            tried(scene, async || host.disk().rename(from, to).map_err(HarnessError::new)).await?;
        }
        scene.sim().elapse(GONE).await;
    }
    Ok(())
}
