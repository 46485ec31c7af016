//! loopback-silent: the apiserver cannot talk to itself any more, and every health check says that all is well.
//!
//! Health checks look at the store, at post-start hooks and at informers that have synced once. None asks whether the
//! server's own client can still connect, so no probe restarts it, and it stays like this for as long as it runs.
//! The rationale of kubernetes/kubernetes#136477, which brought a check of its own in 1.36 (`loopback-livez`).

use std::time::Duration;

use jiff::SignedDuration;

use super::scene::{Scene, Side, config, day, options};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::Ground,
    story::{Settings, StoryError, Teller},
};

/// As long as it takes to believe it. Every informer tries again twice a minute, each time with a handshake, so that a
/// month would be millions of them.
const LATER: Duration = Duration::from_secs(600);

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "loopback-silent",
    sentence: "The dead loopback certificate turns no health check red; only a restart heals.",
    reference: "rationale of kubernetes/kubernetes#136477",
    symptoms: &[
        "pods … is forbidden: Get \"https://…/limitranges\": … x509: certificate has expired or is not yet valid",
    ],
    range: (8, 35),
    tell,
    real: InReal::Told(tell),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let check = settings.profile.loopback().livez_check;
    Ground::play(settings, teller, config(settings), options(0), async |stage| {
        let scene = Scene::of(stage).await?;
        let end = scene.leaf().not_after();
        scene.until(end - SignedDuration::from_secs(120)).await;
        scene.reset().await?;
        stage.say("Control, two minutes before the end: the connections are reset.");
        scene.check_works("create pod").await;
        scene.check_green("health").await;
        scene.check_edge(end, (true, false)).await?;
        stage.say(format!(
            "\n{}: the loopback certificate ends, and the connections that use it are reset.",
            day(end)
        ));
        scene.reset().await?;
        scene.check_refused("create pod", Side::After).await;
        scene.check_green("health").await;
        if check {
            stage.say("From 1.36 on an hour later livez tells: see loopback-livez.");
            return Ok(());
        }
        stage.later(LATER).await;
        stage.say(format!("{}: ten minutes later.", day(stage.now())));
        scene.check_refused("create pod", Side::After).await;
        scene.check_green("health").await;
        let (renewed, until) = scene.renewed().await?;
        stage.check("nobody has restarted anything", !renewed, until);
        stage.restart_apiserver().await?;
        stage.say("The kube-apiserver is restarted.");
        let (renewed, until) = scene.renewed().await?;
        stage.check("a new loopback certificate", renewed, until);
        scene.check_works("create pod").await;
        Ok(())
    })?;
    teller.say("\nIn a real cluster: do not wait for a probe. Watch the certificate's end, or restart once a year (three from 1.33).");
    Ok(())
}
