//! What a story stands on in either gear: hosts with clocks, an administrator, and words for what happens to them.
//!
//! Its words mean the same in both gears where both can do it, and what differs is how time comes to an instant. In the
//! simulated gear it passes, and every timer on the way fires. In the real one the clocks of all hosts are set there,
//! and stand still while a story looks around an edge: nothing depends on the machine's pace, and nothing that must wait
//! for hours can be told.

mod looks;
mod real;
mod record;
mod sockets;

use std::{rc::Rc, time::Duration};

use api::profile::Profile;
use chronoplane::{
    Cluster, ClusterOptions, HarnessError, Machinery, TaskLauncher, Who,
    cluster::{CONTROL_PLANE, WORKSTATION, wait_at_most},
};
use client::Rest;
use jiff::SignedDuration;
use pki::kubeconfig::Kubeconfig;
use world::{Gear, Host, Periods, Wall, rfc3339, sim::Config};

use super::Stage;
use crate::story::{Settings, StoryError, Teller};
use real::RealCluster;

/// How often is looked for what is waited for in the real gear.
const LOOK: Duration = Duration::from_millis(100);
/// What takes no time in the simulated gear may take this long in the real one, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// What is not there after so long in the real gear, after all that could bring it is over, does not come.
const STAYS_AWAY: Duration = Duration::from_secs(3);
/// The kubelet of the simulated gear sees at its next look that a manifest is gone.
const GONE: Duration = Duration::from_secs(20);
/// And what it starts is there.
const STARTED: Duration = Duration::from_secs(60);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// See the module.
pub struct Ground {
    /// Who tells.
    pub teller: Teller,
    /// How it was asked for.
    pub settings: Settings,
    pub(super) world: World,
}

pub(super) enum World {
    Simulated(Rc<Cluster>),
    Real(Box<RealCluster>),
}

impl Ground {
    /// Plays `act` in a world of its own of the settings' gear with a cluster of `options` (of the settings' release,
    /// whatever they say); `config` is for the simulated gear.
    ///
    /// # Errors
    /// The world broke: no cluster came up, or the act says why it cannot go on.
    pub fn play(
        settings: &Settings,
        teller: &Teller,
        config: Config,
        options: ClusterOptions,
        act: impl AsyncFnOnce(&Self) -> Result<(), StoryError>,
    ) -> Result<(), StoryError> {
        match settings.gear {
            Gear::Simulated => {
                Stage::play(settings, teller, config, options, async |stage| act(&stage.ground).await)
            }
            Gear::Real => real::play(settings, teller, options, act),
        }
    }

    /// Whether this is the real gear.
    pub fn is_real(&self) -> bool {
        matches!(self.world, World::Real(_))
    }

    /// One of its hosts, switched on when first asked for.
    ///
    /// # Errors
    /// The machine has no address or file for it.
    pub fn host(&self, name: &str) -> Result<Host, StoryError> {
        match &self.world {
            World::Simulated(cluster) => Ok(cluster.sim().host(name)),
            World::Real(cluster) => cluster.host(name),
        }
    }

    /// The host of the control plane.
    pub fn control_plane(&self) -> Host {
        match &self.world {
            World::Simulated(cluster) => cluster.sim().host(CONTROL_PLANE),
            World::Real(cluster) => cluster.first.clone(),
        }
    }

    /// The host from which people look.
    pub fn workstation(&self) -> Host {
        match &self.world {
            World::Simulated(cluster) => cluster.sim().host(WORKSTATION),
            World::Real(cluster) => cluster.workstation.clone(),
        }
    }

    /// What the clock on the control plane's wall reads.
    pub fn now(&self) -> Wall {
        self.control_plane().clock().wall()
    }

