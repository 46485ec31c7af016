//! loopback-livez-asleep: the wall clock jumps past the loopback certificate's end, and the check of 1.36 never sees it.
//!
//! The check compares two readings of the running process, which Go does by the monotonic clock: it counts running time.
//! A step of the wall clock adds none, and neither does a suspended host. The certificate is judged by the wall clock. So
//! it is dead at once, and livez stays green until the server has really run for three years. Read in the source of 1.36.

use std::time::Duration;

use chronoplane::cluster::CONTROL_PLANE;
use jiff::SignedDuration;

use super::scene::{Scene, Side, day, options, outcome};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, config},
    story::{Settings, StoryError, Teller},
};

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const TWO_HOURS: SignedDuration = SignedDuration::from_hours(2);
/// Longer would be many handshakes: every informer tries again twice a minute.
const LATER: Duration = Duration::from_secs(600);

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "loopback-livez-asleep",
    sentence: "A step of the clock or a suspended host passes the certificate's end: it is dead, and livez counts running time.",
    reference: "read in the source of 1.36",
    symptoms: &[
        "pods … is forbidden: Get \"https://…/limitranges\": … x509: certificate has expired or is not yet valid",
    ],
    range: (36, 36),
    tell,
    real: InReal::Not("needs a host that is suspended, and its step of a clock is told by loopback-silent"),
};

/// How the clock passes the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Step,
    Suspend,
}

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    for (how, words) in [
        (How::Step, "The wall clock is stepped past the end."),
        (How::Suspend, "\nThe host is suspended past it."),
    ] {
        Stage::play(settings, teller, config(settings), options(0), async |stage| {
            let scene = Scene::of(stage).await?;
            stage.say(words);
            pass(stage, &scene, how, -SECOND).await;
            let before = scene.own_handshake().await;
            stage.check("one second before the end", before.is_ok(), outcome(&before));
            pass(stage, &scene, how, SECOND).await;
            let after = scene.own_handshake().await;
            stage.check("one second after", after.is_err(), outcome(&after));
            pass(stage, &scene, how, TWO_HOURS).await;
            scene.reset().await?;
            stage
                .say(format!("{}: two hours past the end, and the connections are reset.", day(stage.now())));
            scene.check_refused("create pod", Side::After).await;
            scene.check_livez("livez", 200).await;
            stage.cluster.elapse(LATER).await;
            scene.check_livez("livez ten minutes later", 200).await;
            scene.check_refused("create pod", Side::After).await;
            stage.cluster.restart_apiserver().await?;
            stage.say("The kube-apiserver is restarted.");
            scene.check_works("create pod").await;
            Ok(())
        })?;
    }
    Stage::play(settings, teller, config(settings), options(0), async |stage| {
        let scene = Scene::of(stage).await?;
        pass(stage, &scene, How::Step, -TWO_HOURS).await;
        scene.reset().await?;
        stage.say("\nControl run: a step that ends two hours before.");
        scene.check_works("create pod").await;
        scene.check_livez("livez", 200).await;
        Ok(())
    })?;
    teller.say("\nIn a real cluster: restart kube-apiserver after a large step of the clock, and after a long sleep.");
    Ok(())
}

/// Brings the server's wall clock to its certificate's end and `beyond`.
async fn pass(stage: &Stage, scene: &Scene<'_>, how: How, beyond: SignedDuration) {
    let left = scene.leaf().not_after().duration_since(scene.server.clock().wall()) + beyond;
    match how {
        How::Step => stage.cluster.step(CONTROL_PLANE, left),
        How::Suspend => {
            stage.cluster.suspend(CONTROL_PLANE, left.try_into().unwrap_or_default()).await;
        }
    }
}
