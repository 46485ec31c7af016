//! The clocks of a cluster: everything that can happen to time, for one host or for all of them.

use std::time::Duration;

use futures::future::join_all;
use jiff::SignedDuration;
use world::{Host, Wall, rfc3339, sim::Sim};

use crate::{
    Cluster, HarnessError,
    cluster::{CONTROL_PLANE, LOOK, WORKSTATION, wait_at_most},
};

/// How often [`Cluster::elapse_until`] looks, as a part of the longest wait.
const LOOKS: u32 = 1_000;

/// Whose clock an operation moves, or what else of a host. Every operation that takes one panics on a name that no host of
/// the world has: a fault of a host that is not there would test nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who<'a> {
    /// The host of that name.
    Host(&'a str),
    /// Every host of the cluster. The workstation, from which people look, stays in true time.
    Members,
}

impl<'a> From<&'a str> for Who<'a> {
    fn from(host: &'a str) -> Self {
        Self::Host(host)
    }
}

impl Who<'_> {
    #[track_caller]
    pub(crate) fn names(self, cluster: &Cluster) -> Vec<String> {
        match self {
            Self::Host(name) => vec![cluster.known(name).name().to_owned()],
            Self::Members => cluster.members(),
        }
    }
}

impl Cluster {
    /// Names of the cluster's hosts: the control plane's, then the workers'.
    pub fn members(&self) -> Vec<String> {
        let workers = (1..=self.options().nodes).map(|n| format!("node{n}"));
        std::iter::once(CONTROL_PLANE.to_owned()).chain(workers).collect()
    }

    /// The host of that name. [`Sim::host`] would switch on one that nobody has heard of.
    #[track_caller]
    pub(crate) fn known(&self, name: &str) -> Host {
        let hosts = self.sim().hosts();
        let names: Vec<_> = hosts.iter().map(Host::name).collect();
        match hosts.iter().find(|host| host.name() == name) {
            Some(host) => host.clone(),
            None => panic!("there is no host {name:?} in this world; there are {}", names.join(", ")),
        }
    }

    /// Time passes everywhere; all tasks run.
    pub async fn elapse(&self, d: Duration) {
        self.sim().elapse(d).await;
    }

    /// Time passes until `look` finds something, `at_most` that long. Looks after each thousandth of `at_most`, but not
    /// more than five times a second.
    ///
    /// # Errors
    /// Nothing found in that time; names what was waited for.
    pub async fn elapse_until<T>(
        &self,
        what: &str,
        at_most: Duration,
        look: impl AsyncFnMut() -> Option<T>,
    ) -> Result<T, HarnessError> {
        let clock = self.sim().host(WORKSTATION).clock().clone();
        wait_at_most(&clock, what, at_most, (at_most / LOOKS).max(LOOK), look).await
    }

    /// Time passes until the control plane's wall clock reads `instant`.
    ///
    /// # Errors
    /// That clock is past it already, or stands still.
    pub async fn at(&self, instant: Wall) -> Result<(), HarnessError> {
        self.until_clock(CONTROL_PLANE, instant).await
    }

    /// Time passes until the wall clock of `host` reads `instant`.
    ///
    /// # Errors
    /// That clock is past it already, or stands still.
    ///
    /// # Panics
    /// There is no host of that name.
    pub async fn until_clock(&self, host: &str, instant: Wall) -> Result<(), HarnessError> {
        let clock = self.known(host).clock().clone();
        let mut waited = false;
        loop {
            let left = match self.sim().until_wall(host, instant) {
                Ok(left) => left,
                // True time has a grain of a millisecond; or somebody has set the clock meanwhile.
                Err(_) if waited => return Ok(()),
                Err(now) => {
                    return Err(HarnessError::new(format!(
                        "it is {} on {host}, {} is past: only a step goes back",
                        rfc3339(now),
                        rfc3339(instant)
                    )));
                }
            };
            match left {
                Some(Duration::ZERO) => return Ok(()),
                Some(left) => self.elapse(left).await,
                None => {
                    let now = rfc3339(clock.wall());
                    return Err(HarnessError::new(format!("the wall clock of {host} stands still at {now}")));
                }
            }
            waited = true;
        }
    }

    /// Sets the wall clock by `by`, as NTP or `date -s` would. No sleeper wakes.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn step<'a>(&self, who: impl Into<Who<'a>>, by: SignedDuration) {
        self.each(who.into(), |sim, name| sim.step(name, by));
    }

    /// A closed lid, a suspended virtual machine: tasks and monotonic clock stand still for `d`, the wall clock goes on.
    ///
    /// # Panics
    /// There is no host of that name.
    pub async fn suspend<'a>(&self, who: impl Into<Who<'a>>, d: Duration) {
        let names = who.into().names(self);
        join_all(names.iter().map(|name| self.sim().suspend(name, d))).await;
    }

    /// SIGSTOP, `docker pause`: tasks stand still for `d`, both clocks go on.
    ///
    /// # Panics
    /// There is no host of that name.
    pub async fn pause<'a>(&self, who: impl Into<Who<'a>>, d: Duration) {
        let names = who.into().names(self);
        join_all(names.iter().map(|name| self.sim().pause(name, d))).await;
    }

    /// Switched off for `d`, then on: every process ends, files stay, enabled units start.
    ///
    /// # Panics
    /// There is no host of that name.
    pub async fn reboot<'a>(&self, who: impl Into<Who<'a>>, d: Duration) {
        let names = who.into().names(self);
        join_all(names.iter().map(|name| self.sim().reboot(name, d))).await;
    }

    /// Both clocks run `ppm` parts per million too fast from now on (negative: slow).
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn drift<'a>(&self, who: impl Into<Who<'a>>, ppm: i32) {
        self.each(who.into(), |sim, name| sim.drift(name, ppm));
    }

    /// The wall clock stands still (a broken clock source); monotonic time goes on.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn freeze<'a>(&self, who: impl Into<Who<'a>>) {
        self.each(who.into(), Sim::freeze);
    }

    /// Ends [`Cluster::freeze`]: the wall clock goes on from where it stood.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn thaw<'a>(&self, who: impl Into<Who<'a>>) {
        self.each(who.into(), Sim::thaw);
    }

    #[track_caller]
    pub(crate) fn each(&self, who: Who<'_>, act: impl Fn(&Sim, &str)) {
        who.names(self).iter().for_each(|name| act(self.sim(), name));
    }
}
