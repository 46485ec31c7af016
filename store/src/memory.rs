//! The engine in memory: for the simulated gear, for tests, and for servers that need no memory of
//! their past.
//!
//! Its [`Medium`] is the disk that it stands for. It outlives the engine, so that a restart on the
//! same medium finds what was acknowledged, and a crash loses what was not.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{Disk, DiskError, DiskErrorKind, Host};

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
    /// Whose faults it shares.
    disk: Option<(Disk, PathBuf)>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    durable: Image,
    /// Written, not yet synced.
    cached: Vec<Record>,
    held: bool,
    failing: Option<StoreError>,
    /// Counts crashes: an append of before a crash must not reach the medium after it.
    life: u64,
}

impl Medium {
    /// The same medium as somebody uses it who works in the directory `dir` of `disk`: full and read-only when that
    /// disk is.
    pub(crate) fn at(&self, disk: &Disk, dir: &Path) -> Self {
        Self { shared: self.shared.clone(), disk: Some((disk.clone(), dir.to_owned())) }
    }

    /// A store that continues with what is durable here.
    pub fn store(&self, host: &Host, limits: Limits) -> Arc<dyn Store> {
        Arc::new(Mvcc::start(host, Memory::on(self), self.image(), limits))
    }

    /// What is durable now.
    pub fn image(&self) -> Image {
        self.shared.state.lock().durable.clone()
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
        loop {
            let released = self.shared.released.notified();
            tokio::pin!(released);
            // Wait from before the look at the state, so that no release is missed.
            released.as_mut().enable();
            {
                let mut state = self.shared.state.lock();
                if let Some(done) = self.write_at_once(&mut state, life, &records) {
                    return done;
                }
                state.cached.clone_from(&records);
            }
            released.await;
        }
    }

    /// `None`: what is written now has to wait for its sync.
    fn write_at_once(
        &self,
        state: &mut State,
        life: u64,
        records: &[Record],
    ) -> Option<Result<(), StoreError>> {
        if state.life != life {
            return Some(Err(StoreError::Closed));
        }
        if let Some(error) = &state.failing {
            return Some(Err(error.clone()));
        }
        if let Some((disk, dir)) = &self.disk
            && let Err(e) = disk.probe(dir)
        {
            return Some(Err(disk_error(e, dir)));
        }
        if state.held {
            return None;
        }
        state.cached.clear();
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
        self.medium.write_at_once(&mut self.medium.shared.state.lock(), self.life, records)
    }

    fn size(&self) -> u64 {
        let state = self.medium.shared.state.lock();
        state.durable.keys.values().map(|kv| (kv.key.len() + kv.value.len()) as u64).sum()
    }

    fn name(&self) -> &'static str {
        "memory"
    }
}
