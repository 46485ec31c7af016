//! The scheduler's queue: pods by priority, those that did not fit until something changes, those that
//! failed until their backoff is over (`pkg/scheduler/backend/queue`).

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{Host, Mono};

/// Backoff of a pod that did not fit: doubled with each attempt.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// After so long a pod is looked at again in any case (`podMaxInUnschedulablePodsDuration`).
const FLUSH: Duration = Duration::from_secs(5 * 60);

/// See the module.
pub(super) struct Queue {
    host: Host,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Ready to be tried: the most important first, then the one that has waited longest.
    active: BTreeSet<(Reverse<i64>, u64, String)>,
    pods: BTreeMap<String, Entry>,
    next: u64,
    /// Counts what may have made room, so that what happens during an attempt is not missed.
    moves: u64,
}

struct Entry {
    priority: i64,
    attempts: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Active(u64),
    /// In an attempt that began when so many moves had been counted.
    Tried {
        moves: u64,
    },
    /// Failed, and waits for a change since then.
    Unschedulable {
        since: Mono,
    },
    /// Waits for its backoff only.
    Backoff {
        until: Mono,
    },
}

fn backoff(attempts: u32) -> Duration {
    FIRST_BACKOFF.saturating_mul(1 << attempts.saturating_sub(1).min(8)).min(LONGEST_BACKOFF)
}

impl State {
    fn activate(&mut self, key: &str) {
        let Some(entry) = self.pods.get_mut(key) else { return };
        let number = self.next;
        self.next += 1;
        entry.place = Place::Active(number);
        self.active.insert((Reverse(entry.priority), number, key.to_owned()));
    }

    fn pop(&mut self) -> Option<String> {
        let (_, _, key) = self.active.pop_first()?;
        let moves = self.moves;
        if let Some(entry) = self.pods.get_mut(&key) {
            entry.attempts = entry.attempts.saturating_add(1);
            entry.place = Place::Tried { moves };
        }
        Some(key)
    }

    /// When a pod that rests comes back without anybody's doing.
    fn due(place: Place, flush: Duration) -> Option<Mono> {
        match place {
            Place::Backoff { until } => Some(until),
            Place::Unschedulable { since } => Some(since + flush),
            Place::Active(_) | Place::Tried { .. } => None,
        }
    }

    fn release(&mut self, now: Mono, flush: Duration) -> Option<Mono> {
        let mut next = None;
        let mut ready = Vec::new();
        for (key, entry) in &self.pods {
            match Self::due(entry.place, flush) {
                Some(at) if at <= now => ready.push(key.clone()),
                Some(at) => next = Some(next.map_or(at, |n: Mono| n.min(at))),
                None => {}
            }
        }
        ready.iter().for_each(|key| self.activate(key));
        next
    }
}

impl Queue {
    pub(super) fn new(host: &Host) -> Self {
        Self { host: host.clone(), state: Mutex::default(), changed: Notify::new() }
    }

    fn now(&self) -> Mono {
        self.host.clock().monotonic()
    }

    /// A pod that nobody has tried yet, or that has itself changed since.
    pub(super) fn add(&self, key: String, priority: i64) {
        {
            let mut state = self.state.lock();
            match state.pods.get(&key).map(|e| e.place) {
                None => {
                    let entry = Entry { priority, attempts: 0, place: Place::Active(0) };
                    state.pods.insert(key.clone(), entry);
                    state.activate(&key);
                }
                Some(_) => self.wake(&mut state, |k| k == key),
            }
        }
        self.changed.notify_one();
    }

    /// A pod that is no longer to be placed.
    pub(super) fn remove(&self, key: &str) {
        let mut state = self.state.lock();
        let Some(entry) = state.pods.remove(key) else { return };
        if let Place::Active(number) = entry.place {
            state.active.remove(&(Reverse(entry.priority), number, key.to_owned()));
        }
    }

    /// Something changed that may help the pods that `concerns` picks: they are tried again once their
    /// backoff is over.
    pub(super) fn retry(&self, concerns: impl Fn(&str) -> bool) {
        self.wake(&mut self.state.lock(), concerns);
        self.changed.notify_one();
    }

    fn wake(&self, state: &mut State, concerns: impl Fn(&str) -> bool) {
        state.moves += 1;
        let now = self.now();
        let resting: Vec<(String, Mono)> = state
            .pods
            .iter()
            .filter_map(|(key, entry)| match entry.place {
                Place::Unschedulable { since } if concerns(key) => {
                    Some((key.clone(), since + backoff(entry.attempts)))
                }
                _ => None,
            })
            .collect();
        for (key, until) in resting {
            if until <= now {
                state.activate(&key);
            } else if let Some(entry) = state.pods.get_mut(&key) {
                entry.place = Place::Backoff { until };
            }
        }
    }

