//! Many clients at once on one store: what each was told is recorded, and must fit together.
//!
//! Key by key there must be one order of all operations (`linear`). Revisions must be that order: they grow with
//! real time, are nobody else's, and a watch tells the same story, in which each read stands at its revision.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use store::{Batch, EventKind, Kv, Op, OpResult, Outcome, Range, Store, Txn, Watch, WatchOptions};
use world::{Entropy, Host};

use crate::{
    engines::Bench,
    linear::{self, Action, Operation, Value},
};

const CLIENTS: usize = 6;
const KEYS: u64 = 4;
const OPERATIONS: usize = 40;
const PREFIX: &str = "/h/";

fn key(n: u64) -> Bytes {
    format!("{PREFIX}{n}").into()
}

fn number(kv: Option<&Kv>) -> Value {
    kv.map_or(0, |kv| std::str::from_utf8(&kv.value).unwrap().parse().unwrap())
}

/// An operation with what it told beyond its own key.
#[derive(Clone, Debug)]
struct Noted {
    key: u64,
    op: Operation,
    /// Of a write: its own. Of a read or a refusal: that at which the store was seen.
    revision: Option<i64>,
}

#[derive(Clone)]
struct Client {
    number: usize,
    host: Host,
    entropy: Entropy,
    /// Changes when the store is restarted.
    store: Arc<Mutex<Arc<dyn Store>>>,
    count: Arc<AtomicU64>,
    noted: Vec<Noted>,
}

impl Client {
    fn tick(&self) -> u64 {
        self.count.fetch_add(1, Ordering::SeqCst)
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.lock().clone()
    }

    fn note(&mut self, key: u64, called: u64, returned: Option<u64>, action: Action, revision: Option<i64>) {
        let op = Operation { client: self.number, called, returned, action };
        self.noted.push(Noted { key, op, revision });
    }

    async fn work(mut self) -> Vec<Noted> {
        // What was last read of each key: value and revision.
        let mut known = BTreeMap::new();
        for n in 0..OPERATIONS {
            let (at, value) = (self.entropy.below(KEYS), (self.number * OPERATIONS + n + 1) as Value);
            let done = match self.entropy.below(100) {
                0..25 => self.read(at, &mut known).await,
                25..40 => self.list(&mut known).await,
                40..60 => self.write(at, value).await,
                60..93 => self.swap(at, value, known.get(&at).copied().unwrap_or_default()).await,
                _ => self.swap(at, 0, known.get(&at).copied().unwrap_or_default()).await,
            };
            if done.is_none() {
                // The store is away: who asks again at once only fills the history.
                self.host.clock().sleep(Duration::from_millis(20)).await;
            }
        }
        self.noted
    }

    async fn read(&mut self, at: u64, known: &mut BTreeMap<u64, (Value, i64)>) -> Option<()> {
        let called = self.tick();
        let (kv, revision) = self.store().get(&key(at), None).await.ok()?;
        let (returned, found) = (self.tick(), number(kv.as_ref()));
        known.insert(at, (found, kv.map_or(0, |kv| kv.mod_revision)));
        self.note(at, called, Some(returned), Action::Read { found }, Some(revision));
        Some(())
    }

    /// A read of all keys at once.
    async fn list(&mut self, known: &mut BTreeMap<u64, (Value, i64)>) -> Option<()> {
        let called = self.tick();
        let listing = self.store().list(Range::prefix(PREFIX), Default::default()).await.ok()?;
        let returned = self.tick();
        for at in 0..KEYS {
            let kv = listing.kvs.iter().find(|kv| kv.key == key(at));
            let found = number(kv);
            known.insert(at, (found, kv.map_or(0, |kv| kv.mod_revision)));
            self.note(at, called, Some(returned), Action::Read { found }, Some(listing.revision));
        }
        Some(())
    }

    async fn write(&mut self, at: u64, value: Value) -> Option<()> {
        let called = self.tick();
        let done = self.store().put(key(at), value.to_string().into()).await.ok();
        let returned = done.map(|_| self.tick());
        self.note(at, called, returned, Action::Write { value }, done);
        done.map(drop)
    }

    /// A deletion if the value is 0.
    async fn swap(&mut self, at: u64, value: Value, (expected, revision): (Value, i64)) -> Option<()> {
        if (expected, value) == (0, 0) {
            return self.read(at, &mut BTreeMap::new()).await;
        }
        let called = self.tick();
        let store = self.store();
        let done = match value {
            0 => store.delete_if(key(at), revision).await,
            _ => store.put_if(key(at), value.to_string().into(), revision, 0).await,
        };
        let returned = done.is_ok().then(|| self.tick());
        let (refused_by, revision) = match &done {
            Ok(Outcome::Committed(revision)) => (None, Some(*revision)),
            Ok(Outcome::Conflict(found)) => (Some(number(found.as_ref())), None),
            Err(_) => (None, None),
        };
        self.note(at, called, returned, Action::Swap { expected, value, refused_by }, revision);
        done.ok().map(drop)
    }
}