    /// The administrator's client, on the workstation.
    pub fn admin(&self) -> &Rest {
        match &self.world {
            World::Simulated(cluster) => cluster.admin(),
            World::Real(cluster) => &cluster.admin,
        }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Kubeconfig {
        match &self.world {
            World::Simulated(cluster) => cluster.kubeconfig(),
            World::Real(cluster) => &cluster.kubeconfig,
        }
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

    /// Runs `kubeadm <args>` of the cluster's release on a host; returns what it printed.
    ///
    /// # Errors
    /// kubeadm's own words, and what it printed before.
    pub async fn kubeadm(&self, host: &Host, args: &[&str]) -> Result<String, HarnessError> {
        let version = format!("--kubernetes-version={}", self.settings.profile.git_version());
        let args = args.iter().map(|arg| (*arg).to_owned()).chain([version]);
        chronoplane::cluster::kubeadm(host, args.collect()).await
    }

    /// Installs the kubelet's unit of that release on `host`, as the distribution's package does; starts nothing.
    pub fn install(&self, host: &Host, profile: Profile) {
        match &self.world {
            World::Simulated(_) => Machinery::tasks(TaskLauncher::default()).install(host, profile),
            World::Real(cluster) => cluster.machinery.install(host, profile),
        }
    }

    /// Sets the wall clock by `by`, as NTP or `date -s` would. No sleeper wakes.
    pub fn step<'a>(&self, who: impl Into<Who<'a>>, by: SignedDuration) {
        match &self.world {
            World::Simulated(cluster) => cluster.step(who, by),
            World::Real(cluster) => cluster.step(who.into(), by),
        }
    }

    /// Sets the wall clock of one host to `to`.
    ///
    /// # Errors
    /// There is no such host.
    pub fn set(&self, host: &str, to: Wall) -> Result<(), StoryError> {
        let now = self.host(host)?.clock().wall();
        self.step(host, to.duration_since(now));
        Ok(())
    }

    /// So much time is over on every host, in which nothing that matters happens.
    pub async fn later(&self, d: Duration) {
        match &self.world {
            World::Simulated(cluster) => cluster.elapse(d).await,
            World::Real(cluster) => cluster.all_step(SignedDuration::try_from(d).unwrap_or_default()),
        }
    }

    /// From now on recurring work recurs so often; in the real gear it is always as upstream's does.
    pub fn pace(&self, periods: Periods) {
        if let World::Simulated(cluster) = &self.world {
            cluster.sim().set_periods(periods);
        }
    }

    /// What was begun has `d` to come about, of which the sign is that `look` finds something. Where time passes at no
    /// cost all of `d` does; in the real gear no more than is needed.
    pub async fn give<T>(&self, d: Duration, look: impl AsyncFnMut() -> Option<T>) {
        match &self.world {
            World::Simulated(cluster) => cluster.elapse(d).await,
            // Whether it is there is for who gave it the time to check.
            World::Real(_) => drop(self.wait("it comes about", d.max(PATIENCE), look).await),
        }
    }

    /// Nothing is to be seen for a while, and nobody can say of what: what a cache believes, say.
    pub async fn stand(&self, d: Duration) {
        match &self.world {
            World::Simulated(cluster) => cluster.elapse(d).await,
            World::Real(cluster) => cluster.workstation.clock().sleep(d).await,
        }
    }

    /// Waits until `look` finds something, `at_most` so long.
    ///
    /// # Errors
    /// Nothing found in that time; names what was waited for.
    pub async fn wait<T>(
        &self,
        what: &str,
        at_most: Duration,
        look: impl AsyncFnMut() -> Option<T>,
    ) -> Result<T, HarnessError> {
        match &self.world {
            World::Simulated(cluster) => cluster.elapse_until(what, at_most, look).await,
            World::Real(cluster) => {
                wait_at_most(cluster.workstation.clock(), what, at_most, LOOK, look).await
            }
        }
    }

    /// Whether `look` never finds anything: for `d`, or in the real gear for as long as what it looks for would need.
    pub async fn never<T>(&self, d: Duration, look: impl AsyncFnMut() -> Option<T>) -> bool {
        let d = if self.is_real() { d.min(STAYS_AWAY) } else { d };
        self.wait("it is there", d, look).await.is_err()
    }

    /// The control plane's clock comes to `instant`, and everybody else's with it.
    ///
    /// # Errors
    /// That instant is past.
    pub async fn at(&self, instant: Wall) -> Result<(), StoryError> {
        self.until_clock(CONTROL_PLANE, instant).await
    }

    /// The clock of `host` comes to `instant`, and everybody else's go on by as much.
    ///
    /// # Errors
    /// That instant is past.
    pub async fn until_clock(&self, host: &str, instant: Wall) -> Result<(), StoryError> {
        let cluster = match &self.world {
            World::Simulated(cluster) => return Ok(cluster.until_clock(host, instant).await?),
            World::Real(cluster) => cluster,
        };
        let now = self.host(host)?.clock().wall();
        let by = instant.duration_since(now);
        if by.is_negative() {
            let (now, instant) = (rfc3339(now), rfc3339(instant));
            return Err(StoryError(format!(
                "it is {now} on {host}, {instant} is past: only a step goes back"
            )));
        }
        cluster.all_step(by);
        Ok(())
    }

    /// The clock of `host` is a second before `instant`, `look` looks, it is a second after it, and it looks again.
    ///
    /// # Errors
    /// That instant is past.
    pub async fn edge<T>(
        &self,
        host: &str,
        instant: Wall,
        mut look: impl AsyncFnMut() -> T,
    ) -> Result<(T, T), StoryError> {
        match &self.world {
            World::Simulated(cluster) => {
                cluster.until_clock(host, instant - SECOND).await?;
                let before = look().await;
                cluster.elapse(Duration::from_secs(2)).await;
                Ok((before, look().await))
            }
            World::Real(cluster) => {
                // The machine's pace shall not decide on which side a look falls.
                let _still = cluster.freeze();
                self.until_clock(host, instant - SECOND).await?;
                let before = look().await;
                cluster.all_step(SECOND + SECOND);
                Ok((before, look().await))
            }
        }
    }

    /// In the real gear every clock stands still until what this returns is dropped: for what a second decides. Nothing
    /// in the simulated one takes time by itself.
    pub fn still(&self) -> Option<impl Drop + '_> {
        match &self.world {
            World::Simulated(_) => None,
            World::Real(cluster) => Some(cluster.freeze()),
        }
    }