    /// The attempt on `key` found no room: it rests until something changes.
    pub(super) fn unschedulable(&self, key: &str) {
        self.rest(key, |now, missed, attempts| {
            if missed {
                Place::Backoff { until: now + backoff(attempts) }
            } else {
                Place::Unschedulable { since: now }
            }
        });
    }

    /// The attempt on `key` failed for no fault of its own: it is made again after its backoff. A pod
    /// that had left the queue, since it seemed placed, is back with one attempt.
    pub(super) fn failed(&self, key: &str, priority: i64) {
        let until = self.now() + backoff(1);
        self.state.lock().pods.entry(key.to_owned()).or_insert_with(|| Entry {
            priority,
            attempts: 1,
            place: Place::Backoff { until },
        });
        self.rest(key, |now, _, attempts| Place::Backoff { until: now + backoff(attempts) });
    }

    fn rest(&self, key: &str, place: impl FnOnce(Mono, bool, u32) -> Place) {
        let now = self.now();
        let mut state = self.state.lock();
        let moves = state.moves;
        if let Some(entry) = state.pods.get_mut(key)
            && let Place::Tried { moves: before } = entry.place
        {
            entry.place = place(now, moves != before, entry.attempts);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// The next pod to try, when there is one.
    pub(super) async fn next(&self) -> String {
        loop {
            let changed = self.changed.notified();
            let due = {
                let mut state = self.state.lock();
                let due = state.release(self.now(), self.host.periods().of(FLUSH));
                if let Some(key) = state.pop() {
                    return key;
                }
                due
            };
            let Some(due) = due else {
                changed.await;
                continue;
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = self.host.clock().sleep_until(due) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use world::sim::{Config, Sim};

    use super::*;

    /// What is tried, in order, until nothing is ready at `now`.
    fn drain(queue: &Queue) -> Vec<String> {
        let mut state = queue.state.lock();
        state.release(queue.now(), FLUSH);
        std::iter::from_fn(|| state.pop()).collect()
    }

    fn queue() -> (Sim, Queue) {
        let sim = Sim::new(Config::default());
        let queue = Queue::new(&sim.host("cp1"));
        (sim, queue)
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_important_goes_first_and_then_the_oldest() {
        let (_sim, queue) = queue();
        for (key, priority) in [("n/a", 0), ("n/b", 100), ("n/c", 0)] {
            queue.add(key.into(), priority);
        }
        assert_eq!(drain(&queue), ["n/b", "n/a", "n/c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_rests_until_something_changes_and_never_longer_than_five_minutes() {
        let (sim, queue) = queue();
        queue.add("n/a".into(), 0);
        assert_eq!(drain(&queue), ["n/a"]);
        queue.unschedulable("n/a");
        sim.elapse(FLUSH - Duration::from_secs(1)).await;
        assert!(drain(&queue).is_empty());
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(drain(&queue), ["n/a"], "the flush");
        queue.unschedulable("n/a");
        queue.retry(|_| false);
        sim.elapse(Duration::from_secs(3)).await;
        assert!(drain(&queue).is_empty(), "nothing that concerns it");
        queue.retry(|_| true);
        assert_eq!(drain(&queue), ["n/a"], "two attempts, two seconds: its backoff is over");
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_doubles_up_to_ten_seconds() {
        let (sim, queue) = queue();
        queue.add("n/a".into(), 0);
        for seconds in [1, 2, 4, 8, 10, 10] {
            assert_eq!(drain(&queue), ["n/a"]);
            queue.unschedulable("n/a");
            queue.retry(|_| true);
            sim.elapse(Duration::from_millis(seconds * 1000 - 1)).await;
            assert!(drain(&queue).is_empty(), "before {seconds} s");
            sim.elapse(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_during_an_attempt_is_not_missed() {
        let (sim, queue) = queue();
        queue.add("n/a".into(), 0);
        assert_eq!(drain(&queue), ["n/a"]);
        queue.retry(|_| true);
        queue.unschedulable("n/a");
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(drain(&queue), ["n/a"]);
        queue.remove("n/a");
        queue.unschedulable("n/a");
        sim.elapse(FLUSH * 2).await;
        assert!(drain(&queue).is_empty(), "what was removed is not tried again");
    }
}
