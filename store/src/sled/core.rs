//! The blocking half of the sled engine: open and prove sound, append, recover after a full disk.
//!
//! ```text
//! append     journal: written and synced; mark: moved      before the writers are answered
//! settle     sled: given the changes                       after it, while the next writes gather
//!            sled flushed, mark synced, journal rewound    when the journal is full, and in the end
//! ```

use std::path::Path;

use tokio::runtime::Handle;
use world::Clock;

use super::{
    codec::{self, Head},
    contents::{Contents, NOTHING},
    directory::{Directory, io_error, sync},
    files::{Files, guarded},
    journal::{Changes, Journal},
    mark::{Found, Mark},
    staging::{Slots, Staged},
};
use crate::{Image, Record, StoreError};

/// See the module.
#[derive(Debug)]
pub(super) struct Core {
    dir: Directory,
    clock: Clock,
    /// Where it was opened, and is opened again.
    runtime: Handle,
    /// `None` after an error: sled does not go on after one, it must be opened again.
    files: Option<Files>,
    journal: Journal,
    mark: Mark,
    /// Of the last append that succeeded.
    head: Head,
    slots: Slots,
    /// Of the last append, until sled has them.
    pending: Changes,
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
        let mark = match Mark::find(&dir)? {
            Found::Unreadable => {
                return Err(dir.corrupt(format!("its mark {} is unreadable", dir.mark().display())));
            }
            Found::Missing => None,
            Found::Mark(mark) => Some(mark),
        };
        let promised = mark.as_ref().map_or(NOTHING, Mark::head);
        if promised != NOTHING && !dir.sled().exists() {
            return Err(dir.corrupt(format!("{} is missing", dir.sled().display())));
        }
        if let Some(complaint) = dir.complaint_of_log()? {
            return Err(dir.corrupt(complaint));
        }
        dir.preserve()?;
        let opened = guarded(&dir, || {
            let mut files = Files::open(&dir, clock)?;
            let (contents, missing) = Contents::whole(&files, &dir, u64::MAX)?;
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
            Err(e) => {
                dir.put_back()?;
                return Err(e);
            }
        };
        dir.accept()?;
        let head = contents.head.unwrap_or(NOTHING);
        let mark = match mark {
            Some(mark) => mark,
            None => {
                let made = Mark::create(&dir.mark(), head).and_then(|mark| sync(dir.path()).map(|()| mark));
                made.map_err(|e| io_error("open", &dir.mark(), dir.path(), &e))?
            }
        };
        dir.upgrade()?;
        let journal = Journal::begin(&dir.journal(), head.sum)
            .and_then(|journal| sync(dir.path()).map(|()| journal))
            .map_err(|e| io_error("open", &dir.journal(), dir.path(), &e))?;
        let core = Self {
            dir,
            clock: clock.clone(),
            runtime: Handle::current(),
            files: Some(files),
            journal,
            mark,
            head,
            slots: contents.slots,
            pending: Changes::new(),
        };
        Ok((core, contents.image))
    }

    /// See [`crate::Engine::append`].
    pub(super) fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.try_append(records).map_err(|e| self.dir.blame(e))
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
        self.catch_up().map_err(|e| self.dir.blame(e))
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
        self.catch_up()?;
        self.checkpoint()?;
        self.journal_done(Journal::clear)
    }

    /// All that was acknowledged is durable in sled when this returns.
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let Self { dir, files, mark, .. } = self;
        guarded(dir, || files.as_mut().map_or(Err(StoreError::Closed), |files| files.flush(dir)))?;
        mark.settle().map_err(|e| io_error("sync", &dir.mark(), dir.path(), &e))
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
        let Self { dir, clock, runtime, head, slots, .. } = self;
        // What watches over sled must not be a task of the thread that waits for it.
        let _there = runtime.enter();
        let mut files = guarded(dir, || Files::open_again(dir, clock))?;
        let restored = guarded(dir, || {
            let (contents, missing) = Contents::whole(&files, dir, head.appends)?;
            if contents.slots.by_name != slots.by_name || contents.head.unwrap_or(NOTHING) != *head {
                return Err(dir.corrupt("after an error of the disk, acknowledged writes are gone"));
            }
            files.write(missing, dir)?;
            files.flush(dir)
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
