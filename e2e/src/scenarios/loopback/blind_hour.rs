//! loopback-blind-hour: for one hour the loopback certificate is dead and livez is green.
//!
//! The check of 1.36 counts the certificate's validity from the start of the server; the certificate begins an hour before
//! the start, against clocks that disagree. Observed on a running 1.36.2 and not reported upstream: writes are refused
//! from NotAfter on, livez turns red at NotAfter + 1 h.

use jiff::SignedDuration;

use super::scene::{Scene, Side, config, day, options};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::Stage,
    story::{Settings, StoryError, Teller},
};

/// How long before the hour is over the connections are reset.
const BEFORE: SignedDuration = SignedDuration::from_mins(2);

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "loopback-blind-hour",
    sentence: "The livez check counts from the start, the certificate from an hour before: dead and green for that hour.",
    reference: "observed on a running 1.36.2, unreported",
    symptoms: &[
        "pods … is forbidden: Get \"https://…/limitranges\": … x509: certificate has expired or is not yet valid",
    ],
    range: (36, 36),
    tell,
    real: InReal::Not("needs to elapse: the check counts the running time of the server, three years of it"),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let facts = settings.profile.loopback();
    let hour = SignedDuration::try_from(facts.backdate).unwrap_or_default();
    Stage::play(settings, teller, config(settings), options(0), async |stage| {
        let scene = Scene::of(stage).await?;
        let end = scene.leaf().not_after();
        scene.until(end - hour).await;
        scene.reset().await?;
        stage.say("Control, as long before the end as the blind time lasts: the connections are reset.");
        scene.check_works("create pod").await;
        scene.check_livez("livez", 200).await;
        stage.say("");
        scene.check_edge(end, (true, false)).await?;
        scene.check_livez("livez", 200).await;
        // Not at once: from then on every informer tries again twice a minute, each time with a handshake.
        scene.until(end + hour - BEFORE).await;
        scene.reset().await?;
        stage.say(format!("{}: the connections that use it are reset.", day(stage.now())));
        scene.check_refused("create pod", Side::After).await;
        scene.check_livez("livez", 200).await;
        if !facts.livez_check {
            stage.say("Before 1.36 the hour never ends: see loopback-silent.");
            return Ok(());
        }
        scene.until(end + hour - SignedDuration::from_secs(1)).await;
        stage.say(format!("{}: one second before the hour is over.", day(stage.now())));
        scene.check_refused("create pod", Side::After).await;
        scene.check_livez("livez", 200).await;
        stage.cluster.elapse(std::time::Duration::from_secs(2)).await;
        scene.check_livez("two seconds later", 500).await;
        Ok(())
    })?;
    teller.say("\nIn a real cluster: an alert on refused writes knows it an hour before livez does.");
    Ok(())
}
