//! loopback-three-years: how long an apiserver can run before it must be restarted.
//!
//! Up to 1.32 its loopback certificate lives for a year (from 1.12 on less an hour, because it begins an hour before the
//! start); kubernetes/kubernetes#130047 made that three years in 1.33: 3 × 365 days and one, less the hour. Its release
//! note says 14 months, and the code does not: at 14 months nothing happens.

use jiff::SignedDuration;

use super::scene::{Scene, config, day, options};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::Ground,
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "loopback-three-years",
    sentence: "From 1.33 on the loopback certificate lives for three years less an hour, not for the 14 months of the release note.",
    reference: "kubernetes/kubernetes#130047",
    symptoms: &["x509: certificate has expired or is not yet valid: current time … is after …"],
    range: (33, 36),
    tell,
    real: InReal::Told(tell),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    lived(settings, teller)?;
    if ENTRY.range.0 <= settings.profile.minor() {
        let older = api::profile::Profile::parse("1.32").map_err(StoryError::new)?;
        teller.say("\nControl run: the release before.");
        lived(&Settings { profile: older, ..settings.clone() }, teller)?;
    }
    teller.say("\nIn a real cluster: any restart begins a new one; an upgrade is one.");
    Ok(())
}

fn lived(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let facts = settings.profile.loopback();
    Ground::play(settings, teller, config(settings), options(0), async |stage| {
        let scene = Scene::of(stage).await?;
        let (from, end) = (scene.leaf().not_before(), scene.leaf().not_after());
        let days = end.duration_since(from).as_hours() / 24;
        stage.say(format!(
            "{}: a certificate from {} to {}.",
            settings.profile.git_version(),
            day(from),
            day(end)
        ));
        let long = settings.profile.minor() >= 33;
        stage.check("its days", days == if long { 1096 } else { 365 }, days.to_string());
        let made = from + SignedDuration::try_from(facts.backdate).unwrap_or_default();
        if long {
            let year = made + SignedDuration::from_hours(365 * 24 - 1);
            scene.check_edge(year, (true, true)).await?;
            let note = made + SignedDuration::from_hours(14 * 30 * 24);
            scene.check_edge(note, (true, true)).await?;
        }
        scene.check_edge(end, (true, false)).await
    })
}
