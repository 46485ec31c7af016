//! The real gear: the system's clock plus an offset per host, TCP on 127.0.0.0/8, real files.
//!
//! Every host of a world has its own address in 127.0.0.0/8 and keeps kubeadm's ports. Addresses are reserved
//! in blocks: one /24 for the first 250 hosts, and further ones when it is full.
//! The tokio runtime is never paused: a paused one fires a 30 s timeout on a real socket at once.

mod lanes;
mod net;
mod notify;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Instant, SystemTime},
};

use jiff::SignedDuration;
use parking_lot::Mutex;

pub(crate) use lanes::{Lane, Lanes};
pub(crate) use notify::notify;

use crate::{
    Clock, Disk, Entropy, Gear, Host, Mono, Net, Periods, Trace, Wall,
    clock::{BoxFuture, TimeSource},
    host::Parts,
    periods::Pace,
    process::Gate,
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

struct World {
    block: Block,
    /// Reserved when the first one was full.
    more: Mutex<Vec<Block>>,
    root: PathBuf,
    /// The root is the one host's own, not the directory of all hosts.
    single: bool,
    start: SignedDuration,
    hosts: Mutex<BTreeMap<String, (Host, Arc<RealClock>)>>,
    names: Arc<Mutex<BTreeMap<String, Ipv4Addr>>>,
    lanes: OnceLock<Arc<Lanes>>,
    trace: OnceLock<Trace>,
}

impl Real {
    /// A world whose hosts keep their files in `<root>/<host>`.
    pub fn new(root: PathBuf, block: Block) -> Self {
        Self(Arc::new(World {
            block,
            more: Mutex::default(),
            root,
            single: false,
            start: SignedDuration::ZERO,
            hosts: Mutex::default(),
            names: Arc::default(),
            lanes: OnceLock::new(),
            trace: OnceLock::new(),
        }))
    }

    /// As [`Real::new`], with every host's wall clock ahead of the system's by `start` (behind it, if
    /// negative) from the moment that it is switched on.
    pub fn starting(root: PathBuf, block: Block, start: SignedDuration) -> Self {
        Self(Arc::new(World {
            block,
            more: Mutex::default(),
            root,
            single: false,
            start,
            hosts: Mutex::default(),
            names: Arc::default(),
            lanes: OnceLock::new(),
            trace: OnceLock::new(),
        }))
    }

    /// A world seen from one of its hosts, whose own root is `root`: a component in a process of
    /// its own.
    pub fn rooted(root: PathBuf, block: Block) -> Self {
        Self(Arc::new(World {
            block,
            more: Mutex::default(),
            root,
            single: true,
            start: SignedDuration::ZERO,
            hosts: Mutex::default(),
            names: Arc::default(),
            lanes: OnceLock::new(),
            trace: OnceLock::new(),
        }))
    }

    /// Gives every host that is made from now on `count` threads on which its connections are served
    /// ([`Host::spawn_on_lane`]): for a process that is one server. A second call changes nothing.
    ///
    /// # Errors
    /// The operating system gives no thread.
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
        if let Some((host, _)) = hosts.get(name) {
            return Ok(host.clone());
        }
        let address = self.free_address()?;
        Ok(self.insert(&mut hosts, name, address))
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
        match hosts.get(name) {
            Some((host, _)) => host.clone(),
            None => self.insert(&mut hosts, name, address),
        }
    }

    fn insert(
        &self,
        hosts: &mut BTreeMap<String, (Host, Arc<RealClock>)>,
        name: &str,
        address: Ipv4Addr,
    ) -> Host {
        self.0.names.lock().insert(name.to_owned(), address);
        let clock = Arc::new(RealClock::ahead(self.0.start));
        let host = Host::new(Parts {
            name: name.to_owned(),
            gear: Gear::Real,
            clock: Clock(clock.clone()),
            net: Net(Arc::new(net::RealEndpoint {
                address: IpAddr::V4(address),
                names: self.0.names.clone(),
                lanes: self.0.lanes.get().is_some(),
            })),
            disk: Disk::real(if self.0.single { self.0.root.clone() } else { self.0.root.join(name) }),
            entropy: Entropy::system(),
            trace: self.trace(),
            pace: Pace::new(Periods::upstream()),
            gate: Gate::default(),
            commons: None,
            lanes: self.0.lanes.get().cloned(),
        });
        hosts.insert(name.to_owned(), (host.clone(), clock));
        host
    }

    /// Names and addresses of all hosts.
    pub fn addresses(&self) -> BTreeMap<String, Ipv4Addr> {
        self.0.names.lock().clone()
    }

    /// Moves one host's wall clock by `by`, now and from now on.
    pub fn step(&self, name: &str, by: SignedDuration) {
        if let Some((host, clock)) = self.0.hosts.lock().get(name) {
            clock.offset.fetch_add(offset_nanos(by), Ordering::SeqCst);
            host.record("clock", vec![("step", format!("{by:#}"))]);
        }
    }
}

impl std::fmt::Debug for Real {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Real({})", self.0.block.base())
    }
}

fn offset_nanos(by: SignedDuration) -> i64 {
    i64::try_from(by.as_nanos()).unwrap_or(if by.is_negative() { i64::MIN } else { i64::MAX })
}

struct RealClock {
    boot: Instant,
    /// Nanoseconds (about ±292 years).
    offset: AtomicI64,
}

impl RealClock {
    #[allow(clippy::disallowed_methods, reason = "the real gear's clock is the system's")]
    fn ahead(by: SignedDuration) -> Self {
        Self { boot: Instant::now(), offset: AtomicI64::new(offset_nanos(by)) }
    }
}

#[allow(clippy::disallowed_methods, reason = "the real gear's clock is the system's")]
impl TimeSource for RealClock {
    fn wall(&self) -> Wall {
        self.walls().0
    }

    fn walls(&self) -> (Wall, Wall) {
        let system = Wall::try_from(SystemTime::now()).unwrap_or(Wall::UNIX_EPOCH);
        let offset = SignedDuration::from_nanos(self.offset.load(Ordering::SeqCst));
        (system.saturating_add(offset).unwrap_or(system), system)
    }

    fn monotonic(&self) -> Mono {
        Mono(self.boot.elapsed().as_nanos())
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<()> {
        let left = deadline.since(self.monotonic());
        Box::pin(tokio::time::sleep(left))
    }
}
