//! The engine in memory: for the simulated gear, for tests, and for servers that need no memory of
//! their past.
//!
//! Its [`Medium`] is the disk that it stands for. It outlives the engine, so that a restart on the
//! same medium finds what was acknowledged, and a crash loses what was not. It takes the faults of the disks of those
//! who keep it: full, read-only, slow, one whose fsync fails, so that who keeps it has to end, and one whose fsync lies,
//! so that a power failure loses what was acknowledged.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{DiskError, DiskErrorKind, Durability, Fsync, Host, mutant};

use crate::{Engine, Image, Limits, Mvcc, Record, Store, StoreError};

/// A store in memory that begins empty.
pub fn memory(host: &Host) -> Arc<dyn Store> {
    memory_on(host, &Medium::default())
}

/// A store in memory that continues with what `medium` holds.
pub fn memory_on(host: &Host, medium: &Medium) -> Arc<dyn Store> {
    medium.store(host, Limits::default())
}

/// What a memory engine writes to; survives the engine. Clones are the same medium.
#[derive(Clone, Debug, Default)]
pub struct Medium {
    shared: Arc<Shared>,
    /// Whose faults it shares, and where there.
    home: Option<(Host, PathBuf)>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    durable: Image,
    /// What disks that lie say is durable, and hold in a cache.
    believed: Option<Image>,
    /// By member.
    copies: BTreeMap<u64, Replica>,
    /// Written, not yet synced.
    cached: Vec<Record>,
    held: bool,
    failing: Option<StoreError>,
    /// Counts crashes: an append of before a crash must not reach the medium after it.
    life: u64,
}

/// A disk that holds a copy.
#[derive(Debug)]
struct Replica {
    disk: Durability,
    /// The power failures that it had seen when `believed` was last known to be in its cache.
    power_failures: u64,
    /// Told when a sync on it has failed.
    failed: Arc<Notify>,
}

impl Medium {
    /// The same medium as somebody uses it who works in the directory `dir` of `host`: with the faults of its disk.
    pub(crate) fn at(&self, host: &Host, dir: &Path) -> Self {
        Self { shared: self.shared.clone(), home: Some((host.clone(), dir.to_owned())) }
    }

    /// From now on that member holds a copy on the disk of `host`. What disks lied about is gone when all of them have
    /// lost their power, the last before the first was told again. `failed` is told when a sync of the copy fails: the
    /// member must end then.
    pub(crate) fn add_copy(&self, member: u64, host: &Host, failed: Arc<Notify>) {
        let disk = host.disk().durability();
        let power_failures = disk.power_failures();
        self.shared.state.lock().copies.insert(member, Replica { disk, power_failures, failed });
    }

    /// That member's copy does not count any more.
    pub(crate) fn remove_copy(&self, member: u64) {
        self.shared.state.lock().copies.remove(&member);
    }

    /// Whoever holds a copy has started: whether something is gone that was acknowledged.
    pub(crate) fn recover(&self) -> bool {
        let mut state = self.shared.state.lock();
        let lost = !state.copies.is_empty()
            && state.copies.values().all(|copy| copy.disk.power_failures() > copy.power_failures);
        state.copies.values_mut().for_each(|copy| copy.power_failures = copy.disk.power_failures());
        lost && state.believed.take().is_some()
    }

    /// A store that continues with what is durable here.
    pub fn store(&self, host: &Host, limits: Limits) -> Arc<dyn Store> {
        Arc::new(Mvcc::start(host, Memory::on(self), self.image(), limits))
    }

    /// What a reader of the disk sees now.
    pub fn image(&self) -> Image {
        let state = self.shared.state.lock();
        state.believed.as_ref().unwrap_or(&state.durable).clone()
    }

    /// While held, a write reaches the cache and waits there to be synced.
    pub fn hold(&self, held: bool) {
        self.shared.state.lock().held = held;
        self.shared.released.notify_waiters();
    }

    /// While set, every write fails so.
    pub fn fail(&self, error: Option<StoreError>) {
        self.shared.state.lock().failing = error;
    }

    /// The power fails: what was not synced is gone. The engine on top is dead from now on.
    pub fn crash(&self) {
        {
            let mut state = self.shared.state.lock();
            state.cached.clear();
            state.held = false;
            state.life += 1;
        }
        self.shared.released.notify_waiters();
    }

