//! sled itself, with what its flush leaves undone.
//!
//! On Linux sled 0.34 flushes with `sync_file_range`, which neither makes the file's new length durable nor
//! empties the drive's cache. So each flush here is followed by a real sync. Neither is on the way of a write.
//!
//! And a flush may sleep for ever: sled's background writer notes an error, but does not always wake who waits
//! for the write. Another flush does wake it, so that a task keeps watch over each open sled.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use sled::IVec;
use tokio::runtime::Handle;
use world::Clock;

use super::{
    directory::{Directory, io_error, note, sync, sync_data, sync_error},
    journal::FULL,
};
use crate::StoreError;

/// What Mvcc keeps in memory anyway needs no second cache.
const CACHE_BYTES: u64 = 4 << 20;

/// How often it is looked whether a flush may be asleep; far longer than a healthy one takes.
const LOOK: Duration = Duration::from_millis(100);

const LET_GO: Duration = Duration::from_secs(2);

/// An open sled.
#[derive(Debug)]
pub(super) struct Files {
    db: sled::Db,
    log: File,
    /// Bytes of changes that were written since the last flush.
    unflushed: usize,
    /// What the watch looks at; taken away from it before sled is closed, whose last handle closes it.
    watched: Arc<Mutex<Option<sled::Db>>>,
}

impl Drop for Files {
    fn drop(&mut self) {
        self.watched.lock().take();
    }
}

/// Wakes flushes that sleep after an error, until there is nothing to watch. No process's task: a flush goes on when its
/// process is killed.
async fn keep_watch(watched: Arc<Mutex<Option<sled::Db>>>, clock: Clock) {
    let look = || match &*watched.lock() {
        None => false,
        Some(db) => {
            if db.context.global_error().is_err() {
                // Fails at once, and wakes the one that sleeps.
                let _ = db.flush();
            }
            true
        }
    };
    while look() {
        clock.sleep(LOOK).await;
    }
}

