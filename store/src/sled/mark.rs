//! The high-water mark: a small file beside sled and the journal that says how far acknowledged writes have come.
//!
//! A journal whose last record is damaged ends one earlier, and sled repairs a torn file by forgetting its end, both
//! without a word. The mark is moved before a write is acknowledged, so that whoever has forgotten an acknowledged write
//! is found out at open.
//!
//! It is synced only when sled is. What was acknowledged is durable in the journal; the mark bears witness to it, and
//! after a power failure it may be as old as the beginning of the journal.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::{
    codec::{Head, checksum},
    directory::{Directory, io_error, note, replace, sync_data},
};
use crate::StoreError;

const MAGIC: &[u8; 8] = b"chpl-mrk";
const SLOT: usize = 40;
/// Slots lie in different sectors: a torn write damages one of them, and the other one is still true.
const DISTANCE: u64 = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    head: Head,
    /// The slot that is written: not the one that was synced last.
    slot: u64,
    synced: bool,
}

/// What there is of a mark.
#[derive(Debug)]
pub(super) enum Found {
    Mark(Mark),
    Missing,
    Unreadable,
}

fn encode(head: &Head) -> Vec<u8> {
    let numbers = [head.appends.to_be_bytes(), head.revision.to_be_bytes(), head.sum.to_be_bytes()];
    let content = numbers.as_flattened();
    [MAGIC.as_slice(), content, &checksum(MAGIC, content).to_be_bytes()].concat()
}

fn decode(slot: &[u8]) -> Option<Head> {
    let number = |at: usize| slot.get(at * 8..(at + 1) * 8)?.try_into().ok().map(u64::from_be_bytes);
    let sound = slot.get(..8)? == MAGIC && checksum(MAGIC, slot.get(8..32)?) == number(4)?;
    sound.then_some(Head { appends: number(1)?, revision: number(2)?.cast_signed(), sum: number(3)? })
}

impl Mark {
    /// Makes the file, in place of one that says nothing: after a crash it is whole, or as it was.
    pub(super) fn create(path: &Path, head: Head) -> io::Result<Self> {
        // Both slots: their space is taken now, so that a full disk cannot stop a mark later.
        let slot = encode(&head);
        let mut content = slot.clone();
        content.resize(DISTANCE as usize, 0);
        content.extend(slot);
        replace(path, &content)?;
        Self::open(path)?.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The mark of a store.
    pub(super) fn find(dir: &Directory) -> Result<Found, StoreError> {
        match Self::open(&dir.mark()) {
            Ok(Some(mark)) => Ok(Found::Mark(mark)),
            Ok(None) => Ok(Found::Unreadable),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
            Err(e) => Err(io_error("open", &dir.mark(), dir.path(), &e)),
        }
    }

    /// Opens the file; `None` in place of the mark if both slots are damaged.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let slots = [0, DISTANCE].map(|at| {
            let mut slot = [0; SLOT];
            file.read_exact_at(&mut slot, at).ok().and_then(|()| decode(&slot))
        });
        // One ahead of the very first counts as before it: so was the second slot of a mark that was never moved once.
        let slots = (0..).zip(slots).filter_map(|(slot, head)| Some((slot, head?)));
        let newest = slots.max_by_key(|(_, head)| head.appends.wrapping_add(1));
        Ok(newest.map(|(slot, head)| Self { file, head, slot: 1 - slot, synced: true }))
    }

    #[cfg(test)]
    pub(super) fn break_with(&mut self, file: File) {
        self.file = file;
    }

    pub(super) fn head(&self) -> Head {
        self.head
    }

    #[cfg(test)]
    fn write(&mut self, head: Head) -> io::Result<()> {
        self.note(head)?;
        self.settle()
    }

    /// Moves the mark: whoever opens the file sees it so, unless the power fails before [`Mark::settle`].
    pub(super) fn note(&mut self, head: Head) -> io::Result<()> {
        self.synced = false;
        self.file.write_all_at(&encode(&head), self.slot * DISTANCE)?;
        self.head = head;
        note("mark written");
        Ok(())
    }

    /// Makes it durable where it is.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if !self.synced {
            sync_data(&self.file, "mark synced")?;
            self.synced = true;
            self.slot = 1 - self.slot;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_write_leaves_the_mark_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        let head = |appends| Head { appends, revision: appends as i64 + 1, sum: appends * 7 };
        let mut mark = Mark::create(&path, head(0)).unwrap();
        assert_eq!(Mark::open(&path).unwrap().unwrap().head(), head(0));
        for appends in 1..=5 {
            mark.write(head(appends)).unwrap();
            assert_eq!(Mark::open(&path).unwrap().unwrap().head(), head(appends));
        }
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"torn", 10).unwrap();
        assert_eq!(Mark::open(&path).unwrap().unwrap().head(), head(4), "the other slot");
        file.write_all_at(b"torn", DISTANCE + 10).unwrap();
        assert!(Mark::open(&path).unwrap().is_none(), "both damaged: no mark, not a wrong one");
    }
}
