//! Doing what a plan says, and its remedy: when, and what by which file.
//!
//! * [`clocks`]: steps, rates, tasks that stand still.
//! * [`network`]: what becomes of packets, connections and names.
//! * [`disks`]: disks and power.
//! * [`programs`]: programs that are killed, away, or whose certificates have ended.
//! * [`files`]: a stranger's certificates.
//! * [`objects`]: what is done through the API, and to the store's history.

mod clocks;
mod disks;
mod files;
mod network;
mod objects;
mod programs;

use std::time::Duration;

use tokio::sync::oneshot;

use super::{fault::Fault, health, load::HOOK, plan::Planned, scene::Scene};
use crate::{HarnessError, cluster::CONTROL_PLANE};

const PKI: &str = "/etc/kubernetes/pki";
/// Between two tries of a remedy that a person carries out.
const AGAIN: Duration = Duration::from_secs(30);
/// How often such a remedy is tried.
const TRIES: u32 = 20;
/// Longer than any plan: what is not remedied.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);
/// So long before a fault the world runs slow, so that leases are of that pace when it begins.
const AHEAD: Duration = Duration::from_secs(30);
/// What a fault has left behind settles before the world runs fast again.
const SETTLING: Duration = Duration::from_secs(120);
/// The same where files have to be noticed that are looked at every minute: six, at the slow pace.
const SETTLING_FILES: Duration = Duration::from_secs(480);

/// Waits until it is time, lets it happen, and remedies it; `remedied` is told when that is done, and then what it has
/// left behind settles.
pub(super) async fn play(scene: &Scene, planned: &Planned, remedied: oneshot::Sender<()>) {
    let host = scene.workstation();
    let begins = host.clock().monotonic() + Duration::from_secs(planned.at);
    host.clock().sleep(Duration::from_secs(planned.at).saturating_sub(AHEAD)).await;
    // Who waits for days waits at the pace of days.
    let slow = match planned.fault {
        Fault::Outlive => None,
        _ => Some(scene.tempo.slow().await),
    };
    if is_untold(&planned.fault) {
        network::renew(scene);
    }
    host.clock().sleep_until(begins).await;
    let disturbed = scene.tempo.fault();
    let text = serde_json::to_string(&planned.fault).unwrap_or_default();
    host.record("fault", vec![("begins", text.clone())]);
    let lasts = if planned.remedied { Duration::from_secs(planned.lasts) } else { FOR_EVER };
    if let Err(why) = happen(scene, &planned.fault, lasts).await {
        // A fault may keep another, or the remedy of another, from happening: healing tells what it did.
        host.record("fault", vec![("failed", why.to_string())]);
    }
    host.record("fault", vec![("ends", text)]);
    drop(disturbed);
    let _ = remedied.send(());
    let _slow = match slow {
        Some(slow) => slow,
        None => scene.tempo.slow().await,
    };
    let settling = match planned.fault {
        Fault::CertificateReplaced { .. } => SETTLING_FILES,
        _ => SETTLING,
    };
    host.clock().sleep(settling).await;
    health::led(scene).await;
}

/// Whether it leaves connections of which one end is told nothing.
fn is_untold(fault: &Fault) -> bool {
    matches!(fault, Fault::HalfOpen { .. } | Fault::PowerFailure { .. } | Fault::LyingFsync)
}

async fn happen(scene: &Scene, fault: &Fault, lasts: Duration) -> Result<(), HarnessError> {
    let sim = scene.sim();
    match fault {
        Fault::Crash { host, component } => programs::crash(scene, host, *component).await,
        Fault::Stop { host, component } => programs::stop(scene, host, *component, lasts).await?,
        Fault::Reboot { host } => disks::reboot(scene, host, lasts).await,
        Fault::PowerFailure { host } => disks::power_failure(scene, host, lasts).await,
        Fault::Partition { a, b } => network::partition(scene, a, b, lasts).await,
        Fault::OneWay { from, to } => network::one_way(scene, from, to, lasts).await,
        Fault::BadNetwork { a, b, weather } => network::bad(scene, a, b, *weather, lasts).await,
        Fault::Reset { from, to, port } => _ = scene.cluster.reset(from.as_str(), to.as_str(), *port),
        Fault::HalfOpen { from, to, port } => network::half_open(scene, from, to, *port).await,
        Fault::NameWrong { host, resolves } => network::name_wrong(scene, host, *resolves, lasts).await,
        Fault::Step { host, seconds } => clocks::step(scene, host, *seconds, lasts).await,
        Fault::Drift { host, ppm } => clocks::drift(scene, host, *ppm, lasts).await,
        Fault::Freeze { host } => clocks::freeze(scene, host, lasts).await,
        Fault::Pause { host } => sim.pause(host, lasts).await,
        Fault::Suspend { host } => sim.suspend(host, lasts).await,
        Fault::DiskFull { host } => disks::full(scene, host, lasts).await,
        Fault::DiskReadOnly { host } => disks::read_only(scene, host, lasts).await,
        Fault::SlowFsync { host, milliseconds } => disks::slow(scene, host, *milliseconds, lasts).await,
        Fault::LyingFsync => disks::lying(scene, lasts).await,
        Fault::CertificateReplaced { which } => files::replace(scene, *which, lasts).await?,
        Fault::ObjectDeleted { which } => objects::delete(scene, *which).await?,
        Fault::SecretDeleted => objects::without_secret(scene, lasts).await?,
        Fault::WebhookGone => network::partition(scene, HOOK, CONTROL_PLANE, lasts).await,
        Fault::WebhookSlow => {
            scene.hook.set_slow(true);
            sim.elapse(lasts).await;
            scene.hook.set_slow(false);
        }
        Fault::Overload { requests } => objects::overload(scene, *requests).await?,
        Fault::Compaction => drop(scene.cluster.compact().await?),
        Fault::Outlive => {
            sim.elapse(lasts).await;
            programs::renew(scene).await?;
        }
    }
    Ok(())
}

/// What a person does until it succeeds: another fault may be in its way.
async fn tried(
    scene: &Scene,
    mut what: impl AsyncFnMut() -> Result<(), HarnessError>,
) -> Result<(), HarnessError> {
    let mut tries = 1;
    loop {
        match what().await {
            Err(_) if tries < TRIES => tries += 1,
            outcome => return outcome,
        }
        scene.sim().elapse(AGAIN).await;
    }
}