/// Runs what calls sled; sled panics on some damaged files.
pub(super) fn guarded<T>(
    dir: &Directory,
    call: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("for no stated reason");
        Err(dir.corrupt(format!("sled gave up on {} ({})", dir.sled().display(), one_line(said))))
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// sled's error in our terms.
pub(super) fn sled_error(op: &'static str, dir: &Directory, e: &sled::Error) -> StoreError {
    match e {
        sled::Error::Io(e) if e.to_string().contains("could not acquire lock") => {
            StoreError::Locked { path: dir.path().to_owned(), pid: Some(std::process::id()) }
        }
        sled::Error::Io(e) if is_damage(e) => {
            dir.corrupt(format!("sled cannot read {} ({})", dir.sled().display(), one_line(&e.to_string())))
        }
        sled::Error::Io(e) => io_error(op, &dir.sled(), dir.path(), e),
        other => {
            dir.corrupt(format!("sled refuses {} ({})", dir.sled().display(), one_line(&other.to_string())))
        }
    }
}

/// Removes what a full disk or a crash has left of a snapshot that was being written: sled would take it for a whole one,
/// find it damaged, and refuse its files.
fn forget_half_snapshots(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(b"snap.") && name.ends_with(b".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_damage(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    )
}

impl Files {
    pub(super) fn open(dir: &Directory, clock: &Clock) -> Result<Self, StoreError> {
        Self::open_at(&dir.sled(), dir, clock)
    }

    /// [`Files::open`] for a copy of sled's files at `path`.
    pub(super) fn open_at(path: &Path, dir: &Directory, clock: &Clock) -> Result<Self, StoreError> {
        forget_half_snapshots(path).map_err(|e| io_error("open", path, dir.path(), &e))?;
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let db = config.open().map_err(|e| sled_error("open", dir, &e))?;
        let fail = |at: &Path, e: &io::Error| io_error("open", at, dir.path(), e);
        let log = File::open(path.join("db")).map_err(|e| fail(&path.join("db"), &e))?;
        // What is there now was there at the last sync, or does not matter; the directories are new at most once.
        for at in [path.join("conf"), path.join("blobs"), path.to_owned(), dir.path().to_owned()] {
            sync(&at).map_err(|e| fail(&at, &e))?;
        }
        let watched = Arc::new(Mutex::new(Some(db.clone())));
        Handle::current().spawn(keep_watch(watched.clone(), clock.clone()));
        Ok(Self { db, log, unflushed: 0, watched })
    }

    /// Makes a sled in the directory `path`, for the sake of its file `conf`.
    pub(super) fn new_conf(path: &Path) -> io::Result<()> {
        sled::Config::new().path(path).flush_every_ms(None).open().map(drop).map_err(io::Error::from)
    }

    /// [`Files::open`] after [`Files::close`], whose last threads may hold the lock for a moment.
    pub(super) fn open_again(dir: &Directory, clock: &Clock) -> Result<Self, StoreError> {
        let deadline = clock.monotonic() + LET_GO;
        loop {
            match Self::open(dir, clock) {
                Err(StoreError::Locked { .. }) if clock.monotonic() < deadline => {
                    Handle::current().block_on(clock.sleep(LOOK / 5));
                }
                opened => return opened,
            }
        }
    }

    /// Every item, in order.
    pub(super) fn items(&self, dir: &Directory) -> Result<Vec<(IVec, IVec)>, StoreError> {
        self.db.iter().collect::<sled::Result<_>>().map_err(|e| sled_error("read", dir, &e))
    }

    /// The items that can be read, from the beginning up to damage and from the end down to it, in order; and what
    /// was in the way, if anything.
    pub(super) fn legible_items(&self, dir: &Directory) -> (BTreeMap<IVec, IVec>, Option<StoreError>) {
        let mut found = BTreeMap::new();
        let mut in_the_way = None;
        for backwards in [false, true] {
            let read = guarded(dir, || {
                let mut items = self.db.iter();
                while let Some(item) = if backwards { items.next_back() } else { items.next() } {
                    let (key, item) = item.map_err(|e| sled_error("read", dir, &e))?;
                    found.insert(key, item);
                }
                Ok(())
            });
            match read {
                Ok(()) => break,
                Err(e) => in_the_way = Some(e),
            }
        }
        (found, in_the_way)
    }

    /// Writes in this order; durable after [`Files::flush`]. After a crash a part of it may be there, from the beginning:
    /// the journal has all of it. (sled's own batches are all or nothing, and each has its log written at once.) However
    /// much it is, no more than a journal's fill is ever without a flush (see [`FULL`]).
    pub(super) fn write(
        &mut self,
        changes: impl IntoIterator<Item = (IVec, Option<IVec>)>,
        dir: &Directory,
    ) -> Result<(), StoreError> {
        for (key, item) in changes {
            let bytes = key.len() + item.as_ref().map_or(0, |item| item.len());
            if self.unflushed + bytes > FULL {
                self.flush(dir)?;
            }
            self.unflushed += bytes;
            let done = match item {
                Some(item) => self.db.insert(key, item),
                None => self.db.remove(key),
            };
            done.map_err(|e| sled_error("write", dir, &e))?;
        }
        note("sled written");
        Ok(())
    }

    /// All that was written is durable when this returns.
    pub(super) fn flush(&mut self, dir: &Directory) -> Result<(), StoreError> {
        self.db.flush().map_err(|e| sled_error("flush", dir, &e))?;
        note("sled flushed");
        sync_data(&self.log, "sled synced").map_err(|e| sync_error(&dir.sled(), &e))?;
        self.unflushed = 0;
        Ok(())
    }

    /// Closes sled after an error. Its own closing flushes too, with nobody watching: so it is done before.
    pub(super) fn close(self, dir: &Directory) {
        let flushed = guarded(dir, || self.db.flush().map_err(|e| sled_error("flush", dir, &e)));
        if let Err(e) = flushed {
            tracing::debug!(error = %e, "closing sled after an error");
        }
    }

    #[cfg(test)]
    pub(super) fn break_with(&mut self, log: File) {
        self.log = log;
    }

    pub(super) fn bytes(&self) -> u64 {
        self.log.metadata().map_or(0, |meta| meta.len())
    }
}