/// Records a history and judges it; gives how many operations it holds. `restart`: the store is killed in the middle.
pub async fn history(bench: &mut Bench<'_>, seed: u64, restart: bool) -> usize {
    let range = Range::prefix(PREFIX);
    bench.store.delete(range.clone()).await.unwrap();
    let options = WatchOptions { buffer: 100_000, ..WatchOptions::default() };
    let from = bench.store.revision().await.unwrap() + 1;
    let watch = bench.store.watch(range, from, options).await.unwrap();
    let store = Arc::new(Mutex::new(bench.store.clone()));
    let count = Arc::new(AtomicU64::new(1));
    let clients = (0..CLIENTS).map(|number| Client {
        number,
        host: bench.host.clone(),
        entropy: Entropy::seeded(seed, &format!("client {number}")),
        store: store.clone(),
        count: count.clone(),
        noted: Vec::new(),
    });
    let tasks: Vec<_> = clients.map(|client| bench.host.spawn(client.work())).collect();
    if restart {
        let half = (CLIENTS * OPERATIONS) as u64;
        let clock = bench.host.clock().clone();
        while count.load(Ordering::SeqCst) < half && !tasks.iter().all(world::Task::is_finished) {
            clock.sleep(Duration::from_micros(200)).await;
        }
        bench.kill().await;
        *store.lock() = bench.store.clone();
        bench.start().await;
        *store.lock() = bench.store.clone();
    }
    let mut noted = Vec::new();
    for task in tasks {
        noted.extend(task.join().await.expect("no client gives up"));
    }
    // What nobody heard of must not come to light later: all is read once more.
    let store = bench.store.clone();
    let last = last_look(&*store, &count, &mut noted).await;

    each_key_has_one_order(&noted);
    revisions_are_that_order(&noted);
    if !restart || bench.engine.keeps_history() {
        let told = bench.soon("the watch's last event", read(watch, last)).await;
        the_watch_tells_the_same(&noted, &told);
    }
    noted.len()
}

/// Reads all keys, and writes one for the watch to end at; gives that revision.
async fn last_look(store: &dyn Store, count: &AtomicU64, noted: &mut Vec<Noted>) -> i64 {
    let called = count.fetch_add(1, Ordering::SeqCst);
    let ops = (0..KEYS).map(|n| Op::get(key(n))).chain([Op::put(format!("{PREFIX}last"), "0")]);
    let done = store.txn(Txn::unconditional(ops.collect())).await.unwrap();
    for (at, result) in (0..KEYS).zip(&done.results) {
        let OpResult::Get(listing) = result else { panic!("{result:?}") };
        let action = Action::Read { found: number(listing.kvs.first()) };
        let returned = Some(count.fetch_add(1, Ordering::SeqCst));
        let op = Operation { client: CLIENTS, called, returned, action };
        noted.push(Noted { key: at, op, revision: Some(done.revision) });
    }
    done.revision
}

async fn read(mut watch: Watch, last: i64) -> Vec<Batch> {
    let mut told: Vec<Batch> = Vec::new();
    while told.last().is_none_or(|batch| batch.revision < last) {
        let batch = watch.next().await.expect("the watch goes on").expect("nothing was lost");
        if !batch.progress {
            told.push(batch);
        }
    }
    told
}

fn each_key_has_one_order(noted: &[Noted]) {
    for at in 0..KEYS {
        let ops: Vec<Operation> = noted.iter().filter(|n| n.key == at).map(|n| n.op).collect();
        if let Err(stuck) = linear::check(&ops) {
            let lines: Vec<String> = ops.iter().map(|op| format!("{op:?}")).collect();
            panic!("key {at} has no order of its operations: {stuck:?}\n{}", lines.join("\n"));
        }
    }
}

/// Whether the operation changed the key, as far as its client was told.
fn is_write(noted: &Noted) -> bool {
    match noted.op.action {
        Action::Read { .. } => false,
        Action::Write { .. } => noted.op.returned.is_some(),
        Action::Swap { refused_by, .. } => noted.op.returned.is_some() && refused_by.is_none(),
    }
}

fn revisions_are_that_order(noted: &[Noted]) {
    let mut writers = BTreeMap::new();
    for write in noted.iter().filter(|n| is_write(n)) {
        let revision = write.revision.expect("a write that was acknowledged has a revision");
        let other = writers.insert(revision, write);
        assert!(other.is_none(), "revision {revision} is two writers': {write:?} and {other:?}");
    }
    let mut by_return: Vec<&Noted> = noted.iter().filter(|n| n.op.returned.is_some()).collect();
    by_return.sort_by_key(|n| n.op.returned);
    let mut by_call = by_return.clone();
    by_call.sort_by_key(|n| n.op.called);
    let (mut returned, mut highest) = (by_return.into_iter().peekable(), 0);
    for later in by_call {
        while let Some(earlier) = returned.next_if(|n| n.op.returned < Some(later.op.called)) {
            highest = highest.max(earlier.revision.unwrap_or(0));
        }
        let Some(revision) = later.revision else { continue };
        let in_order = if is_write(later) { revision > highest } else { revision >= highest };
        assert!(in_order, "{later:?} began after revision {highest} was known");
    }
}

fn the_watch_tells_the_same(noted: &[Noted], told: &[Batch]) {
    assert!(told.is_sorted_by(|a, b| a.revision < b.revision), "a watch's revisions ascend");
    // Each key's values, by the revision from which on it has them.
    let mut values: BTreeMap<Bytes, BTreeMap<i64, Value>> = BTreeMap::new();
    for batch in told {
        for event in batch.events.iter() {
            let value = if event.kind == EventKind::Put { number(Some(&event.kv)) } else { 0 };
            values.entry(event.kv.key.clone()).or_default().insert(batch.revision, value);
        }
    }
    let nothing = BTreeMap::new();
    for n in noted.iter().filter(|n| n.op.returned.is_some()) {
        let (Some(revision), of_key) = (n.revision, values.get(&key(n.key)).unwrap_or(&nothing)) else {
            continue;
        };
        let then = of_key.range(..=revision).next_back();
        match n.op.action {
            Action::Read { found } => {
                assert_eq!(then.map_or(0, |(_, value)| *value), found, "as the watch tells it: {n:?}");
            }
            Action::Write { value } | Action::Swap { value, .. } => {
                assert_eq!(then, Some((&revision, &value)), "the watch tells each write: {n:?}");
            }
        }
    }
}
