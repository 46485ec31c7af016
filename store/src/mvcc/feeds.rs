//! The watches that have caught up: told of each transaction as it is published.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Batch, Range, Revision, StoreError, feed::Feed};

/// The feeds of all watches that have caught up.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    next: u64,
    live: BTreeMap<u64, Live>,
}

/// A watch that has caught up.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) range: Range,
    pub(super) from: Revision,
    pub(super) capacity: usize,
    pub(super) feed: Arc<Feed>,
}

impl Feeds {
    pub(super) fn add(&mut self, live: Live) -> u64 {
        self.next += 1;
        self.live.insert(self.next, live);
        self.next
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.live.remove(&id);
    }

    /// Hands a transaction's events to whoever watches them. Never waits.
    pub(super) fn deliver(&mut self, batch: &Batch) {
        self.live.retain(|_, live| match within(batch, &live.range, live.from) {
            Some(part) => live.feed.push(part, live.capacity),
            None => true,
        });
    }

    pub(super) fn end(&mut self, why: &StoreError) {
        std::mem::take(&mut self.live).into_values().for_each(|live| live.feed.end(why.clone()));
    }
}

/// The part of a batch that a watch of `range` from `from` on sees.
pub(super) fn within(batch: &Batch, range: &Range, from: Revision) -> Option<Batch> {
    if batch.revision < from {
        return None;
    }
    let hits = batch.events.iter().filter(|event| range.contains(&event.kv.key)).count();
    match hits {
        0 => None,
        // Shared with everybody who watches all of it.
        n if n == batch.events.len() => Some(batch.clone()),
        _ => {
            let events = batch.events.iter().filter(|event| range.contains(&event.kv.key));
            Some(Batch::changes(batch.revision, events.cloned().collect::<Vec<_>>()))
        }
    }
}
