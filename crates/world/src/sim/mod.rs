//! The simulated gear, and the only handle that moves time.
//!
//! One current-thread tokio runtime with paused time carries every host: when all tasks wait, the
//! runtime jumps to the next timer. Each host maps that true time to its own two clocks.

mod clock;
mod connection;
mod faults;
mod link;
mod net;
mod resolver;
mod troubled;

use std::{collections::BTreeMap, future::Future, net::Ipv4Addr, sync::Arc, time::Duration};

use jiff::SignedDuration;
use parking_lot::Mutex;

use crate::{
    Clock, Commons, Disk, Entropy, Event, Gear, Host, MemoryDisk, Net, Periods, Trace, Wall, host::Parts,
    periods::Pace, process::Gate,
};
use clock::SimClock;
pub use link::Conditions;
use net::Fabric;
pub use resolver::Resolution;

/// How a simulated world begins.
#[derive(Clone, Debug)]
pub struct Config {
    /// Decides all chance.
    pub seed: u64,
    /// The wall clock of every host at the beginning.
    pub start: Wall,
    /// How often recurring work recurs, until [`Sim::set_periods`].
    pub periods: Periods,
    /// Whether everything that happens is kept, for [`Sim::events`]. A world that only shall be
    /// measured, or that lives for very long, does without.
    pub record: bool,
}

impl Default for Config {
    fn default() -> Self {
        // 2026-01-01T00:00:00Z: a constant, so that two runs agree.
        let start = Wall::from_second(1_767_225_600).unwrap_or(Wall::UNIX_EPOCH);
        Self { seed: 1, start, periods: Periods::upstream(), record: true }
    }
}

/// Runs `story` in a new simulated world on a runtime of its own, and returns its output.
///
/// # Errors
/// The runtime could not be made.
pub fn run<F, Fut>(config: Config, story: F) -> std::io::Result<Fut::Output>
where
    F: FnOnce(Sim) -> Fut,
    Fut: Future,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let sim = Sim::new(config);
    let output = runtime.block_on(story(sim));
    Ok(output)
}

/// Control handle of a simulated world. Clones steer the same world.
#[derive(Clone)]
pub struct Sim(Arc<World>);

struct World {
    config: Config,
    trace: Trace,
    fabric: Arc<Fabric>,
    commons: Commons,
    pace: Pace,
    hosts: Mutex<BTreeMap<String, Machine>>,
}

#[derive(Clone)]
struct Machine {
    host: Host,
    clock: Arc<SimClock>,
    gate: Gate,
    disk: Arc<MemoryDisk>,
}

impl Sim {
    /// A world on the current runtime, which must be current-thread with paused time
    /// (`#[tokio::test(start_paused = true)]`, or [`run`]).
    pub fn new(config: Config) -> Self {
        Self(Arc::new(World {
            pace: Pace::new(config.periods),
            trace: if config.record { Trace::recording() } else { Trace::off() },
            fabric: Arc::new(Fabric::new(config.seed)),
            config,
            commons: Commons::default(),
            hosts: Mutex::default(),
        }))
    }

    /// The host of that name; switched on when first asked for, with the next address of 10.0.0.0/16.
    pub fn host(&self, name: &str) -> Host {
        self.machine(name).host
    }

    /// The faults of that host's disk.
    pub fn disk(&self, name: &str) -> Arc<MemoryDisk> {
        self.machine(name).disk
    }

    /// All hosts so far, by name.
    pub fn hosts(&self) -> Vec<Host> {
        self.0.hosts.lock().values().map(|machine| machine.host.clone()).collect()
    }

