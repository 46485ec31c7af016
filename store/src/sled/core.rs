//! The blocking half of the sled engine: open and prove sound, append, recover after a full disk.

use std::path::Path;

use sled::IVec;
use tokio::runtime::Handle;
use world::Clock;

use super::{
    codec::{self, Head},
    contents::{Contents, NOTHING},
    directory::{Directory, io_error, sync},
    files::{Files, guarded},
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
    mark: Mark,
    /// Of the last append that succeeded.
    head: Head,
    slots: Slots,
    /// What to restore, should the append that failed have left anything behind.
    undo: Vec<(IVec, Option<IVec>)>,
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
        dir.preserve()?;
        let opened = guarded(&dir, || {
            let files = Files::open(&dir, clock)?;
            let contents = Contents::read(&files, &dir)?;
            match contents.complaint(mark.as_ref().map(Mark::head), &dir) {
                None => Ok((files, contents)),
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
        let core = Self {
            dir,
            clock: clock.clone(),
            runtime: Handle::current(),
            files: Some(files),
            mark,
            head,
            slots: contents.slots,
            undo: Vec::new(),
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
        let Self { dir, files, mark, slots, undo, .. } = self;
        // As of the append before, should that not have been possible then.
        if !mark.is_settled() {
            mark.write(self.head).map_err(|e| io_error("write", &dir.mark(), dir.path(), &e))?;
        }
        let mut staged = Staged::new(slots, self.head, records);
        let items = std::mem::take(&mut staged.items);
        let done = guarded(dir, || {
            let Some(files) = files else { return Err(StoreError::Closed) };
            for key in items.keys() {
                let before = if slots.has_room_at(key) { None } else { files.get(key, dir)? };
                undo.push((IVec::from(key.as_slice()), before));
            }
            let items = items.into_iter().map(|(key, item)| (IVec::from(key.as_slice()), item));
            files.write(items.chain([codec::head_item(&staged.head)]), dir)?;
            mark.note(staged.head).map_err(|e| io_error("write", &dir.mark(), dir.path(), &e))
        });
        match done {
            Ok(()) => {
                self.undo.clear();
                self.head = staged.head;
                let moved = staged.into_moved();
                self.slots.apply(moved);
            }
            Err(_) => {
                if let Some(files) = self.files.take() {
                    files.close(&self.dir);
                }
            }
        }
        done
    }

    /// After an error: opens sled again, takes back what the failed append may have left, and proves that
    /// everything acknowledged is there.
    fn reopen(&mut self) -> Result<(), StoreError> {
        let Self { dir, clock, runtime, mark, head, undo, slots, .. } = self;
        // What watches over sled must not be a task of the thread that waits for it.
        let _there = runtime.enter();
        // The failed append may have reached sled, or the mark, with one more; this is after both.
        let next = Head { appends: head.appends + 2, ..*head };
        let mut files = guarded(dir, || Files::open_again(dir, clock))?;
        let restored = guarded(dir, || {
            files.write(undo.iter().cloned().chain([codec::head_item(&next)]), dir)?;
            mark.write(next).map_err(|e| io_error("write", &dir.mark(), dir.path(), &e))?;
            if Contents::read(&files, dir)?.slots.by_name != slots.by_name {
                return Err(dir.corrupt("after an error of the disk, acknowledged writes are gone"));
            }
            Ok(())
        });
        if let Err(e) = restored {
            files.close(dir);
            return Err(e);
        }
        tracing::info!(path = %dir.path().display(), "the store writes again");
        *head = next;
        undo.clear();
        self.files = Some(files);
        Ok(())
    }

    /// See [`crate::Engine::settle`]. If it fails, the next append begins with it.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        self.mark.settle().map_err(|e| io_error("sync", &self.dir.mark(), self.dir.path(), &e))
    }

    /// Whether an append need not open sled first.
    pub(super) fn is_open(&self) -> bool {
        self.files.is_some()
    }

    pub(super) fn bytes(&self) -> Option<u64> {
        self.files.as_ref().map(Files::bytes)
    }
}
