//! The stage of a story in the simulated gear: one world with a cluster in it, looked at from a workstation.

use std::{cell::RefCell, ops::Deref, rc::Rc};

use api::profile::Profile;
use chronoplane::{Cluster, ClusterOptions};
use client::{ClientError, Rest};
use serde_json::Value;
use world::{
    Event, Gear, Host, Periods,
    sim::{Config, Sim, run},
};

use super::ground::{self, Ground};
use crate::story::{Settings, StoryError, Teller};

/// A world for these settings, with recurring work stretched: what a story does between its instants does not matter.
pub fn config(settings: &Settings) -> Config {
    Config { seed: settings.seed, periods: Periods::sparse(), ..Config::default() }
}

/// One world of a story: a [`Ground`] in which time passes. What happened goes to the story's trace when it ends.
pub struct Stage {
    /// What lives in it.
    pub cluster: Rc<Cluster>,
    /// What it has in common with the real gear.
    pub ground: Ground,
    seen: RefCell<usize>,
}

impl Deref for Stage {
    type Target = Ground;

    fn deref(&self) -> &Ground {
        &self.ground
    }
}

impl Stage {
    /// Plays `act` in a world of its own with a cluster of `options` (of the settings' release, whatever they say).
    ///
    /// # Errors
    /// The world broke: no cluster came up, or the act says why it cannot go on.
    pub fn play(
        settings: &Settings,
        teller: &Teller,
        config: Config,
        options: ClusterOptions,
        act: impl AsyncFnOnce(&Stage) -> Result<(), StoryError>,
    ) -> Result<(), StoryError> {
        Self::play_after(settings, teller, config, options, |_| Ok(()), act)
    }

    /// As [`Stage::play`], after `prepare` has put into the world what is there before the cluster.
    ///
    /// # Errors
    /// As [`Stage::play`], or what cannot be prepared.
    pub fn play_after(
        settings: &Settings,
        teller: &Teller,
        config: Config,
        options: ClusterOptions,
        prepare: impl FnOnce(&Sim) -> Result<(), StoryError>,
        act: impl AsyncFnOnce(&Stage) -> Result<(), StoryError>,
    ) -> Result<(), StoryError> {
        if settings.gear == Gear::Real {
            return Err(StoryError("it is told in the simulated gear only".into()));
        }
        run(config, async |sim| {
            teller.enter(&sim);
            prepare(&sim)?;
            let stage = Self::set(&sim, settings, teller, options).await?;
            let outcome = act(&stage).await;
            teller.record(sim.events());
            outcome
        })?
    }

    async fn set(
        sim: &Sim,
        settings: &Settings,
        teller: &Teller,
        options: ClusterOptions,
    ) -> Result<Self, StoryError> {
        let options = ClusterOptions {
            profile: settings.profile,
            check_certificate_dates: settings.check_certificate_dates,
            ..options
        };
        let cluster = Rc::new(Cluster::start(sim, options).await?);
        let world = ground::World::Simulated(cluster.clone());
        let ground = Ground { teller: teller.clone(), settings: settings.clone(), world };
        Ok(Self { cluster, ground, seen: RefCell::default() })
    }

    /// The world.
    pub fn sim(&self) -> &Sim {
        self.cluster.sim()
    }

    /// One of its hosts.
    pub fn host(&self, name: &str) -> Host {
        self.sim().host(name)
    }

    /// Everything recorded since the last call of this, oldest first: what `journalctl` on all hosts would show.
    pub fn news(&self) -> Vec<Event> {
        let events = self.sim().events();
        let from = self.seen.replace(events.len());
        events.into_iter().skip(from).collect()
    }
}

/// The settings with the release 1.`minor` in place of one that has not what the story is about; says `why`.
///
/// # Errors
/// There is no such release.
pub fn instead(settings: &Settings, teller: &Teller, minor: u16, why: &str) -> Result<Settings, StoryError> {
    let asked = settings.profile.git_version();
    let profile = Profile::of_minor(minor).map_err(StoryError::new)?;
    teller.say(format!("{asked}: {why}; told with {}.", profile.git_version()));
    Ok(Settings { profile, ..settings.clone() })
}

/// Tells a run of which only the outcome matters, such as a control run, in one line: how many of its checks hold.
/// Those that do not are shown.
///
/// # Errors
/// The run's own.
pub fn briefly(
    teller: &Teller,
    what: &str,
    run: impl FnOnce() -> Result<(), StoryError>,
) -> Result<(), StoryError> {
    let (made_before, held_before) = teller.tally();
    teller.quietly();
    let outcome = run();
    teller.aloud();
    let (made, held) = teller.tally();
    let (all, fine) = (made - made_before, held - held_before);
    let mark = if all == fine { "✓" } else { "✗" };
    teller.say(format!("  {mark} {what}: {fine} of {all} checks hold."));
    outcome
}

/// A plain GET: status (0: no answer) and body, or why there is none.
pub async fn raw(rest: &Rest, path: &str) -> (u16, String) {
    match rest.raw(http::Method::GET, path, None).await {
        Ok((status, body)) => (status.as_u16(), String::from_utf8_lossy(&body).into_owned()),
        Err(e) => (0, e.to_string()),
    }
}

/// The code of an answer (200 when it is good, 0 when there is none) and its words.
pub fn verdict(answer: &Result<Value, ClientError>) -> (u16, String) {
    match answer {
        Ok(_) => (200, String::new()),
        Err(e) => (e.status().map_or(0, |s| s.code), e.to_string()),
    }
}