    fn machine(&self, name: &str) -> Machine {
        let mut hosts = self.0.hosts.lock();
        if let Some(machine) = hosts.get(name) {
            return machine.clone();
        }
        let n = hosts.len() as u32 + 2;
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + n);
        // Every host agrees with the first about the wall clock when it is switched on: skew is a
        // thing that a story asks for.
        let start = hosts.values().next().map_or(self.0.config.start, |m| m.clock.true_wall());
        let clock = Arc::new(SimClock::new(start));
        let gate = Gate::default();
        let trace = self.0.trace.clone();
        let disk = Arc::new(MemoryDisk::recorded(trace, Clock(clock.clone()), name));
        let host = Host::new(Parts {
            name: name.to_owned(),
            gear: Gear::Simulated,
            clock: Clock(clock.clone()),
            net: Net(Arc::new(net::SimEndpoint::new(self.0.fabric.clone(), name, address, gate.clone()))),
            disk: Disk::memory(disk.clone()),
            entropy: Entropy::seeded(self.0.config.seed, name),
            trace: self.0.trace.clone(),
            pace: self.0.pace.clone(),
            gate: gate.clone(),
            commons: Some(self.0.commons.clone()),
            lanes: None,
        });
        let machine = Machine { host, clock, gate, disk };
        hosts.insert(name.to_owned(), machine.clone());
        machine
    }

    /// The seed of this world.
    pub fn seed(&self) -> u64 {
        self.0.config.seed
    }

    /// From now on all chance of one host is that of another seed; the other hosts keep theirs. The trace does not tell
    /// of it: whether the host then behaves otherwise is what there is to see.
    pub fn reseed(&self, name: &str, seed: u64) {
        self.machine(name).host.entropy().reseed(seed, name);
    }

    /// The time of the world, which no fault of a host's clock touches.
    pub fn now(&self) -> Wall {
        let hosts = self.0.hosts.lock();
        hosts.values().next().map_or(self.0.config.start, |machine| machine.clock.true_wall())
    }

    /// The record of everything that happens.
    pub fn trace(&self) -> &Trace {
        &self.0.trace
    }

    /// Everything that happened so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.trace.events()
    }

    /// Time passes on every host; all tasks run.
    #[allow(clippy::disallowed_methods, reason = "this is where true time passes")]
    pub async fn elapse(&self, d: Duration) {
        tokio::time::sleep(d).await;
    }

    /// From now on recurring work recurs so often. Who waits for its turn waits as long as the new
    /// period says, counted from when the wait began: what is overdue happens at once. Connections
    /// and watches that are open keep the lifetimes that they began with.
    pub fn set_periods(&self, periods: Periods) {
        self.0.pace.set(periods);
    }

    /// How long it takes, in true time, until the wall clock of the host reads `instant`, if nothing is done to it;
    /// `None` while it stands still.
    ///
    /// # Errors
    /// It is past that instant already; what it reads.
    pub fn until_wall(&self, name: &str, instant: Wall) -> Result<Option<Duration>, Wall> {
        self.machine(name).clock.until_wall(instant)
    }

    /// Sets one host's wall clock by `by`, as NTP or `date -s` would. No sleeper wakes.
    pub fn step(&self, name: &str, by: SignedDuration) {
        let machine = self.machine(name);
        machine.clock.step(by);
        machine.host.record("clock", vec![("step", crate::signed(by))]);
    }

    /// Suspends one host for `d` (a lid closed, a VM suspended): its tasks and its monotonic clock
    /// stand still, its wall clock has moved on when it wakes.
    pub async fn suspend(&self, name: &str, d: Duration) {
        let machine = self.machine(name);
        machine.host.record("clock", vec![("suspend", format!("{d:?}"))]);
        machine.gate.close();
        machine.clock.suspend();
        self.elapse(d).await;
        machine.clock.resume();
        machine.gate.open();
        machine.host.record("clock", vec![("resume", String::new())]);
    }

    /// Pauses one host for `d` (SIGSTOP, `docker pause`): its tasks stand still, both clocks go on,
    /// timers that fell due fire late.
    pub async fn pause(&self, name: &str, d: Duration) {
        let machine = self.machine(name);
        machine.host.record("clock", vec![("pause", format!("{d:?}"))]);
        machine.gate.close();
        self.elapse(d).await;
        machine.gate.open();
        machine.host.record("clock", vec![("resume", String::new())]);
    }

    /// From now on both clocks of the host run `ppm` parts per million too fast (negative: slow).
    pub fn drift(&self, name: &str, ppm: i32) {
        let machine = self.machine(name);
        machine.clock.set_drift(ppm);
        machine.host.record("clock", vec![("drift_ppm", ppm.to_string())]);
    }

    /// The wall clock of the host stands still (a broken clock source); monotonic time goes on.
    pub fn freeze(&self, name: &str) {
        let machine = self.machine(name);
        machine.clock.set_wall_running(false);
        machine.host.record("clock", vec![("freeze", String::new())]);
    }

    /// Ends [`Sim::freeze`]: the wall clock goes on from where it stood.
    pub fn thaw(&self, name: &str) {
        let machine = self.machine(name);
        machine.clock.set_wall_running(true);
        machine.host.record("clock", vec![("thaw", String::new())]);
    }
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sim(seed {})", self.0.config.seed)
    }
}
