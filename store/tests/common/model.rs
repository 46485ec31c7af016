//! The reference: a store so simple that it is obviously right, and random operations to compare with.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use proptest::prelude::*;
use store::{
    Batch, Compare, Event, EventKind, Kv, ListOptions, Listing, Op, OpResult, Range, Relation, Store,
    StoreError, Target, Txn, TxnResult, Watch, WatchOptions,
};

/// One random step. Revisions are relative: so far back from the present one.
#[derive(Clone, Debug)]
pub enum Step {
    Txn { compares: Vec<(u8, u8, u8, i64)>, success: Vec<Change>, failure: Vec<Change> },
    Get { key: u8, back: i64 },
    List { range: Span, back: i64, limit: usize, keys_only: bool, count_only: bool },
    Watch { range: Span, back: i64 },
    Compact { back: i64 },
    Grant { id: i64 },
    Revoke { id: i64 },
    Restart,
}

#[derive(Clone, Debug)]
pub enum Change {
    Put { key: u8, value: u8, lease: i64 },
    Delete(Span),
    Get { range: Span, back: i64, limit: usize },
}

#[derive(Clone, Debug)]
pub enum Span {
    Key(u8),
    Between(u8, u8),
    Prefix,
    All,
}

fn key(n: u8) -> Bytes {
    format!("/k/{n}").into()
}

impl Span {
    fn range(&self) -> Range {
        match self {
            Self::Key(n) => Range::key(key(*n)),
            Self::Between(a, b) => Range::between(key(*a), key(*b)),
            Self::Prefix => Range::prefix("/k/"),
            Self::All => Range::all(),
        }
    }
}

fn spans() -> impl Strategy<Value = Span> {
    prop_oneof![
        3 => (0..6_u8).prop_map(Span::Key),
        2 => (0..6_u8, 0..6_u8).prop_map(|(a, b)| Span::Between(a, b)),
        1 => Just(Span::Prefix),
        1 => Just(Span::All),
    ]
}

fn changes() -> impl Strategy<Value = Change> {
    // Mostly no lease; one of three, of which some exist.
    let lease = prop_oneof![4 => Just(0_i64), 1 => 101..104_i64];
    prop_oneof![
        5 => (0..6_u8, any::<u8>(), lease).prop_map(|(key, value, lease)| Change::Put { key, value, lease }),
        2 => spans().prop_map(Change::Delete),
        1 => (spans(), -1..4_i64, 0..3_usize).prop_map(|(range, back, limit)| Change::Get { range, back, limit }),
    ]
}

/// Steps of a story. `restarts`: with restarts among them.
pub fn stories(restarts: bool, longest: usize) -> impl Strategy<Value = Vec<Step>> {
    let compares = prop::collection::vec((0..6_u8, 0..5_u8, 0..4_u8, 0..6_i64), 0..3);
    let branch = || prop::collection::vec(changes(), 0..4);
    let step = prop_oneof![
        10 => (compares, branch(), branch()).prop_map(|(compares, success, failure)| Step::Txn { compares, success, failure }),
        3 => (0..6_u8, -1..12_i64).prop_map(|(key, back)| Step::Get { key, back }),
        4 => (spans(), -1..12_i64, 0..4_usize, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(range, back, limit, keys_only, count_only)| Step::List { range, back, limit, keys_only, count_only }),
        3 => (spans(), 0..12_i64).prop_map(|(range, back)| Step::Watch { range, back }),
        1 => (-1..10_i64).prop_map(|back| Step::Compact { back }),
        1 => (101..104_i64).prop_map(|id| Step::Grant { id }),
        1 => (101..104_i64).prop_map(|id| Step::Revoke { id }),
        if restarts { 1 } else { 0 } => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..longest)
}

/// What a step showed. Errors by their words, because a remote etcd tells no numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    Txn(TxnResult),
    Got(Option<Kv>, i64),
    Listed(Listing),
    Watched(Vec<Batch>),
    Done,
    Refused(String),
}

fn shown<T>(result: Result<T, StoreError>, show: impl FnOnce(T) -> Shown) -> Shown {
    result.map_or_else(|e| Shown::Refused(e.to_string()), show)
}

/// The oldest revision to read and to watch from, where nothing but the present state is known.
fn past_of(revision: i64) -> (i64, i64) {
    if revision == 1 { (0, 0) } else { (revision, revision + 1) }
}

