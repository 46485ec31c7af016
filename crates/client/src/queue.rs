//! The work queue of client-go: keys wait in order, once each, and a key in work is never handed
//! out a second time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{Host, Mono};

use crate::{Bucket, RateLimiter};

/// How a [`WorkQueue`] limits retries.
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// First wait of a failed key.
    pub base: Duration,
    /// Longest wait of a failed key.
    pub max: Duration,
    /// A bucket over all keys, or none.
    pub bucket: Option<Bucket>,
}

impl Default for QueueOptions {
    /// Upstream's default for controllers: 5 ms doubling to 1000 s, 10 a second after a burst of 100.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(5),
            max: Duration::from_secs(1000),
            bucket: Some(Bucket::new(10.0, 100)),
        }
    }
}

/// A queue of keys. Clones are the same queue.
#[derive(Clone)]
pub struct WorkQueue(Arc<Shared>);

struct Shared {
    host: Host,
    limiter: RateLimiter,
    state: Mutex<State>,
    /// Somebody may get a key, or the queue was shut down.
    ready: Notify,
    /// The earliest of the delayed keys changed.
    delayed: Notify,
}

#[derive(Default)]
struct State {
    /// In the order of [`WorkQueue::add`]; every key in it is also dirty.
    queue: VecDeque<String>,
    /// What has to be worked on.
    dirty: BTreeSet<String>,
    /// What is being worked on.
    processing: BTreeSet<String>,
    /// When a delayed key comes due, and the same the other way round. The number keeps the order of
    /// keys that come due at the same instant.
    due: BTreeMap<(Mono, u64), String>,
    delays: BTreeMap<String, (Mono, u64)>,
    next: u64,
    waiter_runs: bool,
    shut_down: bool,
}

impl WorkQueue {
    /// An empty queue on `host`'s clock.
    pub fn new(host: &Host, options: QueueOptions) -> Self {
        Self(Arc::new(Shared {
            host: host.clone(),
            limiter: RateLimiter::new(options.base, options.max, options.bucket),
            state: Mutex::default(),
            ready: Notify::new(),
            delayed: Notify::new(),
        }))
    }

    /// `key` has to be worked on. A key that already waits is not added again; one that is being
    /// worked on comes again after [`WorkQueue::done`].
    pub fn add(&self, key: impl Into<String>) {
        self.0.add(key.into());
    }

    /// As [`WorkQueue::add`], `delay` of monotonic time from now. Of two delays of one key the
    /// earlier counts.
    pub fn add_after(&self, key: impl Into<String>, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let key = key.into();
        let due = self.0.host.clock().monotonic() + delay;
        let start = {
            let mut state = self.0.state.lock();
            if state.shut_down {
                return;
            }
            if state.delays.get(&key).is_some_and(|(at, _)| *at <= due) {
                return;
            }
            if let Some(old) = state.delays.remove(&key) {
                state.due.remove(&old);
            }
            let slot = (due, state.next);
            state.next += 1;
            state.due.insert(slot, key.clone());
            state.delays.insert(key, slot);
            !std::mem::replace(&mut state.waiter_runs, true)
        };
        if start {
            self.0.host.spawn(self.0.clone().release_due());
        } else {
            self.0.delayed.notify_one();
        }
    }

    /// As [`WorkQueue::add_after`] with the wait that the key's failures so far and the bucket ask for.
    pub fn add_rate_limited(&self, key: impl Into<String>) {
        let key = key.into();
        let wait = self.0.limiter.when(&key, self.0.host.clock().monotonic());
        self.add_after(key, wait);
    }

    /// The key's failures no longer count.
    pub fn forget(&self, key: &str) {
        self.0.limiter.forget(key);
    }

    /// How often the key was added by [`WorkQueue::add_rate_limited`] since it was last forgotten.
    pub fn requeues(&self, key: &str) -> u32 {
        self.0.limiter.failures(key)
    }

    /// The next key, when there is one; `None` once the queue is shut down and empty. Say
    /// [`WorkQueue::done`] for every key got.
    pub async fn get(&self) -> Option<String> {
        loop {
            let ready = self.0.ready.notified();
            {
                let mut state = self.0.state.lock();
                if let Some(key) = state.queue.pop_front() {
                    state.dirty.remove(&key);
                    state.processing.insert(key.clone());
                    return Some(key);
                }
                if state.shut_down {
                    return None;
                }
            }
            ready.await;
        }
    }

    /// The work on `key` has ended. If it was added meanwhile it waits again.
    pub fn done(&self, key: &str) {
        let mut state = self.0.state.lock();
        if state.processing.remove(key) && state.dirty.contains(key) {
            state.queue.push_back(key.to_owned());
            drop(state);
            self.0.ready.notify_one();
        }
    }

    /// Nothing is added any more; what waits is still handed out, what is delayed is dropped.
    pub fn shut_down(&self) {
        {
            let mut state = self.0.state.lock();
            state.shut_down = true;
            state.due.clear();
            state.delays.clear();
        }
        self.0.ready.notify_waiters();
        self.0.delayed.notify_one();
    }

    /// Whether [`WorkQueue::shut_down`] was called.
    pub fn is_shut_down(&self) -> bool {
        self.0.state.lock().shut_down
    }

    /// Keys that wait now; neither those in work nor those delayed.
    pub fn len(&self) -> usize {
        self.0.state.lock().queue.len()
    }

    /// Whether no key waits now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nothing waits, is in work, or is delayed.
    pub fn is_idle(&self) -> bool {
        let state = self.0.state.lock();
        state.dirty.is_empty() && state.processing.is_empty() && state.due.is_empty()
    }
}

impl Shared {
    fn add(&self, key: String) {
        let mut state = self.state.lock();
        if state.shut_down || !state.dirty.insert(key.clone()) {
            return;
        }
        if !state.processing.contains(&key) {
            state.queue.push_back(key);
            drop(state);
            self.ready.notify_one();
        }
    }

    /// Lives while there is a delayed key: an idle queue has no task.
    async fn release_due(self: Arc<Self>) {
        loop {
            let delayed = self.delayed.notified();
            let now = self.host.clock().monotonic();
            let (keys, next) = {
                let mut state = self.state.lock();
                let later = state.due.split_off(&(now, u64::MAX));
                let keys: Vec<String> = std::mem::replace(&mut state.due, later).into_values().collect();
                for key in &keys {
                    state.delays.remove(key);
                }
                let next = state.due.keys().next().map(|(at, _)| *at);
                state.waiter_runs = next.is_some();
                (keys, next)
            };
            keys.into_iter().for_each(|key| self.add(key));
            let Some(next) = next else { return };
            tokio::select! {
                biased;
                () = delayed => {}
                () = self.host.clock().sleep_until(next) => {}
            }
        }
    }
}

impl fmt::Debug for WorkQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        write!(
            f,
            "WorkQueue({} waiting, {} in work, {} delayed)",
            state.queue.len(),
            state.processing.len(),
            state.due.len()
        )
    }
}
