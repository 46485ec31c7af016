//! All that sled and the journal hold, sound or not, and what is wrong with it.

use sled::IVec;

use super::{
    codec::{self, Entry, HEAD, Head, Name, Slot},
    directory::{Directory, io_error},
    files::Files,
    journal::{self, Changes, Journal, Rest},
    staging::Slots,
};
use crate::{Image, StoreError};

/// What a store is at before its first append.
pub(super) const NOTHING: Head = Head { appends: 0, revision: Image::EMPTY, sum: 0 };

/// What the items of a sled come to.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) image: Image,
    pub(super) slots: Slots,
    pub(super) head: Option<Head>,
    /// Of the journal's last append, also where it does not go on where sled ends.
    pub(super) journal: Option<Head>,
    /// Appends between the end of sled and the beginning of the journal are lost.
    pub(super) torn: bool,
    /// What could not be used.
    pub(super) damage: Vec<Damage>,
    /// The record that is being put together: number, pieces so far, bytes so far. Pieces of one follow each other.
    open: Option<(u64, u32, Vec<u8>)>,
}

/// An item, or a record of several, that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// What it is, as far as that can be told.
    pub(super) what: String,
    /// The checksum that the record says it has. It may be right, and what it covers wrong.
    pub(super) claimed: Option<u64>,
}

impl Contents {
    /// Puts items together, which come in the order of their keys.
    pub(super) fn of(items: impl IntoIterator<Item = (IVec, IVec)>) -> Self {
        let mut this = Self::default();
        for (key, item) in items {
            this.take(&key, &item);
        }
        this.close();
        if let Some(head) = this.head {
            this.image.revision = head.revision;
        }
        this
    }

    /// All that `files` and the journal hold, up to that append; and what of it `files` may lack.
    pub(super) fn whole(files: &Files, dir: &Directory, up_to: u64) -> Result<(Self, Changes), StoreError> {
        let items = files.items(dir)?;
        let Rest { changes, connects, head } = Self::rest(&items, dir, up_to)?;
        let changes = if connects { changes } else { Changes::new() };
        let whole = Self::of(journal::with(items, &changes));
        Ok((Self { journal: head, torn: !connects, ..whole }, changes))
    }

    /// All that can be had of a sled with these items, which may be a part of it, and the journal; where the journal does
    /// not go on where sled ends, what it has counts all the same, for it is newer.
    pub(super) fn salvaged(items: Vec<(IVec, IVec)>, dir: &Directory) -> Result<Self, StoreError> {
        let Rest { changes, connects, head } = Self::rest(&items, dir, u64::MAX)?;
        let found = Self::of(journal::with(items, &changes));
        Ok(Self { journal: head, torn: !connects, ..found })
    }

    fn rest(items: &[(IVec, IVec)], dir: &Directory, up_to: u64) -> Result<Rest, StoreError> {
        let entries = Journal::read(&dir.journal());
        let entries = entries.map_err(|e| io_error("read", &dir.journal(), dir.path(), &e))?;
        Ok(journal::rest(items, entries, up_to))
    }

    fn take(&mut self, key: &[u8], item: &[u8]) {
        if key == HEAD {
            self.close();
            match codec::decode_head(item) {
                Some(head) => self.head = Some(head),
                None => self.damage.push(Damage { what: "its head".into(), claimed: None }),
            }
            return;
        }
        let Some((id, piece)) = codec::of_piece_key(key) else {
            self.close();
            self.damage.push(Damage {
                what: format!("an item that is none of the store's ({key:x?})"),
                claimed: None,
            });
            return;
        };
        match &mut self.open {
            Some((last, count, record)) if *last == id && *count == piece => {
                record.extend_from_slice(item);
                *count += 1;
            }
            _ => {
                self.close();
                if piece == 0 {
                    self.open = Some((id, 1, item.to_vec()));
                } else {
                    self.damage.push(Damage { what: format!("piece {piece} of record {id}"), claimed: None });
                }
            }
        }
    }

    /// The record that was open is whole.
    fn close(&mut self) {
        let Some((id, pieces, record)) = self.open.take() else { return };
        let Some((entry, sum)) = codec::decode(id, &record) else {
            let what = match codec::legible_key(&record) {
                Some(key) => format!("record {id}, which seems to be of {key:?}"),
                None => format!("record {id}"),
            };
            self.damage.push(Damage { what, claimed: codec::claimed_sum(&record) });
            return;
        };
        let name = match entry {
            Entry::Key(kv) => {
                let name = Name::Key(kv.key.clone());
                // Two of one key: what deleted the older one is lost.
                let there = self.image.keys.get(&kv.key);
                if there.is_none_or(|there| there.mod_revision <= kv.mod_revision) {
                    self.image.keys.insert(kv.key.clone(), kv);
                }
                name
            }
            Entry::Lease { id, ttl } => {
                self.image.leases.insert(id, ttl);
                Name::Lease(id)
            }
        };
        self.slots.insert(name, Slot { id, pieces, sum });
    }

    /// Why this is not all that was acknowledged, or not only that; `mark`: how far that had come, if there is one.
    pub(super) fn complaint(&self, mark: Option<Head>, dir: &Directory) -> Option<String> {
        let head = self.head.unwrap_or(NOTHING);
        if let Some(damage) = self.damage.first() {
            return Some(format!("at {} something is missing or does not match its checksum", damage.what));
        }
        let mark_path = dir.mark();
        if self.torn {
            return Some(format!(
                "its journal {} does not go on where sled ends, at revision {}",
                dir.journal().display(),
                head.revision
            ));
        }
        let Some(promised) = mark else {
            return (!self.is_empty()).then(|| format!("its mark {} is missing", mark_path.display()));
        };
        if self.slots.sum() != head.sum {
            return Some(format!("records are missing or changed at revision {}", head.revision));
        }
        if head.appends < promised.appends {
            return Some(format!(
                "it ends at revision {}, but revision {} was acknowledged",
                head.revision, promised.revision
            ));
        }
        let another = head.appends == promised.appends && head != promised;
        another.then(|| format!("it is not the one that its mark {} belongs to", mark_path.display()))
    }

    /// Whether there is no trace of any append.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
            && self.slots.by_name.is_empty()
            && self.damage.is_empty()
            && self.journal.is_none()
    }

    /// Whether nothing but what `damage` names can be missing or old: with the checksums that the damaged records
    /// say they have, the whole adds up, and it is as new as what was acknowledged.
    pub(super) fn is_all_but_damage(&self, mark: Option<Head>) -> bool {
        let (Some(head), Some(promised)) = (self.head, mark) else { return false };
        let whole = self
            .damage
            .iter()
            .try_fold(self.slots.sum(), |sum, damage| Some(sum.wrapping_add(damage.claimed?)));
        let newest = head.appends > promised.appends || head == promised;
        newest && !self.torn && whole == Some(head.sum)
    }
}
