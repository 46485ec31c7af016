//! Leases: who lives until when, and which keys die with whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use world::Mono;

use crate::{Event, EventKind, LeaseStatus, StoreError};

/// How often etcd looks for ended leases.
const RETRY: Duration = Duration::from_millis(500);

/// All leases of a store. Time is the host's monotonic one: a wall step ends no lease, a suspended
/// host's leases do not age.
#[derive(Debug, Default)]
pub(super) struct Leases {
    leases: BTreeMap<i64, Entry>,
    by_deadline: BTreeSet<(Mono, i64)>,
}

#[derive(Debug)]
struct Entry {
    ttl: Duration,
    deadline: Mono,
    keys: BTreeSet<Bytes>,
    /// Its end is on its way to the engine: nobody is told that it lives, and no key is given to it.
    ending: bool,
}

impl Leases {
    pub(super) fn contains(&self, id: i64) -> bool {
        self.leases.get(&id).is_some_and(|entry| !entry.ending)
    }

    /// Its end begins; gives the keys that end with it.
    pub(super) fn begin_end(&mut self, id: i64) -> Result<Vec<Bytes>, StoreError> {
        let entry = self.leases.get_mut(&id).ok_or(StoreError::LeaseNotFound { id })?;
        entry.ending = true;
        Ok(entry.keys.iter().cloned().collect())
    }

    /// The engine has not taken its end: it lives on.
    pub(super) fn live_on(&mut self, id: i64) {
        if let Some(entry) = self.leases.get_mut(&id) {
            entry.ending = false;
        }
    }

    /// Whether it has lived for its full time.
    pub(super) fn is_over(&self, id: i64, now: Mono) -> bool {
        self.leases.get(&id).is_some_and(|entry| entry.deadline <= now)
    }

    pub(super) fn insert(&mut self, id: i64, ttl: Duration, now: Mono) {
        let deadline = now + ttl;
        self.leases.insert(id, Entry { ttl, deadline, keys: BTreeSet::new(), ending: false });
        self.by_deadline.insert((deadline, id));
    }

    pub(super) fn remove(&mut self, id: i64) {
        if let Some(entry) = self.leases.remove(&id) {
            self.by_deadline.remove(&(entry.deadline, id));
        }
    }

    pub(super) fn keep_alive(&mut self, id: i64, now: Mono) -> Result<Duration, StoreError> {
        let entry = self.leases.get_mut(&id).filter(|entry| !entry.ending);
        let entry = entry.ok_or(StoreError::LeaseNotFound { id })?;
        self.by_deadline.remove(&(entry.deadline, id));
        entry.deadline = now + entry.ttl;
        self.by_deadline.insert((entry.deadline, id));
        Ok(entry.ttl)
    }

    /// Every lease lives for its full time from `now` on; also those whose end nobody brings to its end any more.
    pub(super) fn renew(&mut self, now: Mono) {
        self.by_deadline.clear();
        for (id, entry) in &mut self.leases {
            entry.deadline = now + entry.ttl;
            entry.ending = false;
            self.by_deadline.insert((entry.deadline, *id));
        }
    }

    /// The lease has ended, but could not be ended: it is tried again in half a second, as etcd does.
    pub(super) fn postpone(&mut self, id: i64, now: Mono) {
        if let Some(entry) = self.leases.get_mut(&id) {
            self.by_deadline.remove(&(entry.deadline, id));
            entry.deadline = now + RETRY;
            self.by_deadline.insert((entry.deadline, id));
        }
    }

    pub(super) fn status(&self, id: i64, now: Mono) -> Result<LeaseStatus, StoreError> {
        let entry = self.leases.get(&id).ok_or(StoreError::LeaseNotFound { id })?;
        let keys = entry.keys.iter().cloned().collect();
        Ok(LeaseStatus { id, granted: entry.ttl, remaining: entry.deadline.since(now), keys })
    }

    /// The lease that ends first.
    pub(super) fn first(&self) -> Option<(Mono, i64)> {
        self.by_deadline.first().copied()
    }

    /// Moves keys between leases as the events say.
    pub(super) fn note(&mut self, events: &[Event]) {
        for event in events {
            let before = event.prev.as_ref().map_or(0, |kv| kv.lease);
            let after = if event.kind == EventKind::Put { event.kv.lease } else { 0 };
            if before == after {
                continue;
            }
            if let Some(entry) = self.leases.get_mut(&before) {
                entry.keys.remove(&event.kv.key);
            }
            self.attach(after, &event.kv.key);
        }
    }

    pub(super) fn attach(&mut self, id: i64, key: &Bytes) {
        if let Some(entry) = self.leases.get_mut(&id) {
            entry.keys.insert(key.clone());
        }
    }
}
