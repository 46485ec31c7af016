//! From records to the changes of sled's items that they come to.

use std::collections::BTreeMap;

use sled::IVec;

use super::{
    codec::{Head, Name, Slot, encode_key, encode_lease, piece_key, pieces},
    journal::Changes,
};
use crate::{EventKind, Record};

/// Where all records lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots {
    pub(super) by_name: BTreeMap<Name, Slot>,
    /// Greater than every number in use.
    pub(super) next_id: u64,
}

impl Slots {
    pub(super) fn insert(&mut self, name: Name, slot: Slot) {
        self.next_id = self.next_id.max(slot.id + 1);
        self.by_name.insert(name, slot);
    }

    /// All checksums added up.
    pub(super) fn sum(&self) -> u64 {
        self.by_name.values().fold(0, |sum, slot| sum.wrapping_add(slot.sum))
    }
}

fn item_key(id: u64, piece: u32) -> IVec {
    IVec::from(piece_key(id, piece).as_slice())
}

/// One append, ready for sled.
pub(super) struct Staged<'a> {
    slots: &'a Slots,
    /// The newest of each item; `None` removes it.
    pub(super) items: Changes,
    pub(super) head: Head,
    changed: BTreeMap<Name, Option<Slot>>,
    next_id: u64,
}

/// What an append that succeeded does to [`Slots`].
pub(super) struct Moved {
    changed: BTreeMap<Name, Option<Slot>>,
    next_id: u64,
}

impl<'a> Staged<'a> {
    pub(super) fn new(slots: &'a Slots, head: Head, records: &[Record]) -> Self {
        let head = Head { appends: head.appends + 1, ..head };
        let mut this =
            Self { slots, items: Changes::new(), head, changed: BTreeMap::new(), next_id: slots.next_id };
        for record in records {
            match record {
                Record::Commit(batch) => {
                    this.head.revision = batch.revision;
                    for event in batch.events.iter() {
                        let name = Name::Key(event.kv.key.clone());
                        match event.kind {
                            EventKind::Put => this.put(name, |id| encode_key(id, &event.kv)),
                            EventKind::Delete => this.remove(name),
                        }
                    }
                }
                Record::Grant { id, ttl } => this.put(Name::Lease(*id), |slot| encode_lease(slot, *id, *ttl)),
                Record::Revoke { id } => this.remove(Name::Lease(*id)),
            }
        }
        this
    }

    fn present(&self, name: &Name) -> Option<Slot> {
        self.changed.get(name).copied().unwrap_or_else(|| self.slots.by_name.get(name).copied())
    }

    fn put(&mut self, name: Name, encode: impl FnOnce(u64) -> (Vec<u8>, u64)) {
        let before = self.present(&name);
        let id = before.map_or(self.next_id, |slot| slot.id);
        self.next_id = self.next_id.max(id + 1);
        let (record, sum) = encode(id);
        let mut count = 0;
        for piece in pieces(&record) {
            self.items.insert(item_key(id, count), Some(IVec::from(piece)));
            count += 1;
        }
        self.forget(before, count);
        self.head.sum = self.head.sum.wrapping_add(sum);
        self.changed.insert(name, Some(Slot { id, pieces: count, sum }));
    }

    fn remove(&mut self, name: Name) {
        let before = self.present(&name);
        self.forget(before, 0);
        self.changed.insert(name, None);
    }

    /// Takes away what was there before, from piece `from` on.
    fn forget(&mut self, before: Option<Slot>, from: u32) {
        let Some(slot) = before else { return };
        self.head.sum = self.head.sum.wrapping_sub(slot.sum);
        for piece in from..slot.pieces {
            self.items.insert(item_key(slot.id, piece), None);
        }
    }

    pub(super) fn into_moved(self) -> Moved {
        Moved { changed: self.changed, next_id: self.next_id }
    }
}

impl Slots {
    pub(super) fn apply(&mut self, moved: Moved) {
        self.next_id = moved.next_id;
        for (name, slot) in moved.changed {
            match slot {
                Some(slot) => drop(self.by_name.insert(name, slot)),
                None => drop(self.by_name.remove(&name)),
            }
        }
    }
}