    async fn write(&self, life: u64, records: Vec<Record>) -> Result<(), StoreError> {
        let mut waited = Duration::ZERO;
        loop {
            let released = self.shared.released.notified();
            tokio::pin!(released);
            // Wait from before the look at the state, so that no release is missed.
            released.as_mut().enable();
            {
                let mut state = self.shared.state.lock();
                if let Some(done) = self.write_at_once(&mut state, life, &records, waited) {
                    return done;
                }
                state.cached.clone_from(&records);
            }
            let takes = self.fsync().takes;
            match &self.home {
                Some((host, _)) if waited < takes => {
                    host.clock().sleep(takes - waited).await;
                    waited = takes;
                }
                _ => released.await,
            }
        }
    }

    fn fsync(&self) -> Fsync {
        self.home.as_ref().map(|(host, _)| host.disk().durability().fsync()).unwrap_or_default()
    }

    /// `None`: what is written now has to wait for its sync, longer than it has `waited`; one that fails never comes, and
    /// who waits for it ends.
    fn write_at_once(
        &self,
        state: &mut State,
        life: u64,
        records: &[Record],
        waited: Duration,
    ) -> Option<Result<(), StoreError>> {
        if state.life != life {
            return Some(Err(StoreError::Closed));
        }
        if let Some(error) = &state.failing {
            return Some(Err(error.clone()));
        }
        if let Some((host, dir)) = &self.home
            && let Err(e) = host.disk().probe(dir)
        {
            return Some(Err(disk_error(e, dir)));
        }
        let fsync = self.fsync();
        if state.held || waited < fsync.takes {
            return None;
        }
        let failing = || state.copies.values().filter(|copy| copy.disk.fsync().fails);
        failing().for_each(|copy| copy.failed.notify_one());
        // What is on one disk only is not committed.
        if fsync.fails || 2 * failing().count() > state.copies.len() {
            return None;
        }
        state.cached.clear();
        let lies = fsync.lies && state.copies.values().all(|copy| copy.disk.fsync().lies);
        if lies || mutant("acknowledge-before-sync") {
            let durable = &state.durable;
            let believed = state.believed.get_or_insert_with(|| durable.clone());
            records.iter().for_each(|record| believed.apply(record));
            return Some(Ok(()));
        }
        // An honest sync takes with it what was lied about before.
        if let Some(believed) = state.believed.take() {
            state.durable = believed;
        }
        records.iter().for_each(|record| state.durable.apply(record));
        Some(Ok(()))
    }
}

pub(crate) fn disk_error(e: DiskError, dir: &Path) -> StoreError {
    match e.kind {
        DiskErrorKind::Full => StoreError::Full { path: dir.to_owned() },
        kind => {
            let why = match kind {
                DiskErrorKind::Denied => "permission denied".to_owned(),
                DiskErrorKind::Exists => "file exists".to_owned(),
                other => format!("{other:?}"),
            };
            StoreError::Io { op: e.op, path: e.path, why }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Memory {
    medium: Medium,
    life: u64,
}

impl Memory {
    /// An engine that writes to `medium`.
    pub fn on(medium: &Medium) -> Self {
        Self { medium: medium.clone(), life: medium.shared.state.lock().life }
    }
}

#[async_trait]
impl Engine for Memory {
    async fn load(&self) -> Result<Image, StoreError> {
        Ok(self.medium.image())
    }

    async fn append(&self, records: Vec<Record>) -> Result<(), StoreError> {
        self.medium.write(self.life, records).await
    }

    fn waits(&self) -> bool {
        false
    }

    fn append_at_once(&self, records: &[Record]) -> Option<Result<(), StoreError>> {
        self.medium.write_at_once(&mut self.medium.shared.state.lock(), self.life, records, Duration::ZERO)
    }

    fn size(&self) -> u64 {
        let state = self.medium.shared.state.lock();
        state
            .believed
            .as_ref()
            .unwrap_or(&state.durable)
            .keys
            .values()
            .map(|kv| (kv.key.len() + kv.value.len()) as u64)
            .sum()
    }

    fn name(&self) -> &'static str {
        "memory"
    }
}
