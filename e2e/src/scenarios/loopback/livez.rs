//! loopback-livez: from 1.36 on the apiserver says that its loopback certificate is over, and the kubelet restarts it.
//!
//! kubernetes/kubernetes#136477: `/livez` (and only `/livez`) has a check that turns red when the certificate's validity
//! has passed since the start. It counts from the start, and the certificate from an hour before it, so red comes an hour
//! late (`loopback-blind-hour`). The static pod's liveness probe fails eight times, ten seconds apart, and the kubelet
//! starts the container again, which makes a new certificate.

use std::time::Duration;

use chronoplane::cluster::CONTROL_PLANE;
use jiff::SignedDuration;
use world::Periods;

use super::scene::{Scene, config, day, options};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::Stage,
    story::{Settings, StoryError, Teller},
};

/// Eight probes ten seconds apart, the server's farewell, and its new start.
const KUBELET_ACTS: Duration = Duration::from_secs(180);

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "loopback-livez",
    sentence: "livez turns red an hour after the loopback certificate's end, and the kubelet restarts the apiserver.",
    reference: "kubernetes/kubernetes#136477",
    symptoms: &[
        "internal server error: loopback serving certificate is expired",
        "[-]loopback-serving-certificate failed: reason withheld",
    ],
    range: (36, 36),
    tell,
    real: InReal::Not("needs to elapse: the check counts the running time of the server, three years of it"),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let facts = settings.profile.loopback();
    let late = SignedDuration::try_from(facts.backdate).unwrap_or_default();
    Stage::play(settings, teller, config(settings), options(0), async |stage| {
        let scene = Scene::of(stage).await?;
        let red = scene.leaf().not_after() + late;
        stage.say(format!("The certificate ends at {}.", day(scene.leaf().not_after())));
        if !facts.livez_check {
            scene.until(red + SignedDuration::from_secs(1)).await;
            stage.say("Before 1.36 nothing tells:");
            scene.check_livez("an hour later", 500).await;
            scene.check_green("health").await;
            return Ok(());
        }
        let look = async || (scene.livez().await, stage.get("/livez").await, stage.get("/readyz").await.0);
        let (before, after) = stage.edge(CONTROL_PLANE, red, look).await?;
        let (code, words) = before.0;
        stage.check(format!("one second before {}", day(red)), code == 200, format!("livez {code} {words}"));
        let (code, words) = after.0;
        stage.check_words(
            "one second after",
            format!("livez {code} {words}"),
            &["livez 500", ENTRY.symptoms[0]],
        );
        let (code, body) = after.1;
        let line = body.lines().find(|line| line.starts_with("[-]")).unwrap_or_default();
        stage.check_words("all of livez", format!("{code} {line}"), &["500", ENTRY.symptoms[1]]);
        stage.check("readyz does not ask", after.2 == 200, after.2.to_string());
        // From here on the kubelet probes as upstream's does.
        stage.sim().set_periods(Periods::upstream());
        stage.cluster.elapse(KUBELET_ACTS).await;
        stage.say(format!("{}: the kubelet has acted.", day(stage.now())));
        let (renewed, until) = scene.renewed().await?;
        stage.check("a new loopback certificate", renewed, until);
        scene.check_livez("livez", 200).await;
        scene.check_works("create pod").await;
        Ok(())
    })?;
    Stage::play(settings, teller, config(settings), options(0), async |stage| {
        let scene = Scene::of(stage).await?;
        scene.until(scene.leaf().not_after() - SignedDuration::from_hours(1)).await;
        stage.cluster.restart_apiserver().await?;
        scene.until(scene.leaf().not_after() + late + SignedDuration::from_secs(1)).await;
        stage.say("\nControl run: somebody restarted it an hour before the end.");
        scene.check_livez("livez at the same instant", 200).await;
        scene.check_works("create pod").await;
        Ok(())
    })?;
    teller.say("\nIn a real cluster: nothing to do, as long as a kubelet probes livez. A server without one must be restarted by hand.");
    Ok(())
}
