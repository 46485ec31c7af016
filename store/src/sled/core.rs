//! The blocking half of the sled engine: open and prove sound, append, recover after a full disk.
//!
//! ```text
//! append     journal: written and synced; mark: moved      before the writers are answered
//! settle     sled: given the changes                       after it, while the next writes gather
//!            sled flushed                                  each time that it has as much as a full journal
//!            sled flushed, mark synced, journal rewound    when the journal is full, and in the end
//! ```

use std::path::Path;

use tokio::runtime::Handle;
use world::Clock;

use super::{
    codec::{self, Head},
    contents::{Contents, NOTHING},
    directory::{Directory, io_error, sync, sync_error},
    files::{Files, guarded},
    journal::{Changes, Journal},
    mark::{Found, Mark},
    staging::{Slots, Staged},
};
use crate::{Image, Record, StoreError};

/// See the module.
#[derive(Debug)]
pub(super) struct Core {
    clock: Clock,
    /// Where it was opened, and is opened again.
    runtime: Handle,
    /// `None` after an error: sled does not go on after one, it must be opened again.
    pub(super) files: Option<Files>,
    pub(super) journal: Journal,
    pub(super) mark: Mark,
    /// Of the last append that succeeded.
    head: Head,
    slots: Slots,
    /// Of the last append, until sled has them.
    pending: Changes,
    /// Why the disk did not take something, if that was not for want of room. What was written before may be on it or not,
    /// and the system, asked again, says that it is: so nothing is written any more, and the journal stays as it is, for
    /// the next open to begin with.
    broken: Option<StoreError>,
    /// The last to go: it is nobody else's before sled has let go of its files.
    dir: Directory,
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.files.is_some()
            && let Err(e) = self.finish()
        {
            tracing::debug!(error = %e, "closing the store; the journal has what sled lacks");
        }
    }
}

impl Core {
    /// Opens the store in `path`, or makes one. After an error the directory is as it was.
    pub(super) fn open(path: &Path, clock: &Clock) -> Result<(Self, Image), StoreError> {
        let dir = Directory::take(path)?;
        if dir.repaired().exists() {
            return Err(
                dir.corrupt("a repair of it was cut short; `chronoplane store repair` brings it to its end")
            );
        }
        let found = Mark::find(&dir)?;
        let unreadable = matches!(found, Found::Unreadable);
        let mark = match found {
            // Nothing is lost with it if nothing was ever acknowledged.
            Found::Unreadable | Found::Missing => None,
            Found::Mark(mark) => Some(mark),
        };
        let promised = mark.as_ref().map_or(NOTHING, Mark::head);
        if (promised != NOTHING || unreadable) && !dir.sled().exists() {
            return Err(dir.corrupt(format!("{} is missing", dir.sled().display())));
        }
        if let Some(complaint) = dir.complaint_of_log()? {
            return Err(dir.corrupt(complaint));
        }
        let is_new = !dir.sled().exists();
        dir.preserve()?;
        let opened = guarded(&dir, || {
            let mut files = Files::open(&dir, clock)?;
            let (contents, missing) = Contents::whole(&files, &dir, u64::MAX)?;
            if unreadable && !contents.is_empty() {
                return Err(dir.corrupt(format!("its mark {} is unreadable", dir.mark().display())));
            }
            match contents.complaint(mark.as_ref().map(Mark::head), &dir) {
                None => {
                    files.write(missing, &dir)?;
                    files.flush(&dir)?;
                    Ok((files, contents))
                }
                Some(complaint) => Err(dir.corrupt(complaint)),
            }
        });
        let (files, contents) = match opened {
            Ok(opened) => opened,
            // sled has not touched them; who let go of the directory may still be writing its last, which the copy lacks.
            Err(e @ StoreError::Locked { .. }) => {
                dir.accept()?;
                return Err(e);
            }
            Err(e) => {
                if is_new {
                    dir.take_away()?
                } else {
                    dir.put_back()?
                }
                return Err(e);
            }
        };
        dir.accept()?;
        let head = contents.head.unwrap_or(NOTHING);
        let mark = match mark {
            Some(mark) => mark,
            None => {
                Mark::create(&dir.mark(), head).map_err(|e| io_error("open", &dir.mark(), dir.path(), &e))?
            }
        };
        dir.upgrade()?;
        let journal = Journal::begin(&dir.journal(), head.sum)
            .and_then(|journal| sync(dir.path()).map(|()| journal))
            .map_err(|e| io_error("open", &dir.journal(), dir.path(), &e))?;
        let core = Self {
            clock: clock.clone(),
            runtime: Handle::current(),
            files: Some(files),
            journal,
            mark,
            head,
            slots: contents.slots,
            pending: Changes::new(),
            broken: None,
            dir,
        };
        Ok((core, contents.image))
    }

