//! A watch on this process's store: replays the log, then lives on its feed.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use parking_lot::RwLock;
use world::{Clock, Mono};

use super::{
    feeds::{Live, within},
    state::State,
};
use crate::{Batch, ProgressHandle, Range, Revision, StoreError, WatchOptions, WatchSource, feed::Feed};

/// Batches of the log looked at under one hold of the lock.
const CHUNK: usize = 512;

/// See the module.
pub(super) struct Subscription {
    state: Arc<RwLock<State>>,
    clock: Clock,
    range: Range,
    from: Revision,
    options: WatchOptions,
    phase: Phase,
    feed: Arc<Feed>,
    caught_up: Arc<CaughtUp>,
    next_mark: Option<Mono>,
}

/// What the progress handle needs to know of the phase.
#[derive(Default)]
struct CaughtUp {
    live: AtomicBool,
    wanted: AtomicBool,
    id: AtomicU64,
}

enum Phase {
    /// `next` is the first revision of the log not yet looked at.
    Replaying {
        next: Revision,
        found: VecDeque<Batch>,
    },
    Live,
    Ended,
}

impl Subscription {
    pub(super) fn new(
        state: Arc<RwLock<State>>,
        clock: Clock,
        range: Range,
        from: Revision,
        options: WatchOptions,
    ) -> Self {
        let from = if from > 0 { from } else { state.read().visible() + 1 };
        let next_mark = options.progress_every.map(|every| clock.monotonic() + every);
        let phase = Phase::Replaying { next: from, found: VecDeque::new() };
        let mut this = Self {
            state,
            clock,
            range,
            from,
            options,
            phase,
            feed: Arc::default(),
            caught_up: Arc::default(),
            next_mark,
        };
        this.feed.delivered(from - 1);
        // A watch from now on must not depend on when it is read first.
        this.join_if_at_the_end();
        this
    }

    /// Becomes live if nothing of the log is left. Under the lock of the publisher: no event between.
    fn join_if_at_the_end(&mut self) {
        let Phase::Replaying { next, found } = &self.phase else { return };
        let mut state = self.state.write();
        if !found.is_empty() || *next <= state.visible() || state.open().is_err() {
            return;
        }
        let live = Live {
            range: self.range.clone(),
            from: self.from,
            capacity: self.options.buffer,
            feed: self.feed.clone(),
        };
        let id = state.feeds.add(live);
        self.caught_up.id.store(id, Ordering::Relaxed);
        self.caught_up.live.store(true, Ordering::SeqCst);
        if self.caught_up.wanted.load(Ordering::SeqCst) {
            self.feed.mark(state.visible());
        }
        drop(state);
        self.phase = Phase::Live;
    }

    /// Looks at the next part of the log.
    fn replay(&mut self) -> Result<(), StoreError> {
        let Phase::Replaying { next, found } = &mut self.phase else { return Ok(()) };
        let state = self.state.read();
        let mut looked_at = 0;
        for batch in state.log_from(*next, CHUNK)? {
            *next = batch.revision + 1;
            found.extend(within(batch, &self.range, self.from));
            looked_at += 1;
        }
        if looked_at < CHUNK {
            // Also where the log has nothing: an empty store's revision 1 is no transaction's.
            *next = (*next).max(state.visible() + 1);
        }
        Ok(())
    }

    fn take(&mut self) -> Option<Result<Batch, StoreError>> {
        loop {
            match &mut self.phase {
                Phase::Replaying { found, .. } => {
                    if let Some(batch) = found.pop_front() {
                        self.feed.delivered(batch.revision);
                        return Some(Ok(batch));
                    }
                    if let Err(e) = self.replay() {
                        return Some(Err(e));
                    }
                    self.join_if_at_the_end();
                }
                Phase::Live => return self.feed.take(),
                Phase::Ended => return None,
            }
        }
    }
}

#[async_trait]
impl WatchSource for Subscription {
    async fn next(&mut self) -> Option<Result<Batch, StoreError>> {
        loop {
            if matches!(self.phase, Phase::Ended) {
                return None;
            }
            if let Some(item) = self.take() {
                if item.is_err() {
                    self.phase = Phase::Ended;
                }
                self.next_mark = self.options.progress_every.map(|every| self.clock.monotonic() + every);
                return Some(item);
            }
            let Some(at) = self.next_mark else {
                self.feed.filled.notified().await;
                continue;
            };
            tokio::select! {
                biased;
                () = self.feed.filled.notified() => {}
                () = self.clock.sleep_until(at) => self.progress_handle().request(),
            }
        }
    }

    fn progress_handle(&self) -> ProgressHandle {
        let (state, feed, caught_up) = (self.state.clone(), self.feed.clone(), self.caught_up.clone());
        ProgressHandle::new(move || {
            // Publishing needs this lock: the mark comes after all that is visible.
            let state = state.read();
            if caught_up.live.load(Ordering::SeqCst) {
                feed.mark(state.visible());
            } else {
                caught_up.wanted.store(true, Ordering::SeqCst);
            }
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if matches!(self.phase, Phase::Replaying { .. }) {
            return;
        }
        self.state.write().feeds.remove(self.caught_up.id.load(Ordering::Relaxed));
    }
}
