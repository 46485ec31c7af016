//! Disks that are full, read-only, slow or lie, and hosts without power.

use std::time::Duration;

use super::super::scene::Scene;
use crate::cluster::CONTROL_PLANE;

/// How long a host is without power whose disk has lied.
const WITHOUT_POWER: Duration = Duration::from_secs(20);

pub(super) async fn full(scene: &Scene, host: &str, lasts: Duration) {
    scene.sim().disk(host).set_full(true);
    scene.sim().elapse(lasts).await;
    scene.sim().disk(host).set_full(false);
}

pub(super) async fn read_only(scene: &Scene, host: &str, lasts: Duration) {
    scene.cluster.read_only_disk(host, true);
    scene.sim().elapse(lasts).await;
    scene.cluster.read_only_disk(host, false);
}

pub(super) async fn slow(scene: &Scene, host: &str, milliseconds: u64, lasts: Duration) {
    scene.cluster.slow_fsync(host, Duration::from_millis(milliseconds));
    scene.sim().elapse(lasts).await;
    scene.cluster.slow_fsync(host, Duration::ZERO);
}

/// The control plane's disk says for a while that it has synced what it has not; then its power fails, and with it goes
/// what was acknowledged. Those that remember more than the store does start anew, as etcd's documentation asks for after
/// a restore: the control plane's programs by themselves, the kubelets by hand, and whoever watches lists again
/// ([`super::super::history::History::lost`]).
pub(super) async fn lying(scene: &Scene, lasts: Duration) {
    scene.history.doubt();
    scene.cluster.lying_fsync(CONTROL_PLANE, true);
    scene.sim().elapse(lasts).await;
    power_failure(scene, CONTROL_PLANE, WITHOUT_POWER).await;
    scene.cluster.lying_fsync(CONTROL_PLANE, false);
    scene.history.trust();
    for name in scene.cluster.members() {
        let host = scene.host(&name);
        host.services().stop("kubelet").await;
        host.services().start(&host, "kubelet");
    }
}

/// One after another, if a host has two of them at a time.
pub(super) async fn reboot(scene: &Scene, host: &str, lasts: Duration) {
    let power = scene.power(host);
    let _power = power.lock().await;
    scene.sim().reboot(host, lasts).await;
}

/// As [`reboot`], without a word to anybody.
pub(super) async fn power_failure(scene: &Scene, host: &str, lasts: Duration) {
    let power = scene.power(host);
    let _power = power.lock().await;
    if host == CONTROL_PLANE {
        scene.history.lose();
    }
    scene.sim().power_failure(host, lasts).await;
}
