//! short-lease-steals: a candidate with a short lease takes the lead from a healthy leader with a long one.
//!
//! Leader and candidates are told how long a lease lasts by flags, and the leader writes its own duration into the
//! record. Up to client-go of 1.26 a candidate did not read that: it waited for the duration of its own flags. Where
//! the leader renews more rarely than that, as after a change of flags that has reached only one of two replicas, the
//! candidate takes the lead between two renewals while the leader acts on (kubernetes/kubernetes#47671, fixed by
//! #114872 in 1.27).
//!
//! The instant that matters is fifteen seconds after the candidate saw the record change. It looks every two seconds and
//! a little, so a second before and after that instant it does not look; the edge here are its own two looks around it.

use std::time::Duration;

use api::{object::ObjectExt, profile::Profile};
use client::Resource;
use jiff::SignedDuration;
use world::{Event, Wall, sim::Config};

use super::{candidates, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly},
    story::{Settings, StoryError, Teller},
};
use candidates::{FIRST, SECOND, leader, said};

pub(crate) const ENTRY: Entry = Entry {
    id: "short-lease-steals",
    sentence: "A candidate with a short lease duration takes a lease that its leader holds for longer.",
    reference: "kubernetes/kubernetes#114872 (fixed in 1.27), #47671",
    symptoms: &["leaderelection lost"],
    range: (8, 26),
    tell,
    real: InReal::Not(
        "needs to elapse: a candidate waits for fifteen seconds of its running time, with simulated chance in its looks",
    ),
};

/// A minute's lease, renewed every twenty seconds.
const PATIENT: &[&str] = &[
    "--leader-elect-lease-duration=60s",
    "--leader-elect-renew-deadline=40s",
    "--leader-elect-retry-period=20s",
];
/// The defaults: fifteen seconds.
const HASTY: &[&str] = &[];
const OWN: SignedDuration = SignedDuration::from_secs(15);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    teller.say(format!(
        "{FIRST} leads with a lease of 60 s that it renews every 20 s; {SECOND} has the default of 15 s."
    ));
    let minor = settings.profile.minor();
    let steals = !settings.profile.candidates_heed_the_record();
    play(settings, teller, HASTY, steals)?;
    briefly(teller, "Control run, both with a lease of 60 s", || play(settings, teller, PATIENT, false))?;
    if minor < 27 {
        let fixed = Settings { profile: Profile::of_minor(27).map_err(StoryError::new)?, ..settings.clone() };
        briefly(teller, "Fixed run, the first setting with 1.27", || play(&fixed, teller, HASTY, false))?;
    }
    teller.say("\nIn a real cluster: give all replicas of a component the same --leader-elect-* flags, and before 1.27");
    teller.say("stop all of them before you make the lease longer.");
    Ok(())
}

/// Upstream's own periods: they are the story.
fn play(settings: &Settings, teller: &Teller, second: &[&str], steals: bool) -> Result<(), StoryError> {
    let config = Config { seed: settings.seed, ..Config::default() };
    Stage::play(settings, teller, config, <_>::default(), async |stage| {
        // The first one needs no second to lead: the one comes later.
        candidates::start(stage, PATIENT, second).await?;
        stage.cluster.elapse(Duration::from_secs(60)).await;
        looks(stage, steals).await
    })
}

async fn looks(stage: &Stage, steals: bool) -> Result<(), StoryError> {
    let took = said(stage, SECOND, "became leader");
    let seen = took.map_or("waits".to_owned(), |at| format!("became leader at {}", shown(at)));
    stage.check(format!("{SECOND}, within a minute and a half"), took.is_some() == steals, seen);
    if let Some(at) = took {
        let renewed = renewals(stage, at);
        let since = renewed.map_or(0, |before| at.duration_since(before).as_secs());
        let seen = format!("{since} s after the leader's last renewal, of the 60 s that the record grants");
        stage.check("it did not wait for the end", (15..20).contains(&since), seen);
        edge(stage, at, renewed.unwrap_or(at));
    }
    stage.cluster.elapse(Duration::from_secs(60)).await;
    let words = candidates::last_words(stage, FIRST);
    stage.check(
        format!("{FIRST} ended, saying"),
        words == if steals { "leaderelection lost" } else { "" },
        words,
    );
    let now = leader(stage).await;
    let wanted = if steals { SECOND } else { FIRST };
    stage.check("the lease names", now.starts_with(wanted), now.split('_').next().unwrap_or_default());
    let leases = Resource::new("coordination.k8s.io", "v1", "leases");
    let lease = stage.cluster.admin().get(&leases, Some("kube-system"), "kube-scheduler").await;
    let lease = lease.map_err(StoryError::new)?;
    let duration = lease.i64_at("/spec/leaseDurationSeconds").unwrap_or_default();
    stage.check("for", duration == if steals { 15 } else { 60 }, format!("{duration} s"));
    Ok(())
}

/// Its last look before its own lease duration had passed since it saw the renewal, and its first look after: the second
/// takes.
fn edge(stage: &Stage, took: Wall, renewed: Wall) {
    let looks: Vec<Wall> = asked(stage, "get", "200").into_iter().filter(|at| *at >= renewed).collect();
    let since = |at: Wall| at.duration_since(*looks.first().unwrap_or(&renewed));
    let before = looks.iter().copied().rfind(|at| *at < took);
    let (waits, takes) = (before.map(since), since(took));
    let held = waits.is_some_and(|waits| waits < OWN) && takes >= OWN;
    let waits = waits.unwrap_or_default().as_secs_f64();
    let seen = format!(
        "{waits:.1} s after it saw the renewal it waits, {:.1} s after it takes",
        takes.as_secs_f64()
    );
    stage.check("its looks around 15 s", held, seen);
}

/// The last time before `at` that the leader wrote the lease: the server took a PUT then.
fn renewals(stage: &Stage, at: Wall) -> Option<Wall> {
    // The last one of all is the candidate's own.
    let others = |t: &Wall| *t < at && at.duration_since(*t) > SignedDuration::from_secs(1);
    asked(stage, "update", "200").into_iter().rfind(others)
}

/// When the lease was asked for with that verb and that outcome.
fn asked(stage: &Stage, verb: &str, code: &str) -> Vec<Wall> {
    let has = |e: &Event, key: &str, holds: &dyn Fn(&str) -> bool| {
        e.fields.iter().any(|(k, v)| *k == key && holds(v))
    };
    let wanted = |e: &&Event| {
        e.kind == "request"
            && has(e, "path", &|v| v.ends_with("/leases/kube-scheduler"))
            && has(e, "verb", &|v| v == verb)
            && has(e, "code", &|v| v == code)
    };
    stage.sim().events().iter().filter(wanted).map(|e| e.at).collect()
}
