//! loopback-born-ahead: an apiserver starts while its clock is ahead, and the clock is corrected.
//!
//! The loopback certificate begins an hour before the start (from 1.12 on; before, at the start). A clock that was ahead
//! by more than that leaves a certificate that is not valid yet when the clock is right again. Nothing tells, livez
//! included: it only asks for the end. It heals by itself when the wall clock reaches the beginning. Read in the source.

use std::time::Duration;

use chronoplane::cluster::CONTROL_PLANE;
use jiff::SignedDuration;

use super::{
    matrix,
    scene::{Scene, Side, day, options},
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "loopback-born-ahead",
    sentence: "Started with its clock two hours ahead, then corrected: the loopback certificate is not valid yet, and all is green.",
    reference: "read in the source of 1.36",
    symptoms: &["x509: certificate has expired or is not yet valid: current time … is before …"],
    range: (12, 36),
    tell,
    real: InReal::Told(tell),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let backdate = SignedDuration::try_from(settings.profile.loopback().backdate).unwrap_or_default();
    Ground::play(settings, teller, config(settings), options(0), async |stage| {
        let ahead = backdate + SignedDuration::from_hours(1);
        let scene = started_ahead(stage, ahead).await?;
        let begins = scene.leaf().not_before();
        stage.say(format!(
            "{}: the clock is right again; the certificate begins at {}.",
            day(stage.now()),
            day(begins)
        ));
        scene.reset().await?;
        scene.check_refused("create pod", Side::Before).await;
        scene.check_green("health").await;
        scene.check_livez("its own check", 200).await;
        scene.check_edge(begins, (false, true)).await?;
        // Informers try again within half a minute or so.
        let works = async || matrix::pod_refusal(stage).await.is_none().then_some(());
        stage.give(Duration::from_secs(60), works).await;
        scene.check_works("a minute later: create pod").await;
        Ok(())
    })?;
    Ground::play(settings, teller, config(settings), options(0), async |stage| {
        // Within the backdate, or none where there is none.
        let scene = started_ahead(stage, backdate / 2).await?;
        scene.reset().await?;
        stage.say("\nControl run: ahead by half of what the certificate is backdated.");
        scene.check_works("create pod").await;
        Ok(())
    })?;
    teller.say("\nIn a real cluster: start kube-apiserver after time synchronisation (time-sync.target), or restart it.");
    Ok(())
}

/// The server is restarted while its host's clock is ahead; then the clock is set right.
async fn started_ahead(stage: &Ground, ahead: SignedDuration) -> Result<Scene<'_>, StoryError> {
    stage.step(CONTROL_PLANE, ahead);
    stage.restart_apiserver().await?;
    let scene = Scene::of(stage).await?;
    stage.say(format!(
        "{} on {CONTROL_PLANE}, whose clock is {ahead:#} ahead: kube-apiserver starts.",
        day(stage.now())
    ));
    stage.step(CONTROL_PLANE, -ahead);
    Ok(scene)
}
