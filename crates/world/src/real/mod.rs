//! The real gear: the system's clock plus an offset per host, TCP on 127.0.0.0/8, real files.
//!
//! Every host of a world has its own address in 127.0.0.0/8 and keeps kubeadm's ports. Addresses are reserved
//! in blocks: one /24 for the first 250 hosts, and further ones when it is full.
//! The tokio runtime is never paused: a paused one fires a 30 s timeout on a real socket at once.

mod clock;
mod lanes;
mod net;
mod notify;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::SignedDuration;
use parking_lot::Mutex;

use clock::RealClock;
pub use clock::{ClockFile, Setting, system};
pub(crate) use lanes::{Lane, Lanes};
pub(crate) use notify::notify;

use crate::{
    Clock, Disk, Entropy, Gear, Host, Net, Periods, Trace, Wall, host::Parts, periods::Pace, process::Gate,
};

/// Why a real world could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RealError {
    /// No /24 of 127.0.0.0/8 could be reserved.
    #[error("cannot reserve a block of addresses in 127.0.0.0/8: {0}; are other worlds still running?")]
    NoAddresses(std::io::Error),
    /// All 250 addresses of a block that another process holds are taken.
    #[error("a world that another process holds has room for at most 250 hosts")]
    TooManyHosts,
    /// Its clocks are shared with other processes, and this host's cannot be.
    #[error("cannot keep how the clock of {host} is set: {why}")]
    Clock {
        /// The host.
        host: String,
        /// The system's words.
        why: std::io::Error,
    },
}

/// A /24 of 127.0.0.0/8, reserved by a listening socket while it lives.
#[derive(Debug)]
pub struct Block {
    base: u32,
    guard: Option<TcpListener>,
}

/// Hosts of one block.
const BLOCK_HOSTS: u32 = 250;
/// On `x.y.z.254` of a block: holds the block for one world.
const GUARD_PORT: u16 = 59_999;

impl Block {
    /// A free block, the first found from a random start.
    pub fn reserve() -> Result<Self, RealError> {
        let start = Entropy::system().below(1 << 14) as u32;
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        for n in 0..256 {
            // 127.64.0.0 to 127.127.255.0: away from 127.0.0.x, which people use by hand.
            let base = (127 << 24) | (64 << 16) | (((start + n) % (1 << 14)) << 8);
            match TcpListener::bind((Ipv4Addr::from(base | 254), GUARD_PORT)) {
                Ok(guard) => return Ok(Self { base, guard: Some(guard) }),
                Err(e) => last = e,
            }
        }
        Err(RealError::NoAddresses(last))
    }

    /// The block around `address`, which another process of the same world holds.
    pub fn joined(address: Ipv4Addr) -> Self {
        Self { base: u32::from(address) & !0xff, guard: None }
    }

    /// The block around `address` again (a data directory is reopened), if nobody else holds it.
    pub fn reopen(address: Ipv4Addr) -> Result<Self, RealError> {
        let base = u32::from(address) & !0xff;
        let guard =
            TcpListener::bind((Ipv4Addr::from(base | 254), GUARD_PORT)).map_err(RealError::NoAddresses)?;
        Ok(Self { base, guard: Some(guard) })
    }

    /// The block's first address, `127.x.y.0`.
    pub fn base(&self) -> Ipv4Addr {
        self.base.into()
    }
}

/// Control handle of a world in the real gear. Clones steer the same world.
#[derive(Clone)]
pub struct Real(Arc<World>);

#[derive(Clone)]
struct Machine {
    host: Host,
    clock: Arc<RealClock>,
    gate: Gate,
}

struct World {
    block: Block,
    /// Reserved when the first one was full.
    more: Mutex<Vec<Block>>,
    root: PathBuf,
    /// The root is the one host's own, not the directory of all hosts.
    single: bool,
    start: SignedDuration,
    /// Whether other processes see and set the hosts' clocks.
    shared_clocks: AtomicBool,
    hosts: Mutex<BTreeMap<String, Machine>>,
    names: Arc<Mutex<BTreeMap<String, Ipv4Addr>>>,
    lanes: OnceLock<Arc<Lanes>>,
    trace: OnceLock<Trace>,
}

impl Real {
    /// A world whose hosts keep their files in `<root>/<host>`.
    pub fn new(root: PathBuf, block: Block) -> Self {
        Self::starting(root, block, SignedDuration::ZERO)
    }

