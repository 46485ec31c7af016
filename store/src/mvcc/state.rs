//! All versions of all keys, the log of what happened, and the rules of a transaction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use world::{Mono, mutant};

use super::{Limits, feeds::Feeds, lease::Leases};
use crate::{
    Batch, Event, EventKind, Image, Kv, ListOptions, Listing, Op, OpResult, Range, Revision, StoreError, Txn,
    TxnResult,
};

/// See the module. Every method is short: it is called under the store's one lock.
#[derive(Debug)]
pub(super) struct State {
    /// What readers see.
    visible: Revision,
    /// The last revision given out; beyond `visible` while the engine is at work.
    newest: Revision,
    /// The oldest revision that can be read.
    oldest: Revision,
    /// The oldest revision that a watch can begin with.
    oldest_event: Revision,
    keys: BTreeMap<Bytes, Vec<Version>>,
    /// One batch per revision, without gaps, up to `visible`.
    log: VecDeque<Batch>,
    pub(super) leases: Leases,
    pub(super) feeds: Feeds,
    limits: Limits,
    closed: bool,
}

/// What a key was from a revision on; `None`: deleted.
#[derive(Debug)]
struct Version {
    at: Revision,
    kv: Option<Kv>,
}

/// A transaction carried out, but seen by nobody yet.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) result: TxnResult,
    pub(super) changes: Option<Batch>,
}

fn at_revision(versions: &[Version], at: Revision) -> Option<&Kv> {
    versions.iter().rev().find(|v| v.at <= at).and_then(|v| v.kv.as_ref())
}

impl State {
    pub(super) fn new(image: Image, limits: Limits, now: Mono) -> Self {
        let mut leases = Leases::default();
        image.leases.iter().for_each(|(id, ttl)| leases.insert(*id, *ttl, now));
        image.keys.values().for_each(|kv| leases.attach(kv.lease, &kv.key));
        let versions = |kv: Kv| vec![Version { at: kv.mod_revision, kv: Some(kv) }];
        // History is not kept across a restart, unless there is none.
        let oldest_event = if image.revision == Image::EMPTY { 0 } else { image.revision + 1 };
        Self {
            visible: image.revision,
            newest: image.revision,
            oldest: if image.revision == Image::EMPTY { 0 } else { image.revision },
            oldest_event,
            keys: image.keys.into_iter().map(|(key, kv)| (key, versions(kv))).collect(),
            log: VecDeque::new(),
            leases,
            feeds: Feeds::default(),
            limits,
            closed: false,
        }
    }

    pub(super) fn visible(&self) -> Revision {
        self.visible
    }

    pub(super) fn oldest(&self) -> Revision {
        self.oldest
    }

    /// Whether all that was applied is visible: nobody is between the two.
    pub(super) fn is_settled(&self) -> bool {
        self.newest == self.visible
    }

    pub(super) fn open(&mut self) -> Result<&mut Self, StoreError> {
        if self.closed { Err(StoreError::Closed) } else { Ok(self) }
    }

    /// Another committer goes on from what is visible.
    pub(super) fn resume(&mut self, now: Mono) {
        if self.newest > self.visible {
            let visible = self.visible;
            self.keys.retain(|_, versions| {
                versions.retain(|v| v.at <= visible);
                !versions.is_empty()
            });
            self.newest = visible;
        }
        self.leases.renew(now);
    }

    /// Only `image` is left.
    pub(super) fn begin_again(&mut self, image: Image, now: Mono) {
        self.feeds.end(&StoreError::Closed);
        *self = Self::new(image, self.limits, now);
    }