    /// See [`crate::Engine::append`].
    pub(super) fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.unless_broken(|core| core.try_append(records)).map_err(|e| self.dir.blame(e))
    }

    /// Does that, unless the disk has failed before; and takes note if it does now.
    fn unless_broken(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if let Some(e) = &self.broken {
            return Err(e.clone());
        }
        work(self).map_err(|e| match e {
            StoreError::Io { op: op @ ("write" | "flush" | "sync"), path, why } => {
                let why = format!("{why}; the store takes no more writes until it is opened again");
                let e = StoreError::Io { op, path, why };
                self.broken = Some(e.clone());
                e
            }
            other => other,
        })
    }

    fn try_append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        if self.files.is_none() {
            self.reopen()?;
        }
        self.catch_up()?;
        let Self { dir, journal, mark, slots, .. } = self;
        let mut staged = Staged::new(slots, self.head, records);
        let mut changes = std::mem::take(&mut staged.items);
        changes.extend([codec::head_item(&staged.head)]);
        let cloned = changes.iter().map(|(key, item)| (key.clone(), item.clone()));
        journal
            .write(staged.head.appends, cloned)
            .map_err(|e| io_error("write", &dir.journal(), dir.path(), &e))?;
        journal.sync().map_err(|e| sync_error(&dir.journal(), &e))?;
        mark.note(staged.head).map_err(|e| io_error("write", &dir.mark(), dir.path(), &e))?;
        journal.keep();
        self.head = staged.head;
        let moved = staged.into_moved();
        self.slots.apply(moved);
        self.pending = changes;
        Ok(())
    }

    /// See [`crate::Engine::settle`]. If it fails, the next append begins with opening sled again.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        self.unless_broken(Self::catch_up).map_err(|e| self.dir.blame(e))
    }

    /// Gives sled what it has not got yet; and if the journal is full, has it flushed.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let Some(files) = &mut self.files else { return Ok(()) };
        let (dir, changes) = (&self.dir, std::mem::take(&mut self.pending));
        let mut done = guarded(dir, || files.write(changes, dir));
        if done.is_ok() && self.journal.is_full() {
            done = self.checkpoint().and_then(|()| self.journal_done(Journal::rewind));
        }
        if done.is_err() {
            self.close();
        }
        done
    }

    /// Whoever opens the directory next finds all of it in sled.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        self.unless_broken(|core| {
            core.catch_up()?;
            core.checkpoint()?;
            core.journal_done(Journal::clear)
        })
    }

    /// All that was acknowledged is durable in sled when this returns.
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let Self { dir, files, mark, .. } = self;
        guarded(dir, || files.as_mut().map_or(Err(StoreError::Closed), |files| files.flush(dir)))?;
        mark.settle().map_err(|e| sync_error(&dir.mark(), &e))
    }

    fn journal_done(&mut self, how: fn(&mut Journal) -> std::io::Result<()>) -> Result<(), StoreError> {
        let Self { dir, journal, .. } = self;
        how(journal).map_err(|e| io_error("write", &dir.journal(), dir.path(), &e))
    }

    /// sled does not go on after an error.
    fn close(&mut self) {
        if let Some(files) = self.files.take() {
            files.close(&self.dir);
        }
    }

    /// After an error: opens sled again, gives it what the journal has, and proves that everything acknowledged is
    /// there.
    fn reopen(&mut self) -> Result<(), StoreError> {
        let Self { dir, clock, runtime, head, slots, mark, .. } = self;
        // What watches over sled must not be a task of the thread that waits for it.
        let _there = runtime.enter();
        let mut files = guarded(dir, || Files::open_again(dir, clock))?;
        let restored = guarded(dir, || {
            let (contents, missing) = Contents::whole(&files, dir, head.appends)?;
            if contents.slots.by_name != slots.by_name || contents.head.unwrap_or(NOTHING) != *head {
                return Err(dir.corrupt("after an error of the disk, acknowledged writes are gone"));
            }
            files.write(missing, dir)?;
            files.flush(dir)?;
            mark.settle().map_err(|e| sync_error(&dir.mark(), &e))
        });
        if let Err(e) = restored {
            files.close(dir);
            return Err(e);
        }
        tracing::info!(path = %dir.path().display(), "the store writes again");
        self.files = Some(files);
        self.pending.clear();
        self.journal_done(Journal::rewind)
    }

    /// Whether an append need not open sled first.
    pub(super) fn is_open(&self) -> bool {
        self.files.is_some()
    }

    pub(super) fn bytes(&self) -> Option<u64> {
        self.files.as_ref().map(Files::bytes)
    }
}
