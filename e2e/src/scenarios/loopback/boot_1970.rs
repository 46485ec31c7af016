//! loopback-boot-1970: a host without a battery boots at the epoch, and NTP sets its clock a little later.
//!
//! The apiserver makes its loopback certificate first of all, at the epoch; it cannot reach etcd yet, whose certificate
//! is not valid in 1970, and tries on. NTP sets the clock, etcd is reached, the server becomes ready, with a certificate
//! that ended decades ago. livez counts running time and is green. Read in the source of 1.36.

use std::time::Duration;

use chronoplane::cluster::CONTROL_PLANE;
use world::Wall;

use super::scene::{Scene, Side, day, options};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, config},
    story::{Settings, StoryError, Teller},
};

/// Upstream gives up on the store after 20 s, so NTP must be sooner.
const NTP_AFTER: Duration = Duration::from_secs(8);
/// What a machine needs from power to the kubelet.
const BOOT: Duration = Duration::from_secs(30);

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "loopback-boot-1970",
    sentence: "A host boots at the epoch, NTP corrects it: the loopback certificate ended decades ago, and all is green.",
    reference: "read in the source of 1.36",
    symptoms: &["x509: certificate has expired or is not yet valid: current time … is after 197…"],
    range: (12, 36),
    tell,
    real: InReal::Told(tell),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    for right in [false, true] {
        Ground::play(settings, teller, config(settings), options(0), async |stage| {
            if right {
                stage.say("\nControl run: the same boot with a clock that is right.");
            }
            boot(stage, !right).await?;
            let scene = Scene::of(stage).await?;
            let end = scene.leaf().not_after();
            stage.say(format!("{}: ready, with a certificate that ends {}.", day(stage.now()), day(end)));
            scene.reset().await?;
            if right {
                scene.check_works("create pod").await;
            } else {
                scene.check_refused("create pod", Side::After).await;
                let year = end.strftime("%Y").to_string();
                stage.check("made at the epoch", year.starts_with("197"), day(end));
            }
            scene.check_green("health").await;
            scene.check_livez("its own check", 200).await;
            if !right {
                stage.restart_apiserver().await?;
                stage.say("The kube-apiserver is restarted.");
                scene.check_works("create pod").await;
            }
            Ok(())
        })?;
    }
    teller.say("\nIn a real cluster: order the kubelet after time-sync.target; a clock that is years off is not rare without a battery.");
    Ok(())
}

/// Reboots the control plane, with its clock at the epoch until NTP is there if `lost`.
async fn boot(stage: &Ground, lost: bool) -> Result<(), StoryError> {
    let before = stage.starts();
    let lose = || {
        if lost {
            stage.step(CONTROL_PLANE, Wall::UNIX_EPOCH.duration_since(stage.now()));
            stage.say(format!("{CONTROL_PLANE} boots, and its clock reads {}.", day(stage.now())));
        }
    };
    stage.reboot(CONTROL_PLANE, BOOT, lose).await?;
    stage.give(NTP_AFTER, async || (stage.starts() > before).then_some(())).await;
    let truth = stage.workstation().clock().wall();
    stage.step(CONTROL_PLANE, truth.duration_since(stage.now()));
    stage.apiserver_ready().await
}
