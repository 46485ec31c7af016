//! What can go wrong around a cluster: the network between its hosts, their names, their disks, their power.

use std::time::Duration;

use futures::future::join_all;
use world::sim::{Conditions, Resolution};

use crate::{Cluster, Who};

/// The network between some hosts and some others, in one direction or in both; see [`Cluster::link`] and
/// [`Cluster::one_way`].
#[derive(Debug)]
pub struct Link<'a> {
    cluster: &'a Cluster,
    pairs: Vec<(String, String)>,
    both: bool,
}

impl Link<'_> {
    /// Packets travel under `conditions` from now on.
    pub fn conditions(&self, conditions: Conditions) {
        for (from, to) in &self.pairs {
            self.cluster.sim().set_conditions(from, to, conditions);
            if self.both {
                self.cluster.sim().set_conditions(to, from, conditions);
            }
        }
    }

    /// Each packet takes that long, and nothing else is wrong.
    pub fn latency(&self, latency: Duration) {
        self.conditions(Conditions { latency, ..Conditions::default() });
    }

    /// Nothing passes until [`Link::heal`]. Open connections hang.
    pub fn cut(&self) {
        for (from, to) in &self.pairs {
            match self.both {
                true => self.cluster.sim().cut(from, to),
                false => self.cluster.sim().cut_one_way(from, to),
            }
        }
    }

    /// Ends a cut, in both directions; what hung goes on.
    pub fn heal(&self) {
        self.pairs.iter().for_each(|(from, to)| self.cluster.sim().heal(from, to));
    }
}

impl Cluster {
    /// The network between `a` and `b`, both ways.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn link<'a, 'b>(&self, a: impl Into<Who<'a>>, b: impl Into<Who<'b>>) -> Link<'_> {
        Link { cluster: self, pairs: self.pairs(a.into(), b.into()), both: true }
    }

    /// What `from` sends to `to`, and not what it gets.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn one_way<'a, 'b>(&self, from: impl Into<Who<'a>>, to: impl Into<Who<'b>>) -> Link<'_> {
        Link { cluster: self, pairs: self.pairs(from.into(), to.into()), both: false }
    }

    /// Each host of the first with each of the second, but none with itself.
    #[track_caller]
    fn pairs(&self, from: Who<'_>, to: Who<'_>) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for a in from.names(self) {
            for b in to.names(self) {
                if a != b {
                    pairs.push((a.clone(), b));
                }
            }
        }
        pairs
    }

    /// Resets (TCP RST) every open connection that `from` has dialled to that port of `to`: both ends are told at once.
    /// Returns how many there were.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn reset<'a, 'b>(&self, from: impl Into<Who<'a>>, to: impl Into<Who<'b>>, port: u16) -> usize {
        let pairs = self.pairs(from.into(), to.into());
        pairs.iter().map(|(from, to)| self.sim().reset_connections(from, to, port)).sum()
    }

    /// Everything between the hosts forgets their open connections to that port: half-open on both sides, nobody is
    /// told. New ones work. Returns how many there were.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn half_open<'a, 'b>(&self, from: impl Into<Who<'a>>, to: impl Into<Who<'b>>, port: u16) -> usize {
        let pairs = self.pairs(from.into(), to.into());
        pairs.iter().map(|(from, to)| self.sim().half_open(from, to, port)).sum()
    }

    /// On `who`, `name` resolves to that; see [`Cluster::resolve_rightly`].
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn resolve_wrongly<'a>(&self, who: impl Into<Who<'a>>, name: &str, resolution: &Resolution) {
        self.each(who.into(), |sim, host| sim.resolve(host, name, Some(resolution.clone())));
    }

    /// Ends [`Cluster::resolve_wrongly`].
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn resolve_rightly<'a>(&self, who: impl Into<Who<'a>>, name: &str) {
        self.each(who.into(), |sim, host| sim.resolve(host, name, None));
    }

    /// While set, no write finds room on the disk.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn full_disk<'a>(&self, who: impl Into<Who<'a>>, full: bool) {
        self.each(who.into(), |sim, host| {
            sim.disk(host).set_full(full);
            sim.host(host).record("disk", vec![("full", full.to_string())]);
        });
    }

    /// While set, the disk can be read and not written.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn read_only_disk<'a>(&self, who: impl Into<Who<'a>>, read_only: bool) {
        self.each(who.into(), |sim, host| {
            sim.disk(host).set_read_only(read_only);
        });
    }

    /// From now on each fsync of a database takes that long.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn slow_fsync<'a>(&self, who: impl Into<Who<'a>>, takes: Duration) {
        self.each(who.into(), |sim, host| {
            sim.disk(host).set_fsync_takes(takes);
            sim.host(host).record("disk", vec![("fsync_takes", format!("{takes:?}"))]);
        });
    }

    /// While set, fsync fails: etcd ends at its next write, as the real one does, and its kubelet starts it again.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn failing_fsync<'a>(&self, who: impl Into<Who<'a>>, fails: bool) {
        self.each(who.into(), |sim, host| {
            sim.disk(host).set_fsync_fails(fails);
        });
    }

    /// While set, fsync says that it is done and is not: the next power failure shows it.
    ///
    /// # Panics
    /// There is no host of that name.
    #[track_caller]
    pub fn lying_fsync<'a>(&self, who: impl Into<Who<'a>>, lies: bool) {
        self.each(who.into(), |sim, host| {
            sim.disk(host).set_fsync_lies(lies);
            sim.host(host).record("disk", vec![("fsync_lies", lies.to_string())]);
        });
    }

    /// No power for `d`: every process ends without a word to its peers, and what was not synced is gone. Enabled
    /// units start afterwards.
    ///
    /// # Panics
    /// There is no host of that name.
    pub async fn power_failure<'a>(&self, who: impl Into<Who<'a>>, d: Duration) {
        let names = who.into().names(self);
        join_all(names.iter().map(|name| self.sim().power_failure(name, d))).await;
    }
}