    /// No more reads or writes; watches end.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.feeds.end(&StoreError::Closed);
    }

    /// The revision to read at.
    pub(super) fn readable(&self, at: Option<Revision>) -> Result<Revision, StoreError> {
        match at.unwrap_or(0) {
            _ if self.closed => Err(StoreError::Closed),
            at if at <= 0 => Ok(self.visible),
            at if at > self.visible => {
                Err(StoreError::FutureRevision { requested: at, current: self.visible })
            }
            at if at < self.oldest => Err(StoreError::Compacted { requested: at, oldest: self.oldest }),
            at => Ok(at),
        }
    }

    pub(super) fn get(&self, key: &[u8], at: Revision) -> Option<&Kv> {
        self.keys.get(key).and_then(|versions| at_revision(versions, at))
    }

    /// Adds to `listing` what `range` holds at the listing's revision, looking at no more than `budget`
    /// keys. Gives what is left of the range.
    pub(super) fn list_chunk(
        &self,
        range: &Range,
        options: &ListOptions,
        budget: usize,
        listing: &mut Listing,
    ) -> Option<Range> {
        let bounds = range.bounds()?;
        for (seen, (key, versions)) in self.keys.range::<[u8], _>(bounds).enumerate() {
            if seen == budget {
                return Some(range.clone().starting_at(key.clone()));
            }
            let Some(kv) = at_revision(versions, listing.revision) else { continue };
            listing.count += 1;
            if options.count_only {
                continue;
            }
            if options.limit > 0 && listing.kvs.len() == options.limit {
                listing.more = true;
                continue;
            }
            let mut kv = kv.clone();
            if options.keys_only {
                kv.value = Bytes::new();
            }
            listing.kvs.push(kv);
        }
        None
    }

    /// Carries out a transaction on the newest state, visible or not. After an error nothing was changed.
    pub(super) fn apply(&mut self, txn: &Txn) -> Result<Applied, StoreError> {
        self.check(txn)?;
        self.apply_unlimited(txn)
    }

    /// [`State::apply`] without the limits that are there for callers.
    pub(super) fn apply_unlimited(&mut self, txn: &Txn) -> Result<Applied, StoreError> {
        self.open()?;
        let holds = txn.compares.iter().all(|c| c.holds(self.get(&c.key, self.newest)));
        let succeeded = holds || mutant("skip-compare");
        let ops = if succeeded { &txn.success } else { &txn.failure };
        // etcd looks at the puts first, then at the reads.
        for op in ops {
            if let Op::Put { lease, .. } = op
                && *lease != 0
                && !self.leases.contains(*lease)
            {
                return Err(StoreError::LeaseNotFound { id: *lease });
            }
        }
        for op in ops {
            if let Op::Get { options, .. } = op {
                self.readable_within(options.at)?;
            }
        }
        let reused = mutant("reuse-a-revision") && ops.iter().all(|op| matches!(op, Op::Delete { .. }));
        let revision = self.newest + i64::from(!reused);
        let mut events = Vec::new();
        let mut results = Vec::with_capacity(ops.len());
        for op in ops {
            results.push(match op {
                Op::Put { key, value, lease } => {
                    OpResult::Put { prev: self.put(key, value, *lease, revision, &mut events) }
                }
                Op::Delete { range } => OpResult::Delete { prev: self.delete(range, revision, &mut events) },
                Op::Get { range, options } => {
                    let now = if events.is_empty() { self.newest } else { revision };
                    let at = options.at.filter(|at| *at > 0).unwrap_or(now);
                    let mut listing = Listing { revision: at, ..Listing::default() };
                    self.list_chunk(range, options, usize::MAX, &mut listing);
                    OpResult::Get(listing)
                }
            });
        }
        let changes = (!events.is_empty()).then(|| Batch::changes(revision, events));
        if changes.is_some() {
            self.newest = revision;
        }
        Ok(Applied { result: TxnResult { revision: self.newest, succeeded, results }, changes })
    }

    fn readable_within(&self, at: Option<Revision>) -> Result<(), StoreError> {
        match at.unwrap_or(0) {
            at if at > self.newest => Err(StoreError::FutureRevision { requested: at, current: self.newest }),
            at if at > 0 && at < self.oldest => {
                Err(StoreError::Compacted { requested: at, oldest: self.oldest })
            }
            _ => Ok(()),
        }
    }

    /// The rules that need no state: etcd checks both branches before it decides for one.
    fn check(&self, txn: &Txn) -> Result<(), StoreError> {
        if txn.compares.iter().any(|c| c.key.is_empty()) {
            return Err(StoreError::EmptyKey);
        }
        let mut bytes: usize = txn.compares.iter().map(|c| c.key.len()).sum();
        for branch in [&txn.success, &txn.failure] {
            let ops = branch.len().max(txn.compares.len());
            if ops > self.limits.txn_ops {
                return Err(StoreError::TooManyOps { ops, limit: self.limits.txn_ops });
            }
            let mut puts: BTreeSet<Bytes> = BTreeSet::new();
            for op in branch {
                if let Op::Put { key, value, .. } = op {
                    bytes += key.len() + value.len();
                    if key.is_empty() {
                        return Err(StoreError::EmptyKey);
                    }
                    if !puts.insert(key.clone()) {
                        return Err(StoreError::DuplicateKey { key: key.clone() });
                    }
                }
            }
            for op in branch {
                if let Op::Delete { range } = op
                    && let Some(bounds) = range.bounds()
                    && let Some(key) = puts.range::<[u8], _>(bounds).next()
                {
                    return Err(StoreError::DuplicateKey { key: key.clone() });
                }
            }
        }
        if bytes > self.limits.request_bytes {
            return Err(StoreError::TooLarge { bytes, limit: self.limits.request_bytes });
        }
        Ok(())
    }

    fn put(
        &mut self,
        key: &Bytes,
        value: &Bytes,
        lease: i64,
        revision: Revision,
        events: &mut Vec<Event>,
    ) -> Option<Kv> {
        // Most keys of a cluster are written once between two compactions.
        let versions = self.keys.entry(key.clone()).or_insert_with(|| Vec::with_capacity(1));
        let prev = versions.last().and_then(|v| v.kv.clone());
        let kv = Kv {
            // The key that is there already: one copy of it for all versions.
            key: prev.as_ref().map_or_else(|| key.clone(), |p| p.key.clone()),
            value: value.clone(),
            create_revision: prev.as_ref().map_or(revision, |p| p.create_revision),
            mod_revision: revision,
            version: prev.as_ref().map_or(0, |p| p.version) + 1,
            lease,
        };
        versions.push(Version { at: revision, kv: Some(kv.clone()) });
        events.push(Event { kind: EventKind::Put, kv, prev: prev.clone() });
        prev
    }

    fn delete(&mut self, range: &Range, revision: Revision, events: &mut Vec<Event>) -> Vec<Kv> {
        let Some(bounds) = range.bounds() else { return Vec::new() };
        let mut deleted = Vec::new();
        for versions in self.keys.range_mut::<[u8], _>(bounds).map(|(_, versions)| versions) {
            let Some(prev) = versions.last().and_then(|v| v.kv.clone()) else { continue };
            versions.push(Version { at: revision, kv: None });
            let kv = Kv { key: prev.key.clone(), mod_revision: revision, ..Kv::default() };
            events.push(Event { kind: EventKind::Delete, kv, prev: Some(prev.clone()) });
            deleted.push(prev);
        }
        deleted
    }

    /// What was applied becomes visible: to readers, to the log, to watchers.
    pub(super) fn publish(&mut self, batch: &Batch) {
        self.visible = batch.revision;
        self.leases.note(&batch.events);
        self.log.push_back(batch.clone());
        self.feeds.deliver(batch);
    }

    /// Takes back all that is not visible.
    pub(super) fn take_back<'a>(&mut self, batches: impl Iterator<Item = &'a Batch>) {
        for event in batches.flat_map(|batch| batch.events.iter()) {
            if let Some(versions) = self.keys.get_mut(&event.kv.key) {
                versions.retain(|v| v.at <= self.visible);
                if versions.is_empty() {
                    self.keys.remove(&event.kv.key);
                }
            }
        }
        self.newest = self.visible;
    }

    /// Forgets what only revisions before `at` need. Gives the forgotten batches, so that they can be
    /// freed outside the lock.
    pub(super) fn compact(&mut self, at: Revision) -> Result<Vec<Batch>, StoreError> {
        self.open()?;
        if at > self.visible {
            return Err(StoreError::FutureRevision { requested: at, current: self.visible });
        }
        if at <= self.oldest {
            return Err(StoreError::Compacted { requested: at, oldest: self.oldest });
        }
        self.oldest = at;
        self.oldest_event = self.oldest_event.max(at);
        // A version is superseded by a later one of the log, so only keys of the log up to `at` have any.
        let superseding = self.log.iter().take_while(|batch| batch.revision <= at);
        let keys: BTreeSet<Bytes> =
            superseding.flat_map(|batch| batch.events.iter()).map(|event| event.kv.key.clone()).collect();
        for key in keys {
            let Some(versions) = self.keys.get_mut(&key) else { continue };
            let last = versions.iter().rposition(|v| v.at <= at).unwrap_or(0);
            versions.drain(..last);
            if versions.first().is_some_and(|v| v.kv.is_none() && v.at <= at) {
                versions.remove(0);
            }
            if versions.is_empty() {
                self.keys.remove(&key);
            }
        }
        let forgotten = self.log.iter().take_while(|batch| batch.revision < at).count();
        Ok(self.log.drain(..forgotten).collect())
    }

    /// Up to `budget` batches of the log from `from` on.
    ///
    /// # Errors
    /// They are no longer there.
    pub(super) fn log_from(
        &self,
        from: Revision,
        budget: usize,
    ) -> Result<impl Iterator<Item = &Batch>, StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        if from < self.oldest_event {
            return Err(StoreError::Compacted { requested: from, oldest: self.oldest_event });
        }
        let first = self.log.front().map_or(self.visible + 1, |batch| batch.revision);
        let skip = usize::try_from(from - first).unwrap_or(0);
        Ok(self.log.iter().skip(skip).take(budget))
    }
}
