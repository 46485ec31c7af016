//! The engine on disk: sled 0.34, guarded.
//!
//! sled keeps the newest state. Around it: a journal that is synced before a write is acknowledged, a checksum in each
//! record and over all records, a mark outside of both of how far acknowledged writes have come, a directory that is taken by one store at a
//! time and that a failed open leaves as it was. All of sled's work blocks: appends on the thread of who commits, which
//! has nothing else to do (each other thread that had to be woken on the way of a write would be a third of a sync more),
//! the rest on tokio's blocking pool. In the real gear only: a paused runtime does not wait for other threads.

pub mod offline;

mod codec;
mod contents;
mod core;
mod directory;
#[cfg(test)]
mod faults;
mod files;
mod journal;
mod mark;
mod segments;
mod staging;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use world::{Clock, Host};

use self::core::Core;
use crate::{Engine, Image, Limits, Mvcc, Record, Store, StoreError};

/// How long an open waits for a predecessor of the same process to let go of the directory.
const LET_GO: Duration = Duration::from_secs(2);

/// The store in the directory `path` of `host`'s disk, made if it is not there. Real gear only.
///
/// # Errors
/// The directory is in use, holds something else, or is damaged; it stays as it was.
pub async fn sled(host: &Host, path: impl AsRef<Path>) -> Result<Arc<dyn Store>, StoreError> {
    sled_with(host, path, Limits::default()).await
}

/// [`sled()`] with other limits.
///
/// # Errors
/// As [`sled()`].
pub async fn sled_with(
    host: &Host,
    path: impl AsRef<Path>,
    limits: Limits,
) -> Result<Arc<dyn Store>, StoreError> {
    let path = path.as_ref();
    let Some(real) = host.disk().real_path(path) else {
        let why = "the disk of a simulated host has no room for sled; use the memory engine there".into();
        return Err(StoreError::Io { op: "open", path: path.to_owned(), why });
    };
    Ok(Arc::new(patiently(host, || Mvcc::open(host, Sled::at(host, real.clone()), limits)).await?))
}

/// Waits for a predecessor of this process to let go of the directory: killed a moment ago, its last write may still
/// be under way.
async fn patiently<T, F>(host: &Host, take: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let deadline = host.clock().monotonic() + LET_GO;
    loop {
        match take().await {
            Err(StoreError::Locked { pid: Some(pid), .. })
                if pid == std::process::id() && host.clock().monotonic() < deadline =>
            {
                host.clock().sleep(Duration::from_millis(20)).await;
            }
            taken => return taken,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Sled {
    path: PathBuf,
    clock: Clock,
    core: Arc<Mutex<Option<Core>>>,
    bytes: Arc<AtomicU64>,
}

impl Sled {
    /// An engine for the real directory `path`; nothing is touched before [`Engine::load`].
    pub fn at(host: &Host, path: PathBuf) -> Self {
        Self { path, clock: host.clock().clone(), core: Arc::default(), bytes: Arc::default() }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // What can panic is caught below; this is the runtime going down.
        Err(_) => Err(StoreError::Closed),
    }
}

#[async_trait]
impl Engine for Sled {
    async fn load(&self) -> Result<Image, StoreError> {
        let (path, clock) = (self.path.clone(), self.clock.clone());
        let (slot, bytes) = (self.core.clone(), self.bytes.clone());
        blocking(move || {
            let mut slot = slot.lock();
            // Let go of the directory first, should this be a second load.
            *slot = None;
            let (core, image) = Core::open(&path, &clock)?;
            bytes.store(core.bytes().unwrap_or(0), Ordering::Relaxed);
            *slot = Some(core);
            Ok(image)
        })
        .await
    }

    async fn append(&self, records: Vec<Record>) -> Result<(), StoreError> {
        if let Some(core) = self.core.lock().as_mut().filter(|core| core.is_open()) {
            let done = core.append(&records);
            if let Some(now) = core.bytes() {
                self.bytes.store(now, Ordering::Relaxed);
            }
            return done;
        }
        // To open it again waits for more than a disk.
        let (slot, bytes) = (self.core.clone(), self.bytes.clone());
        blocking(move || {
            let mut slot = slot.lock();
            let core = slot.as_mut().ok_or(StoreError::Closed)?;
            let done = core.append(&records);
            if let Some(now) = core.bytes() {
                bytes.store(now, Ordering::Relaxed);
            }
            done
        })
        .await
    }

    fn blocks(&self) -> bool {
        true
    }

    fn settle(&self) {
        if let Some(Err(e)) = self.core.lock().as_mut().map(Core::settle) {
            tracing::warn!(error = %e, "sled did not take what was acknowledged; the journal has it, and the next write tries again");
        }
    }

    fn size(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn name(&self) -> &'static str {
        "sled"
    }
}