    /// As [`Real::new`], with every host's wall clock ahead of the system's by `start` (behind it, if
    /// negative) from the moment that it is switched on.
    pub fn starting(root: PathBuf, block: Block, start: SignedDuration) -> Self {
        Self::made(root, false, block, start)
    }

    /// A world seen from one of its hosts, whose own root is `root`: a component in a process of
    /// its own.
    #[doc(hidden)]
    pub fn rooted(root: PathBuf, block: Block) -> Self {
        Self::made(root, true, block, SignedDuration::ZERO)
    }

    fn made(root: PathBuf, single: bool, block: Block, start: SignedDuration) -> Self {
        Self(Arc::new(World {
            block,
            more: Mutex::default(),
            root,
            single,
            start,
            shared_clocks: AtomicBool::new(false),
            hosts: Mutex::default(),
            names: Arc::default(),
            lanes: OnceLock::new(),
            trace: OnceLock::new(),
        }))
    }

    /// Every host that is made from now on keeps how its clock is set in a file below its root ([`ClockFile`]): other
    /// processes see and set it, and it stays so over a restart.
    pub fn share_clocks(&self) {
        self.0.shared_clocks.store(true, Ordering::SeqCst);
    }

    /// Gives every host that is made from now on `count` threads on which its connections are served
    /// ([`Host::spawn_on_lane`]): for a process that is one server. A second call changes nothing.
    ///
    /// # Errors
    /// The operating system gives no thread.
    #[doc(hidden)]
    pub fn open_lanes(&self, count: usize) -> std::io::Result<()> {
        let lanes = Lanes::start(count)?;
        let _ = self.0.lanes.set(Arc::new(lanes));
        Ok(())
    }

    /// Every host that is made from now on records what happens; the last `most` events are kept. A second call changes
    /// nothing.
    pub fn record(&self, most: usize) {
        let _ = self.0.trace.set(Trace::last(most));
    }

