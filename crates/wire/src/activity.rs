//! Whether a connection is in use, and since when it is not: what idle timeouts are measured by.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{Clock, Mono};

/// Counts the requests in progress on one connection.
pub(crate) struct Activity {
    clock: Clock,
    state: Mutex<State>,
    /// A head has begun, whose patience may be shorter than what [`Activity::quiet`] waits for.
    head_begun: Notify,
}

struct State {
    requests: usize,
    /// When the last request ended, or the connection began.
    quiet_since: Mono,
    /// First byte of a request whose head is not complete yet (HTTP/1.1 only).
    head_since: Option<Mono>,
}

/// Which patience ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// No request for the idle time.
    Idle,
    /// A request's head did not become complete.
    HalfHead,
}

/// One request in progress; ends when dropped.
pub(crate) struct InProgress(Arc<Activity>);

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.requests -= 1;
        if state.requests == 0 {
            state.quiet_since = self.0.clock.monotonic();
        }
    }
}

impl Activity {
    /// `expects_head`: the peer owes the head of a request from now on.
    pub(crate) fn new(clock: Clock, expects_head: bool) -> Arc<Self> {
        let now = clock.monotonic();
        let state = State { requests: 0, quiet_since: now, head_since: expects_head.then_some(now) };
        Arc::new(Self { clock, state: Mutex::new(state), head_begun: Notify::new() })
    }

    pub(crate) fn begin(self: &Arc<Self>) -> InProgress {
        let mut state = self.state.lock();
        self.enter(&mut state)
    }

    /// [`Activity::begin`], unless `limit` requests are in progress.
    pub(crate) fn begin_below(self: &Arc<Self>, limit: usize) -> Option<InProgress> {
        let mut state = self.state.lock();
        (state.requests < limit).then(|| self.enter(&mut state))
    }

    fn enter(self: &Arc<Self>, state: &mut State) -> InProgress {
        state.requests += 1;
        state.head_since = None;
        InProgress(self.clone())
    }

    /// Bytes arrived on an HTTP/1.1 connection.
    pub(crate) fn bytes_arrived(&self) {
        let mut state = self.state.lock();
        if state.requests == 0 && state.head_since.is_none() {
            state.head_since = Some(self.clock.monotonic());
            self.head_begun.notify_one();
        }
    }

    /// Waits until no request has been in progress for `idle` (counted from `floor` at the
    /// earliest), or the head of one has been incomplete for `head`.
    pub(crate) async fn quiet(&self, floor: Mono, idle: Duration, head: Option<Duration>) -> Quiet {
        loop {
            let now = self.clock.monotonic();
            let (deadline, why) = {
                let state = self.state.lock();
                match (state.head_since, head) {
                    // In use: it cannot become quiet earlier than this.
                    _ if state.requests > 0 => (now + idle, None),
                    (Some(since), Some(head)) => (since + head, Some(Quiet::HalfHead)),
                    _ => (state.quiet_since.max(floor) + idle, Some(Quiet::Idle)),
                }
            };
            match why {
                Some(why) if deadline <= now => return why,
                _ => tokio::select! {
                    biased;
                    () = self.head_begun.notified() => {}
                    () = self.clock.sleep_until(deadline) => {}
                },
            }
        }
    }
}
