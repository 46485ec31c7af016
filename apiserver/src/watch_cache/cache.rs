//! One resource's current state, its recent history, and who watches it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use api::status::Status;
use bytes::Bytes;
use tokio::sync::mpsc;
use world::Mono;

use super::{
    change::{Change, Filter},
    item::Item,
    watchers::Watchers,
};
use crate::catalog::Served;

/// How many events a watcher may be behind (upstream: 10 to 1000, by resource).
pub(super) const WATCHER_BUFFER: usize = 1000;
/// Bounds of the history.
const LEAST_EVENTS: usize = 100;
const MOST_EVENTS: usize = 102_400;
/// So many of the newest events are kept ready for watchers; older ones are made anew for who resumes there.
const CLOSE: usize = 64;
/// Events younger than this are kept, space permitting.
const FRESH: Duration = Duration::from_secs(75);

/// See the module.
pub(super) struct Cache {
    /// How the objects are shown.
    served: Arc<Served>,
    items: BTreeMap<String, Arc<Item>>,
    history: VecDeque<Arc<Change>>,
    capacity: usize,
    /// Events up to here are not in the history.
    floor: i64,
    watchers: Watchers,
}

/// A delivery that a full buffer held up.
pub(super) struct Delayed {
    pub sender: mpsc::Sender<Arc<Change>>,
    pub change: Arc<Change>,
}

/// A view on a resource from one moment on.
pub struct Subscription {
    /// The state at `revision`, when asked for.
    pub initial: Vec<Arc<Item>>,
    /// Events between the asked revision and the subscription.
    pub missed: Vec<Arc<Change>>,
    /// The revision that the subscription starts at.
    pub revision: i64,
    /// Live events; closed when the watcher is too slow or the cache starts over.
    pub live: mpsc::Receiver<Arc<Change>>,
}

impl Cache {
    pub(super) fn new(served: Arc<Served>) -> Self {
        Self {
            served,
            items: BTreeMap::new(),
            history: VecDeque::new(),
            capacity: LEAST_EVENTS,
            floor: 0,
            watchers: Watchers::default(),
        }
    }

    fn item(&self, key: &str, revision: i64, raw: Bytes) -> Arc<Item> {
        Arc::new(Item::stored(key.to_owned(), revision, raw, self.served.clone()))
    }

    /// So many hear nothing of what comes now; how many there were.
    pub(super) fn end_watches(&mut self, most: usize) -> usize {
        self.watchers.end(most)
    }

    /// Starts over from a listing at `revision`; all watchers end.
    pub(super) fn reset(&mut self, revision: i64) {
        self.items.clear();
        self.history.clear();
        self.watchers = Watchers::default();
        self.floor = revision;
    }

    pub(super) fn load(&mut self, key: &str, revision: i64, raw: Bytes) {
        let item = self.item(key, revision, raw);
        self.items.insert(key.to_owned(), item);
    }

    /// Takes one event of the store (`raw` absent: deleted) and passes it on.
    pub(super) fn apply(
        &mut self,
        key: &str,
        revision: i64,
        raw: Option<Bytes>,
        now: Mono,
        delayed: &mut Vec<Delayed>,
    ) {
        let new = raw.map(|raw| self.item(key, revision, raw));
        let old = match &new {
            Some(item) => self.items.insert(key.to_owned(), item.clone()),
            None => self.items.remove(key),
        };
        if new.is_none() && old.is_none() {
            return;
        }
        let change = Arc::new(Change::new(revision, now, old, new));
        self.remember(change.clone(), now);
        self.watchers.tell(key, &change, delayed);
    }

    fn remember(&mut self, change: Arc<Change>, now: Mono) {
        if self.history.len() >= self.capacity {
            let fresh = self.history.front().is_some_and(|oldest| now.since(oldest.seen) < FRESH);
            if fresh && self.capacity < MOST_EVENTS {
                self.capacity *= 2;
            } else {
                let quarter = self.history.len() * 3 / 4;
                let old = self.history.get(quarter).is_some_and(|newer| now.since(newer.seen) > FRESH);
                if old && self.capacity > LEAST_EVENTS {
                    self.capacity /= 2;
                }
                while self.history.len() >= self.capacity {
                    if let Some(dropped) = self.history.pop_front() {
                        self.floor = dropped.revision;
                    }
                }
            }
        }
        self.history.push_back(change);
        if let Some(passed) = self.history.len().checked_sub(CLOSE).and_then(|at| self.history.get(at)) {
            passed.settle();
        }
    }

    /// Drops the watcher behind `sender`: it cannot keep up.
    pub(super) fn drop_watcher(&mut self, sender: &mpsc::Sender<Arc<Change>>) {
        self.watchers.remove(sender);
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Item>> {
        self.items.get(key).cloned()
    }

    /// The items that may be in the filter's view, in key order: one if it names an object, else all of
    /// its namespace.
    pub(super) fn select(&self, filter: &Filter) -> Vec<Arc<Item>> {
        match filter.key(self.served.namespaced) {
            Some(key) => self.items.get(&key).cloned().into_iter().collect(),
            None => self.list(&filter.namespace),
        }
    }

    /// All items of a namespace (empty: of all), in key order.
    pub(super) fn list(&self, namespace: &str) -> Vec<Arc<Item>> {
        if namespace.is_empty() {
            return self.items.values().cloned().collect();
        }
        let start = format!("{namespace}/");
        let in_namespace = self.items.range(start.clone()..).take_while(|(key, _)| key.starts_with(&start));
        in_namespace.map(|(_, item)| item.clone()).collect()
    }

    /// Subscribes a watcher to what comes after `from`; `None` starts with the state.
    pub(super) fn subscribe(
        &mut self,
        filter: &Filter,
        from: Option<i64>,
        revision: i64,
    ) -> Result<Subscription, Status> {
        let mut subscription_start = revision;
        let (initial, missed) = match from {
            None => (self.select(filter), Vec::new()),
            Some(from) if from < self.floor => {
                return Err(Status::too_old(from.unsigned_abs(), self.floor.unsigned_abs()));
            }
            Some(from) => {
                subscription_start = subscription_start.max(from);
                let first = self.history.partition_point(|change| change.revision <= from);
                (Vec::new(), self.history.range(first..).cloned().collect())
            }
        };
        let (sender, live) = mpsc::channel(WATCHER_BUFFER);
        self.watchers.add(filter, self.served.namespaced, subscription_start, sender);
        Ok(Subscription { initial, missed, revision: subscription_start, live })
    }
}