    /// Restarts a host's kubelet.
    ///
    /// # Errors
    /// There is no such host.
    pub async fn restart_kubelet(&self, host: &str) -> Result<(), StoryError> {
        let host = self.host(host)?;
        host.services().restart(&host, "kubelet").await;
        Ok(())
    }

    /// Switches a host off, for `off` where time is to be had, and on again after `before`.
    ///
    /// # Errors
    /// There is no such host, or something of it does not end.
    pub async fn reboot(&self, host: &str, off: Duration, before: impl FnOnce()) -> Result<(), StoryError> {
        match &self.world {
            World::Simulated(cluster) => {
                cluster.reboot(host, off).await;
                before();
            }
            World::Real(cluster) => cluster.reboot(&self.host(host)?, before).await?,
        }
        Ok(())
    }

    /// Restarts static pods of the control plane as kubeadm's guide says: their manifests leave the directory for a
    /// while. They have begun when this returns, and nothing else is certain.
    ///
    /// # Errors
    /// A manifest cannot be moved.
    pub async fn restart(&self, components: &[&str]) -> Result<(), StoryError> {
        let disk = self.control_plane().disk().clone();
        let there = |name: &str| format!("/etc/kubernetes/manifests/{name}.yaml");
        let away = |name: &str| format!("/etc/kubernetes/{name}.yaml");
        for name in components {
            disk.rename(there(name), away(name)).map_err(StoryError::new)?;
        }
        match &self.world {
            World::Simulated(cluster) => cluster.elapse(GONE).await,
            World::Real(cluster) => cluster.ended(components).await?,
        }
        for name in components {
            disk.rename(away(name), there(name)).map_err(StoryError::new)?;
        }
        match &self.world {
            World::Simulated(cluster) => cluster.elapse(STARTED).await,
            World::Real(cluster) => cluster.begun(components).await,
        }
        Ok(())
    }

    /// Restarts the kube-apiserver's static pod, and waits until it is ready again.
    ///
    /// # Errors
    /// The manifest cannot be moved, or the server does not come back.
    pub async fn restart_apiserver(&self) -> Result<(), StoryError> {
        if let World::Simulated(cluster) = &self.world {
            return Ok(cluster.restart_apiserver().await?);
        }
        self.restart(&["kube-apiserver"]).await?;
        self.apiserver_ready().await
    }

    /// Waits until the administrator hears that the kube-apiserver is ready.
    ///
    /// # Errors
    /// Not within five minutes.
    pub async fn apiserver_ready(&self) -> Result<(), StoryError> {
        let path = self.settings.profile.ready_path();
        let ready = async || (self.get(path).await.0 == 200).then_some(());
        Ok(self.wait("kube-apiserver is ready", Duration::from_secs(300), ready).await?)
    }

    /// Ends every connection from `from` to `to` at `port`, as a reset of the network would; returns how many there were.
    ///
    /// # Errors
    /// The machine does not let us; says what it wants.
    pub fn reset_connections(&self, from: &str, to: &str, port: u16) -> Result<usize, StoryError> {
        match &self.world {
            World::Simulated(cluster) => Ok(cluster.sim().reset_connections(from, to, port)),
            World::Real(_) => {
                let (from, to) = (self.host(from)?, self.host(to)?);
                sockets::end(from.net().address(), to.net().address(), port)
            }
        }
    }
}
