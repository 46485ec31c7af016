//! The stage of a story: one world with a cluster in it, looked at from a workstation.

use std::{cell::RefCell, time::Duration};

use api::profile::Profile;
use chronoplane::{
    Cluster, ClusterOptions,
    cluster::{CONTROL_PLANE, WORKSTATION},
};
use client::{ClientError, Rest};
use jiff::SignedDuration;
use pki::kubeconfig::Kubeconfig;
use serde_json::Value;
use world::{
    Event, Host, Periods, Wall,
    sim::{Config, Sim, run},
};

use crate::story::{Settings, StoryError, Teller};

/// A world for these settings, with recurring work stretched: what a story does between its instants does not matter.
pub fn config(settings: &Settings) -> Config {
    Config { seed: settings.seed, periods: Periods::sparse(), ..Config::default() }
}

/// One world of a story, and the voice that tells it. What happened goes to the story's trace when it ends.
pub struct Stage {
    /// What lives in it.
    pub cluster: Cluster,
    /// Who tells.
    pub teller: Teller,
    /// How it was asked for.
    pub settings: Settings,
    seen: RefCell<usize>,
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
        let cluster = Cluster::start(sim, options).await?;
        Ok(Self { cluster, teller: teller.clone(), settings: settings.clone(), seen: RefCell::default() })
    }

    /// The world.
    pub fn sim(&self) -> &Sim {
        self.cluster.sim()
    }

    /// One of its hosts.
    pub fn host(&self, name: &str) -> Host {
        self.sim().host(name)
    }

    /// What the clock on the control plane's wall reads.
    pub fn now(&self) -> Wall {
        self.host(CONTROL_PLANE).clock().wall()
    }

    /// See [`Teller::say`].
    pub fn say(&self, line: impl Into<String>) {
        self.teller.say(line);
    }

    /// See [`Teller::check`].
    pub fn check(&self, what: impl Into<String>, held: bool, seen: impl Into<String>) {
        self.teller.check(what, held, seen);
    }

    /// That `seen` holds all of `words`.
    pub fn check_words(&self, what: impl Into<String>, seen: impl Into<String>, words: &[&str]) {
        let seen = seen.into();
        self.teller.check(what, words.iter().all(|word| seen.contains(word)), seen);
    }

    /// A plain GET by the administrator on the workstation: status (0: no answer) and body, or why there is none.
    pub async fn get(&self, path: &str) -> (u16, String) {
        raw(self.cluster.admin(), path).await
    }

    /// A client on `host` with the credentials of a kubeconfig there, as a program that starts now would have it.
    ///
    /// # Errors
    /// The kubeconfig is not there or not usable.
    pub fn client(&self, host: &str, kubeconfig: &str, agent: &str) -> Result<Rest, StoryError> {
        let host = self.host(host);
        let config = Kubeconfig::load(host.disk(), kubeconfig).map_err(StoryError::new)?;
        Rest::from_kubeconfig(&host, &config, self.settings.profile.go(), agent).map_err(StoryError::new)
    }

    /// A client of the administrator with no connection yet, on the workstation.
    ///
    /// # Errors
    /// The kubeconfig is not usable.
    pub fn fresh_admin(&self) -> Result<Rest, StoryError> {
        let host = self.host(WORKSTATION);
        Rest::from_kubeconfig(&host, self.cluster.kubeconfig(), self.settings.profile.go(), "kubectl")
            .map_err(StoryError::new)
    }

    /// Time passes until a second before `instant` by the clock of `host`, `look` looks, two seconds pass, and it looks
    /// again.
    ///
    /// # Errors
    /// That instant is past.
    pub async fn edge<T>(
        &self,
        host: &str,
        instant: Wall,
        mut look: impl AsyncFnMut() -> T,
    ) -> Result<(T, T), StoryError> {
        self.cluster.until_clock(host, instant - SignedDuration::from_secs(1)).await?;
        let before = look().await;
        self.cluster.elapse(Duration::from_secs(2)).await;
        Ok((before, look().await))
    }

    /// Everything recorded since the last call of this, oldest first: what `journalctl` on all hosts would show.
    pub fn news(&self) -> Vec<Event> {
        let events = self.sim().events();
        let from = self.seen.replace(events.len());
        events.into_iter().skip(from).collect()
    }

    /// What `actor` on `host` has said since the beginning, one line for each record of that kind: its values, joined.
    pub fn log(&self, host: &str, actor: &str, kind: &str) -> Vec<String> {
        let said = |e: &&Event| e.host == host && e.actor == actor && e.kind == kind;
        let line = |e: &Event| e.fields.iter().map(|(_, v)| v.as_str()).collect::<Vec<_>>().join(" ");
        self.sim().events().iter().filter(said).map(line).collect()
    }

    /// The status of one of a node's conditions, and its reason: `("True", "KubeletReady")`. Empty when there is none.
    pub async fn condition(&self, node: &str, kind: &str) -> (String, String) {
        let nodes = client::Resource::core("nodes");
        let Ok(node) = self.cluster.admin().get(&nodes, None, node).await else { return <_>::default() };
        let all = node.pointer("/status/conditions").and_then(Value::as_array);
        let found = all.into_iter().flatten().find(|c| c["type"] == kind);
        let text = |key: &str| found.and_then(|c| c[key].as_str()).unwrap_or_default().to_owned();
        (text("status"), text("reason"))
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