    /// As [`Real::record`], at the end of the file at `path`, a JSON object a line: for a process whose record another one
    /// reads.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn record_into(&self, path: &Path) -> std::io::Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        let _ = self.0.trace.set(Trace::into_file(file));
        Ok(())
    }

    /// Where the hosts' files are, each below its name.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// What was recorded since [`Real::record`]; without that nothing is.
    pub fn trace(&self) -> Trace {
        self.0.trace.get().cloned().unwrap_or_else(Trace::off)
    }

    /// The host of that name, switched on when first asked for, with the next free address. A world
    /// of more than 250 hosts reserves further blocks for them.
    ///
    /// # Errors
    /// There is no free address.
    pub fn host(&self, name: &str) -> Result<Host, RealError> {
        let mut hosts = self.0.hosts.lock();
        if let Some(machine) = hosts.get(name) {
            return Ok(machine.host.clone());
        }
        let address = self.free_address()?;
        let clock = self.clock_of(name)?;
        Ok(self.insert(&mut hosts, name, address, clock))
    }

    fn clock_of(&self, name: &str) -> Result<RealClock, RealError> {
        if !self.0.shared_clocks.load(Ordering::SeqCst) {
            return Ok(RealClock::ahead(self.0.start));
        }
        let file = ClockFile::of_host(&self.root_of(name));
        file.map(RealClock::shared).map_err(|why| RealError::Clock { host: name.to_owned(), why })
    }

    fn root_of(&self, name: &str) -> PathBuf {
        if self.0.single { self.0.root.clone() } else { self.0.root.join(name) }
    }

    fn free_address(&self) -> Result<Ipv4Addr, RealError> {
        let taken: BTreeSet<Ipv4Addr> = self.0.names.lock().values().copied().collect();
        let free = |block: &Block| {
            (1..=BLOCK_HOSTS).map(|n| Ipv4Addr::from(block.base | n)).find(|a| !taken.contains(a))
        };
        let mut more = self.0.more.lock();
        if let Some(address) = std::iter::once(&self.0.block).chain(more.iter()).find_map(free) {
            return Ok(address);
        }
        // Who joined a world does not know where it goes on.
        if self.0.block.guard.is_none() {
            return Err(RealError::TooManyHosts);
        }
        let block = Block::reserve()?;
        let address = free(&block).ok_or(RealError::TooManyHosts)?;
        more.push(block);
        Ok(address)
    }

    /// The host of that name at a known address: another process of the same world has it too.
    pub fn host_at(&self, name: &str, address: Ipv4Addr) -> Host {
        let mut hosts = self.0.hosts.lock();
        if let Some(machine) = hosts.get(name) {
            return machine.host.clone();
        }
        let clock = self.clock_of(name).unwrap_or_else(|error| {
            tracing::error!("{error}; it has the system's time");
            RealClock::ahead(self.0.start)
        });
        self.insert(&mut hosts, name, address, clock)
    }

    fn insert(
        &self,
        hosts: &mut BTreeMap<String, Machine>,
        name: &str,
        address: Ipv4Addr,
        clock: RealClock,
    ) -> Host {
        self.0.names.lock().insert(name.to_owned(), address);
        let (clock, gate) = (Arc::new(clock), Gate::default());
        let host = Host::new(Parts {
            name: name.to_owned(),
            gear: Gear::Real,
            clock: Clock(clock.clone()),
            net: Net(Arc::new(net::RealEndpoint {
                address: IpAddr::V4(address),
                names: self.0.names.clone(),
                lanes: self.0.lanes.get().is_some(),
            })),
            disk: Disk::real(self.root_of(name)),
            entropy: Entropy::system(),
            trace: self.trace(),
            pace: Pace::new(Periods::upstream()),
            gate: gate.clone(),
            commons: None,
            lanes: self.0.lanes.get().cloned(),
        });
        hosts.insert(name.to_owned(), Machine { host: host.clone(), clock, gate });
        host
    }

    /// Names and addresses of all hosts.
    pub fn addresses(&self) -> BTreeMap<String, Ipv4Addr> {
        self.0.names.lock().clone()
    }

    fn machine(&self, name: &str) -> Option<Machine> {
        self.0.hosts.lock().get(name).cloned()
    }

    /// Records what other processes did to the host's clock since the last look; [`Real::share_clocks`] lets them.
    pub fn look_at_clock(&self, name: &str) {
        if !self.trace().is_recording() {
            return;
        }
        if let Some(Machine { host, clock, .. }) = self.machine(name) {
            clock.look(|what, value| host.record("clock", vec![(what, value)]));
        }
    }

    /// Others may have set it in between: what they did is recorded before what is done here.
    fn set_clock(&self, name: &str, change: impl FnOnce(Setting, Wall) -> Setting) {
        if let Some(machine) = self.machine(name) {
            self.look_at_clock(name);
            machine.clock.set(change);
            self.look_at_clock(name);
        }
    }

    /// Moves one host's wall clock by `by`, now and from now on.
    pub fn step(&self, name: &str, by: SignedDuration) {
        self.set_clock(name, |setting, now| setting.step(by, now));
    }

    /// From now on the wall clock of the host runs `ppm` parts per million too fast (negative: slow). Its monotonic
    /// clock is the system's and does not.
    pub fn drift(&self, name: &str, ppm: i32) {
        self.set_clock(name, |setting, now| setting.drift(ppm, now));
    }

    /// The wall clock of the host stands still (a broken clock source); monotonic time goes on.
    pub fn freeze(&self, name: &str) {
        self.set_clock(name, Setting::freeze);
    }

    /// Ends [`Real::freeze`]: the wall clock goes on from where it stood.
    pub fn thaw(&self, name: &str) {
        self.set_clock(name, Setting::thaw);
    }

    /// Pauses one host for `d` (SIGSTOP, `docker pause`): its tasks in this process stand still, both clocks go on,
    /// timers that fell due fire late. To be suspended, with a monotonic clock that stands still, is not to be had with
    /// the system's.
    #[allow(clippy::disallowed_methods, reason = "the real gear's clock is the system's")]
    pub async fn pause(&self, name: &str, d: Duration) {
        let Some(machine) = self.machine(name) else { return };
        machine.host.record("clock", vec![("pause", format!("{d:?}"))]);
        let _resumes = Paused::new(machine);
        tokio::time::sleep(d).await;
    }
}

/// A host whose tasks stand still; they go on when this is dropped, however the wait for it ends.
struct Paused(Machine);

impl Paused {
    fn new(machine: Machine) -> Self {
        machine.gate.close();
        Self(machine)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.0.gate.open();
        self.0.host.record("clock", vec![("resume", String::new())]);
    }
}

impl std::fmt::Debug for Real {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Real({})", self.0.block.base())
    }
}
