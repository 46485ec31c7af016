//! The blocking half of the sled engine: open and prove sound, append, recover after a full disk.

use std::path::Path;

use bytes::Bytes;
use sled::IVec;
use world::Clock;

use super::{
    codec::{self, Entry, HEAD, Head, Name, Slot},
    directory::{Directory, io_error, sync},
    files::{Files, guarded},
    mark::Mark,
    staging::{Slots, Staged},
};
use crate::{Image, Record, StoreError};

/// See the module.
#[derive(Debug)]
pub(super) struct Core {
    dir: Directory,
    clock: Clock,
    /// `None` after an error: sled does not go on after one, it must be opened again.
    files: Option<Files>,
    mark: Mark,
    /// Of the last append that succeeded.
    head: Head,
    slots: Slots,
    /// What to restore, should the append that failed have left anything behind.
    undo: Vec<(Bytes, Option<IVec>)>,
}

/// All that was read from a sled.
struct Contents {
    image: Image,
    slots: Slots,
    head: Option<Head>,
}

const NOTHING: Head = Head { appends: 0, revision: Image::EMPTY, sum: 0 };

impl Core {
    /// Opens the store in `path`, or makes one. After an error the directory is as it was.
    pub(super) fn open(path: &Path, clock: &Clock) -> Result<(Self, Image), StoreError> {
        let dir = Directory::take(path)?;
        let mark = match Mark::open(&dir.mark()) {
            Ok(None) => return Err(dir.corrupt(format!("its mark {} is unreadable", dir.mark().display()))),
            Ok(mark) => mark,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(io_error("open", &dir.mark(), dir.path(), &e)),
        };
        let promised = mark.as_ref().map_or(NOTHING, Mark::head);
        if promised != NOTHING && !dir.sled().exists() {
            return Err(dir.corrupt(format!("{} is missing", dir.sled().display())));
        }
        dir.preserve()?;
        let opened = guarded(&dir, || {
            let files = Files::open(&dir, clock)?;
            let contents = read(&files, &dir)?;
            contents.compare(mark.is_some(), promised, &dir)?;
            Ok((files, contents))
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
        if self.files.is_none() {
            self.reopen()?;
        }
        let Self { dir, files, mark, slots, undo, .. } = self;
        let staged = Staged::new(slots, self.head, records);
        let done = guarded(dir, || {
            let Some(files) = files else { return Err(StoreError::Closed) };
            for key in staged.items.keys().map(Bytes::as_ref).chain([HEAD]) {
                undo.push((Bytes::copy_from_slice(key), files.get(key, dir)?));
            }
            let items = staged.items.iter().map(|(key, item)| (key.clone(), item.clone()));
            let head = (Bytes::from_static(HEAD), Some(codec::encode_head(&staged.head)));
            files.write(items.chain([head]), dir)?;
            mark.write(staged.head).map_err(|e| io_error("write", &dir.mark(), dir.path(), &e))
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
        let Self { dir, clock, mark, head, undo, slots, .. } = self;
        // The failed append may have reached sled, or the mark, with one more; this is after both.
        let next = Head { appends: head.appends + 2, ..*head };
        let mut files = guarded(dir, || Files::open_again(dir, clock))?;
        let restored = guarded(dir, || {
            let records = undo.iter().filter(|(key, _)| key != HEAD).cloned();
            let head = (Bytes::from_static(HEAD), Some(IVec::from(codec::encode_head(&next))));
            files.write(records.chain([head]), dir)?;
            mark.write(next).map_err(|e| io_error("write", &dir.mark(), dir.path(), &e))?;
            if read(&files, dir)?.slots.by_name != slots.by_name {
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

    pub(super) fn bytes(&self) -> Option<u64> {
        self.files.as_ref().map(Files::bytes)
    }
}

fn read(files: &Files, dir: &Directory) -> Result<Contents, StoreError> {
    let mut contents = Contents { image: Image::default(), slots: Slots::default(), head: None };
    let damaged = |key: &[u8]| {
        let which = codec::of_piece_key(key).map_or_else(|| format!("{key:x?}"), |(id, _)| id.to_string());
        dir.corrupt(format!("at record {which} something is missing or does not match its checksum"))
    };
    // The record that is being put together; pieces of one follow each other.
    let mut open: Option<(u64, u32, Vec<u8>)> = None;
    for (key, item) in files.items(dir)? {
        if key == HEAD {
            contents.head = Some(codec::decode_head(&item).ok_or_else(|| damaged(&key))?);
            continue;
        }
        let (id, piece) = codec::of_piece_key(&key).ok_or_else(|| damaged(&key))?;
        match &mut open {
            Some((last, count, record)) if *last == id && *count == piece => {
                record.extend_from_slice(&item);
                *count += 1;
            }
            _ if piece == 0 => {
                if let Some(whole) = open.replace((id, 1, item.to_vec())) {
                    contents.add(whole).ok_or_else(|| damaged(&key))?;
                }
            }
            _ => return Err(damaged(&key)),
        }
    }
    if let Some(whole) = open {
        contents.add(whole).ok_or_else(|| damaged(b"the last"))?;
    }
    if let Some(head) = contents.head {
        contents.image.revision = head.revision;
    }
    Ok(contents)
}

impl Contents {
    fn add(&mut self, (id, pieces, record): (u64, u32, Vec<u8>)) -> Option<()> {
        let (entry, sum) = codec::decode(id, &record)?;
        let name = match entry {
            Entry::Key(kv) => {
                let name = Name::Key(kv.key.clone());
                self.image.keys.insert(kv.key.clone(), kv);
                name
            }
            Entry::Lease { id, ttl } => {
                self.image.leases.insert(id, ttl);
                Name::Lease(id)
            }
        };
        self.slots.insert(name, Slot { id, pieces, sum });
        Some(())
    }

    /// Whether this is all that was acknowledged, and nothing else.
    fn compare(&self, marked: bool, promised: Head, dir: &Directory) -> Result<(), StoreError> {
        let head = self.head.unwrap_or(NOTHING);
        if !marked && (self.head.is_some() || !self.slots.by_name.is_empty()) {
            return Err(dir.corrupt(format!("its mark {} is missing", dir.mark().display())));
        }
        if self.slots.sum() != head.sum {
            return Err(dir.corrupt(format!("records are missing or changed at revision {}", head.revision)));
        }
        if head.appends < promised.appends {
            return Err(dir.corrupt(format!(
                "it ends at revision {}, but revision {} was acknowledged",
                head.revision, promised.revision
            )));
        }
        if head.appends == promised.appends && head != promised {
            return Err(
                dir.corrupt(format!("it is not the one that its mark {} belongs to", dir.mark().display()))
            );
        }
        Ok(())
    }
}
