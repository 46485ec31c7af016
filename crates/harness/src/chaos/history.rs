//! What was acknowledged to the load, and what everybody sees of it later.

use std::collections::BTreeMap;

use api::object::ObjectExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use world::{Host, Mono};

use super::invariants::{ACKNOWLEDGED, Judge, REVISIONS};

/// A write as it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    /// Name of the object.
    pub name: String,
    /// What tells this write from all others.
    pub stamp: String,
}

/// What was known when a request was sent.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    highest: u64,
    pub epoch: u64,
}

/// What is known of an object that is created and deleted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Present,
    Absent,
}

/// See the module.
///
/// A disk that lied, and lost its power, has lost what was acknowledged meanwhile: [`History::doubt`], [`History::lose`].
/// What is acknowledged counts then only as far as it was before the lie, and an epoch begins: an answer to a request of
/// an earlier one teaches nothing.
pub(super) struct History {
    judge: Judge,
    host: Host,
    state: Mutex<State>,
    /// As it was before the disk began to lie, while it does.
    before: Mutex<Option<State>>,
    /// When what was acknowledged may be lost: from when until when, in true time.
    doubts: Mutex<Vec<(Mono, Option<Mono>)>>,
    lost: Notify,
}

#[derive(Clone, Default)]
struct State {
    /// How often something acknowledged was lost.
    epoch: u64,
    /// The greatest resourceVersion that is safe from what was lost.
    floor: u64,
    /// The greatest resourceVersion that was acknowledged.
    highest: u64,
    /// By resourceVersion.
    acks: BTreeMap<u64, Ack>,
    /// Of each counter the values that were acknowledged, and at which resourceVersion.
    counters: BTreeMap<String, BTreeMap<u64, u64>>,
    /// Objects with one life, as they were acknowledged.
    items: BTreeMap<String, Known>,
}

/// The number in an object's resourceVersion; 0 if there is none.
pub(super) fn revision(object: &Value) -> u64 {
    object.resource_version().parse().unwrap_or(0)
}

/// The value of a counter.
pub(super) fn count(object: &Value) -> u64 {
    object.str_at("/data/n").parse().unwrap_or(0)
}

impl History {
    pub(super) fn new(judge: &Judge, host: &Host) -> Self {
        Self {
            judge: judge.clone(),
            host: host.clone(),
            state: Mutex::default(),
            before: Mutex::default(),
            doubts: Mutex::default(),
            lost: Notify::new(),
        }
    }

    /// From now on what is acknowledged may be lost.
    pub(super) fn doubt(&self) {
        let mut before = self.before.lock();
        if before.is_none() {
            *before = Some(self.state.lock().clone());
            self.doubts.lock().push((self.host.clock().monotonic(), None));
        }
    }

    /// The power of the store's host fails now: what is in doubt is lost.
    pub(super) fn lose(&self) {
        let mut before = self.before.lock();
        let Some(kept) = &mut *before else { return };
        {
            let mut state = self.state.lock();
            let lost = state.acks.len() - kept.acks.len();
            self.host.record("fault", vec![("lost", lost.to_string())]);
            kept.epoch = state.epoch + 1;
            kept.floor = kept.highest;
            // One of them that was changed meanwhile may be as it was, or not.
            let changed = |name: &String, known: &Known| state.items.get(name) != Some(known);
            kept.items.retain(|name, known| !changed(name, known));
            *state = kept.clone();
        }
        self.lost.notify_waiters();
    }

    /// The disk is honest again.
    pub(super) fn trust(&self) {
        if self.before.lock().take().is_some()
            && let Some((_, until)) = self.doubts.lock().last_mut()
        {
            *until = Some(self.host.clock().monotonic());
        }
    }

    /// Whether what was acknowledged then may be lost.
    pub(super) fn doubts(&self, at: Mono) -> bool {
        self.doubts.lock().iter().any(|(from, until)| at >= *from && until.is_none_or(|until| at <= until))
    }

    /// How often something acknowledged was lost.
    pub(super) fn epoch(&self) -> u64 {
        self.state.lock().epoch
    }

    /// Up to which resourceVersion nothing was lost the last time.
    pub(super) fn floor(&self) -> u64 {
        self.state.lock().floor
    }

    /// Waits until something acknowledged is lost that was not when `epoch` began.
    pub(super) async fn lost_since(&self, epoch: u64) {
        loop {
            let lost = self.lost.notified();
            tokio::pin!(lost);
            lost.as_mut().enable();
            if self.epoch() > epoch {
                return;
            }
            lost.await;
        }
    }

    /// Before a request is sent.
    pub(super) fn sent(&self) -> Sent {
        let state = self.state.lock();
        Sent { highest: state.highest, epoch: state.epoch }
    }