/// The reference store.
pub struct Model {
    revision: i64,
    oldest: i64,
    oldest_event: i64,
    /// Every revision's whole state.
    states: BTreeMap<i64, BTreeMap<Bytes, Kv>>,
    log: Vec<Batch>,
    leases: BTreeSet<i64>,
}

impl Model {
    /// An empty store at `revision`, whose past is unknown if it has one.
    pub fn at(revision: i64) -> Self {
        let (oldest, oldest_event) = past_of(revision);
        let states = BTreeMap::from([(0, BTreeMap::new()), (revision, BTreeMap::new())]);
        Self { revision, oldest, oldest_event, states, log: Vec::new(), leases: BTreeSet::new() }
    }

    fn state(&self, at: i64) -> &BTreeMap<Bytes, Kv> {
        self.states.range(..=at).next_back().unwrap().1
    }

    fn check(&self, at: i64) -> Result<i64, StoreError> {
        match at {
            at if at <= 0 => Ok(self.revision),
            at if at > self.revision => Err(StoreError::FutureRevision { requested: at, current: 0 }),
            at if at < self.oldest => Err(StoreError::Compacted { requested: at, oldest: 0 }),
            at => Ok(at),
        }
    }

    fn back(&self, back: i64) -> i64 {
        (self.revision - back).max(1)
    }

