//! A host as a program sees it: the handles on its clock, network, files, chance and init system.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    Clock, Commons, Disk, Entropy, Net, Periods, Services, Trace,
    periods::Pace,
    process::{Gate, Group, Process, Task},
    real::{Lane, Lanes},
};

/// Which of the two gears a host runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gear {
    /// Paused runtime, memory, seeded chance.
    Simulated,
    /// The operating system's.
    Real,
}

/// Handle on one host, from inside one of its processes. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
    group: Arc<Group>,
}

struct Shared {
    name: String,
    gear: Gear,
    clock: Clock,
    net: Net,
    disk: Disk,
    entropy: Entropy,
    services: Services,
    trace: Trace,
    pace: Pace,
    gate: Gate,
    commons: Option<Commons>,
    lanes: Option<Arc<Lanes>>,
    local: Commons,
    boots: AtomicU64,
    init: Arc<Group>,
}

pub(crate) struct Parts {
    pub name: String,
    pub gear: Gear,
    pub clock: Clock,
    pub net: Net,
    pub disk: Disk,
    pub entropy: Entropy,
    pub trace: Trace,
    pub pace: Pace,
    pub gate: Gate,
    pub commons: Option<Commons>,
    pub lanes: Option<Arc<Lanes>>,
}

impl Host {
    pub(crate) fn new(p: Parts) -> Self {
        let init = Group::new("init", None);
        Self {
            shared: Arc::new(Shared {
                name: p.name,
                gear: p.gear,
                clock: p.clock,
                net: p.net,
                disk: p.disk,
                entropy: p.entropy,
                services: Services::default(),
                trace: p.trace,
                pace: p.pace,
                gate: p.gate,
                commons: p.commons,
                lanes: p.lanes,
                local: Commons::default(),
                boots: AtomicU64::new(1),
                init: init.clone(),
            }),
            group: init,
        }
    }

    /// The host's name, lower case, as `hostname` prints it.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Which gear the host runs in.
    pub fn gear(&self) -> Gear {
        self.shared.gear
    }

    /// The host's clocks.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The host's network endpoint.
    pub fn net(&self) -> &Net {
        &self.shared.net
    }

    /// The host's files.
    pub fn disk(&self) -> &Disk {
        &self.shared.disk
    }

    /// The host's source of chance.
    pub fn entropy(&self) -> &Entropy {
        &self.shared.entropy
    }

    /// The host's init system.
    pub fn services(&self) -> &Services {
        &self.shared.services
    }

    /// What the hosts of this world keep together; `None` in the real gear, where they have nothing but the network.
    pub fn commons(&self) -> Option<&Commons> {
        self.shared.commons.as_ref()
    }

    /// What the programs of this host keep together, where in life one asks another over a socket in `/run`.
    /// It outlives each of them.
    pub fn local(&self) -> &Commons {
        &self.shared.local
    }

    /// How often the host was switched on.
    pub fn boots(&self) -> u64 {
        self.shared.boots.load(Ordering::SeqCst)
    }

    /// This host as its init sees it: a process that is started from here outlives the one that starts it.
    pub fn init(&self) -> Self {
        Self { shared: self.shared.clone(), group: self.shared.init.clone() }
    }

    /// Switches the host off: every process ends, and this returns when all are gone. Files stay. What was
    /// started from outside of any process runs on: it is whoever watches the machine.
    pub async fn halt(&self) {
        let all = self.shared.init.descendants();
        all.iter().for_each(|group| group.kill());
        for group in all {
            group.ended().await;
        }
        self.shared.services.halted();
    }

    /// Switches the host on after [`Host::halt`]: the units that were active then start.
    pub fn boot(&self) {
        self.shared.boots.fetch_add(1, Ordering::SeqCst);
        self.shared.services.booted(self);
    }

    /// How often recurring work recurs in this world.
    pub fn periods(&self) -> Periods {
        self.shared.pace.periods()
    }

    /// Tells whoever started this process how it is: systemd's `sd_notify`. On a simulated host, and
    /// where nobody wants to know, it is only recorded.
    pub fn notify(&self, state: &str) {
        self.record("notify", vec![("state", state.to_owned())]);
        if self.gear() == Gear::Real {
            crate::real::notify(state);
        }
    }

    /// This process has its files and ports and does its work from now on: what ends it later is no mistake in what it was
    /// started with ([`Process::has_started`]).
    pub fn started(&self) {
        self.group.start();
    }

    /// Waits for the next turn of work that upstream does every `upstream` (jitter included): one
    /// period at the pace of this world, which may change meanwhile.
    pub async fn recur(&self, upstream: Duration) {
        let began = self.shared.clock.monotonic();
        loop {
            let changed = self.shared.pace.changed();
            let deadline = began + self.periods().of(upstream);
            tokio::select! {
                biased;
                () = changed => {}
                () = self.shared.clock.sleep_until(deadline) => return,
            }
        }
    }

    /// The world's record.
    pub fn trace(&self) -> &Trace {
        &self.shared.trace
    }

    /// Name of the process that this handle belongs to.
    pub fn actor(&self) -> &str {
        self.group.name()
    }

    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    /// Records an event of this process at this host's wall clock.
    pub fn record(&self, kind: &'static str, fields: Vec<(&'static str, String)>) {
        self.shared.trace.record(&self.shared.clock, &self.shared.name, self.group.name(), kind, fields);
    }

    /// Runs `future` as a task of this process. Dropping the [`Task`] lets it run on.
    ///
    /// In a process that has been killed the future is dropped at once.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_with(future, None)
    }

    /// As [`Host::spawn`], for a connection and all that is done for it: on the next lane, if the world has some.
    pub fn spawn_on_lane<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let lane = self.shared.lanes.as_ref().map(|lanes| lanes.next());
        self.spawn_on(lane.unwrap_or_default(), future)
    }

    /// As [`Host::spawn_on_lane`], on the lane of that number (of any number: they are counted round and round).
    pub fn spawn_on<F>(&self, lane: usize, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let lane = self.shared.lanes.as_ref().and_then(|lanes| lanes.lane(lane)).cloned();
        self.spawn_with(future, lane)
    }

    /// As [`Host::spawn`], for a task that blocks its thread now and then, such as for a disk: in the real gear it has
    /// one to itself.
    pub fn spawn_apart<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // Without a thread of its own it holds up others, and works.
        let own = if self.gear() == Gear::Real { Lane::apart(self.actor()).ok() } else { None };
        self.spawn_with(future, own)
    }

    fn spawn_with<F>(&self, future: F, on: Option<Lane>) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.group.spawn(self.shared.gate.clone(), future, on)
    }

    /// A new process on this host. Its tasks die with it; it dies with this handle's process.
    pub fn process(&self, name: impl Into<String>) -> Process {
        let group = Group::new(name, Some(self.group.clone()));
        self.group.adopt(&group);
        Process::of(Host { shared: self.shared.clone(), group })
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({}/{})", self.shared.name, self.group.name())
    }
}