    /// Whether an answer to what was sent then says something of what is.
    fn counts(&self, sent: Sent) -> bool {
        sent.epoch == self.epoch()
    }

    /// A write came back as stored.
    pub(super) fn acknowledged(&self, sent: Sent, stored: &Value) {
        if !self.counts(sent) {
            return;
        }
        let (at, name, stamp) =
            (revision(stored), stored.name().to_owned(), stored.str_at("/data/by").to_owned());
        self.judge.check(REVISIONS, at > sent.highest, || {
            format!("{name} was written at {at}, but {} was acknowledged before that was sent", sent.highest)
        });
        let before = {
            let mut state = self.state.lock();
            state.highest = state.highest.max(at);
            state.acks.insert(at, Ack { name: name.clone(), stamp: stamp.clone() })
        };
        if let Some(other) = before {
            self.judge.violated(REVISIONS, format!("{at} is the revision of {name} and of {}", other.name));
        }
    }

    /// A counter was raised by one, to its value in `stored`.
    pub(super) fn counted(&self, sent: Sent, stored: &Value) {
        if !self.counts(sent) {
            return;
        }
        self.acknowledged(sent, stored);
        let (name, n, at) = (stored.name().to_owned(), count(stored), revision(stored));
        // Answers may arrive in another order than that in which they were given: neighbours are compared.
        let wrong = {
            let mut state = self.state.lock();
            let values = state.counters.entry(name.clone()).or_default();
            let before =
                values.range(..n).next_back().map(|(n, at)| (*n, *at)).filter(|(_, there)| *there >= at);
            let after =
                values.range(n + 1..).next().map(|(n, at)| (*n, *at)).filter(|(_, there)| *there <= at);
            let same = values.insert(n, at).map(|there| (n, there));
            same.or(before).or(after)
        };
        if let Some((other, there)) = wrong {
            let seen =
                format!("{name} was raised to {n} at {at}, and to {other} at {there}: an update is lost");
            self.judge.violated(ACKNOWLEDGED, seen);
        }
    }

    /// What is acknowledged of a counter.
    pub(super) fn counter(&self, name: &str) -> Option<u64> {
        self.state.lock().counters.get(name).and_then(|values| values.keys().next_back().copied())
    }

    /// A counter was read; `least` was acknowledged before that was sent.
    pub(super) fn read(&self, sent: Sent, name: &str, least: Option<u64>, seen: Option<&Value>) {
        let Some(least) = least.filter(|_| self.counts(sent)) else { return };
        let n = seen.map(count);
        self.judge.check(ACKNOWLEDGED, n.is_some_and(|n| n >= least), || {
            let seen = n.map_or("not there".to_owned(), |n| n.to_string());
            format!("{name} is {seen}, but {least} was acknowledged")
        });
    }

    /// A creation or deletion of an object with one life was acknowledged; `None`: it may have happened or not, and
    /// nothing is expected of that name any more.
    pub(super) fn item(&self, sent: Sent, name: &str, known: Option<Known>) {
        let mut state = self.state.lock();
        match known.filter(|_| sent.epoch == state.epoch) {
            Some(known) => drop(state.items.insert(name.to_owned(), known)),
            None => drop(state.items.remove(name)),
        }
    }

    /// What is acknowledged of such an object.
    pub(super) fn known(&self, name: &str) -> Option<Known> {
        self.state.lock().items.get(name).copied()
    }

    /// Such an object was looked for; `known` was acknowledged before that was sent.
    pub(super) fn looked(&self, sent: Sent, name: &str, known: Option<Known>, found: bool) {
        let Some(known) = known.filter(|_| self.counts(sent)) else { return };
        self.judge.check(ACKNOWLEDGED, found == (known == Known::Present), || match found {
            true => format!("{name} is there, but its deletion was acknowledged"),
            false => format!("{name} is not there, but its creation was acknowledged"),
        });
    }

    /// Compares everything that was acknowledged with what is there in the end.
    pub(super) fn compare(&self, sent: Sent, objects: &BTreeMap<String, Value>) {
        let (counters, items) = {
            let state = self.state.lock();
            (state.counters.clone(), state.items.clone())
        };
        for (name, values) in counters {
            self.read(sent, &name, values.keys().next_back().copied(), objects.get(&name));
        }
        for (name, known) in items {
            self.looked(sent, &name, Some(known), objects.contains_key(&name));
        }
    }

    /// Everything acknowledged, by resourceVersion.
    pub(super) fn acks(&self) -> BTreeMap<u64, Ack> {
        self.state.lock().acks.clone()
    }
}