    fn list(
        &self,
        state: &BTreeMap<Bytes, Kv>,
        range: &Range,
        options: &ListOptions,
        revision: i64,
    ) -> Listing {
        let all: Vec<Kv> = state.values().filter(|kv| range.contains(&kv.key)).cloned().collect();
        let count = all.len();
        let limit = if options.limit == 0 { usize::MAX } else { options.limit };
        let mut kvs: Vec<Kv> =
            if options.count_only { Vec::new() } else { all.into_iter().take(limit).collect() };
        if options.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value = Bytes::new());
        }
        let more = !options.count_only && count > limit;
        Listing { kvs, more, count, revision }
    }

    fn compare(&self, (key_n, target, relation, number): &(u8, u8, u8, i64)) -> Compare {
        let target = match target {
            // So that equality happens: the revision that the key really has, or near it.
            0 | 1 => {
                let kv = self.state(self.revision).get(&key(*key_n));
                Target::ModRevision(kv.map_or(0, |kv| kv.mod_revision) + i64::from(*number == 5))
            }
            2 => Target::Version(*number),
            3 => Target::Value(vec![*number as u8].into()),
            _ => Target::CreateRevision(*number),
        };
        let relation = match relation {
            0 | 1 => Relation::Equal,
            2 => Relation::Greater,
            _ => Relation::NotEqual,
        };
        Compare { key: key(*key_n), target, relation }
    }

    fn op(&self, change: &Change) -> Op {
        match change {
            Change::Put { key: n, value, lease } => {
                Op::Put { key: key(*n), value: vec![*value].into(), lease: *lease }
            }
            // etcd overlooks that a deletion without an end overlaps a put; nobody needs to agree with it.
            Change::Delete(Span::All) => Op::Delete { range: Span::Prefix.range() },
            Change::Delete(span) => Op::Delete { range: span.range() },
            Change::Get { range, back, limit } => {
                let at = (*back != 0).then(|| self.back(*back));
                Op::Get {
                    range: range.range(),
                    options: ListOptions { at, limit: *limit, ..Default::default() },
                }
            }
        }
    }

    fn txn(&mut self, txn: &Txn) -> Result<TxnResult, StoreError> {
        for branch in [&txn.success, &txn.failure] {
            let mut puts = BTreeSet::new();
            for op in branch {
                if let Op::Put { key, .. } = op
                    && !puts.insert(key.clone())
                {
                    return Err(StoreError::DuplicateKey { key: key.clone() });
                }
            }
            for op in branch {
                if let Op::Delete { range } = op
                    && let Some(key) = puts.iter().find(|key| range.contains(key))
                {
                    return Err(StoreError::DuplicateKey { key: key.clone() });
                }
            }
        }
        let mut state = self.state(self.revision).clone();
        let succeeded = txn.compares.iter().all(|c| c.holds(state.get(&c.key)));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        for op in ops {
            if let Op::Put { lease, .. } = op
                && *lease != 0
                && !self.leases.contains(lease)
            {
                return Err(StoreError::LeaseNotFound { id: *lease });
            }
        }
        for op in ops {
            if let Op::Get { options, .. } = op {
                self.check(options.at.unwrap_or(0))?;
            }
        }
        let next = self.revision + 1;
        let mut events = Vec::new();
        let mut results = Vec::new();
        for op in ops {
            results.push(match op {
                Op::Put { key, value, lease } => {
                    let prev = state.get(key).cloned();
                    let kv = Kv {
                        key: key.clone(),
                        value: value.clone(),
                        create_revision: prev.as_ref().map_or(next, |p| p.create_revision),
                        mod_revision: next,
                        version: prev.as_ref().map_or(1, |p| p.version + 1),
                        lease: *lease,
                    };
                    state.insert(key.clone(), kv.clone());
                    events.push(Event { kind: EventKind::Put, kv, prev: prev.clone() });
                    OpResult::Put { prev }
                }
                Op::Delete { range } => {
                    let prev: Vec<Kv> =
                        state.values().filter(|kv| range.contains(&kv.key)).cloned().collect();
                    for gone in &prev {
                        state.remove(&gone.key);
                        let kv = Kv { key: gone.key.clone(), mod_revision: next, ..Kv::default() };
                        events.push(Event { kind: EventKind::Delete, kv, prev: Some(gone.clone()) });
                    }
                    OpResult::Delete { prev }
                }
                Op::Get { range, options } => OpResult::Get(match options.at {
                    Some(at) => self.list(self.state(at), range, options, at),
                    None => self.list(
                        &state,
                        range,
                        options,
                        if events.is_empty() { self.revision } else { next },
                    ),
                }),
            });
        }
        if !events.is_empty() {
            self.revision = next;
            self.states.insert(next, state);
            self.log.push(Batch::changes(next, events));
        }
        // Over the wire a read's revision is that of its transaction.
        for result in &mut results {
            if let OpResult::Get(listing) = result
                && listing.revision >= self.revision - 1
            {
                listing.revision = self.revision;
            }
        }
        Ok(TxnResult { revision: self.revision, succeeded, results })
    }

    fn revoke(&mut self, id: i64) -> Result<TxnResult, StoreError> {
        if !self.leases.remove(&id) {
            return Err(StoreError::LeaseNotFound { id });
        }
        let held = self.state(self.revision).values().filter(|kv| kv.lease == id);
        let ops = held.map(|kv| Op::delete(kv.key.clone())).collect();
        self.txn(&Txn::unconditional(ops))
    }

    fn compact(&mut self, at: i64) -> Result<(), StoreError> {
        if at > self.revision {
            return Err(StoreError::FutureRevision { requested: at, current: 0 });
        }
        if at <= self.oldest {
            return Err(StoreError::Compacted { requested: at, oldest: 0 });
        }
        self.oldest = at;
        self.oldest_event = self.oldest_event.max(at);
        Ok(())
    }

    fn watch(&self, range: &Range, from: i64) -> Result<Vec<Batch>, StoreError> {
        if from < self.oldest_event {
            return Err(StoreError::Compacted { requested: from, oldest: 0 });
        }
        let parts = self.log.iter().filter(|batch| batch.revision >= from).map(|batch| {
            let events = batch.events.iter().filter(|e| range.contains(&e.kv.key)).cloned();
            Batch::changes(batch.revision, events.collect::<Vec<_>>())
        });
        Ok(parts.filter(|batch| !batch.events.is_empty()).collect())
    }

    fn restart(&mut self) {
        (self.oldest, self.oldest_event) = past_of(self.revision);
    }
}

/// The differences between stores that are none of the contract.
#[derive(Clone, Copy, Default)]
pub struct Leniency {
    /// Real etcd 3.4 may lose a deletion made by the very transaction that was compacted to.
    pub watch_after_compaction_only: bool,
    /// etcd forgets previous values with the compaction.
    pub forgets_prev: bool,
    /// etcd before 3.4.25 marks progress for watches that have not caught up: what was watched is known to
    /// be complete by one more write instead.
    pub no_marks: bool,
}

/// Takes one step on both, and compares.
pub async fn compare(model: &mut Model, store: &dyn Store, step: &Step, lenient: Leniency) {
    let (expected, got) = match step {
        Step::Restart => {
            model.restart();
            (Shown::Done, Shown::Done)
        }
        Step::Txn { compares, success, failure } => {
            let txn = Txn {
                compares: compares.iter().map(|c| model.compare(c)).collect(),
                success: success.iter().map(|c| model.op(c)).collect(),
                failure: failure.iter().map(|c| model.op(c)).collect(),
            };
            let mut got = store.txn(txn.clone()).await;
            if let Ok(done) = &mut got {
                for result in &mut done.results {
                    if let OpResult::Get(listing) = result
                        && listing.revision >= done.revision - 1
                    {
                        listing.revision = done.revision;
                    }
                }
            }
            (shown(model.txn(&txn), Shown::Txn), shown(got, Shown::Txn))
        }
        Step::Get { key: n, back } => {
            let at = (*back != 0).then(|| model.back(*back));
            let expected = model
                .check(at.unwrap_or(0))
                .map(|at| (model.state(at).get(&key(*n)).cloned(), model.revision));
            let got = store.get(&key(*n), at).await;
            (shown(expected, |(kv, r)| Shown::Got(kv, r)), shown(got, |(kv, r)| Shown::Got(kv, r)))
        }
        Step::List { range, back, limit, keys_only, count_only } => {
            let at = (*back != 0).then(|| model.back(*back));
            let options = ListOptions { at, limit: *limit, keys_only: *keys_only, count_only: *count_only };
            let expected = model
                .check(at.unwrap_or(0))
                .map(|at| model.list(model.state(at), &range.range(), &options, at));
            (shown(expected, Shown::Listed), shown(store.list(range.range(), options).await, Shown::Listed))
        }
        Step::Watch { range, back } => {
            // etcd refuses to watch an interval that is upside down; nobody needs to agree with it.
            let range = Some(range.range()).filter(|range| !range.is_empty()).unwrap_or_else(Range::all);
            let mut from = model.back(*back);
            if lenient.watch_after_compaction_only && from == model.oldest {
                from += 1;
            }
            let mut to = model.revision;
            let watching = store.watch(range.clone(), from, WatchOptions::default()).await;
            if lenient.no_marks {
                let start = if range == Range::all() { key(0) } else { range.start().clone() };
                let last = Txn::unconditional(vec![Op::put(start, "last")]);
                to = model.txn(&last).unwrap().revision;
                store.txn(last).await.unwrap();
            }
            let mut got = match watching {
                Ok(watch) => read(watch, to, lenient).await,
                Err(e) => Err(e),
            };
            let mut expected = model.watch(&range, from);
            if lenient.forgets_prev {
                for batches in [&mut got, &mut expected].into_iter().flatten() {
                    for batch in batches.iter_mut().filter(|batch| batch.revision <= model.oldest) {
                        batch.events =
                            batch.events.iter().map(|e| Event { prev: None, ..e.clone() }).collect();
                    }
                }
            }
            (shown(expected, Shown::Watched), shown(got, Shown::Watched))
        }
        Step::Compact { back } => {
            let at = model.back(*back);
            (shown(model.compact(at), |()| Shown::Done), shown(store.compact(at).await, |()| Shown::Done))
        }
        Step::Grant { id } => {
            let expected =
                if model.leases.insert(*id) { Ok(()) } else { Err(StoreError::LeaseExists { id: *id }) };
            let got = store.lease_grant(*id, Duration::from_secs(3600)).await;
            (shown(expected, |()| Shown::Done), shown(got, |_| Shown::Done))
        }
        Step::Revoke { id } => {
            let (expected, got) = (model.revoke(*id), store.lease_revoke(*id).await);
            (shown(expected, |done| Shown::Got(None, done.revision)), shown(got, |r| Shown::Got(None, r)))
        }
    };
    assert_eq!(got, expected, "{step:?} at revision {}", model.revision);
}

/// What a watch delivers up to revision `to`.
async fn read(mut watch: Watch, to: i64, lenient: Leniency) -> Result<Vec<Batch>, StoreError> {
    if !lenient.no_marks {
        watch.request_progress();
    }
    let mut seen = Vec::new();
    while let Some(item) = watch.next().await {
        let batch = item?;
        let last = batch.revision >= to && (batch.progress || lenient.no_marks);
        if !batch.progress {
            seen.push(batch);
        }
        if last {
            break;
        }
    }
    Ok(seen)
}
