//! How often components do what they do for ever, so that a simulated year is affordable.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

/// The stretch of all recurring work of a world.
///
/// Upstream's periods (leases 10 s, elections 2 s, probes 1 s) make a simulated year cost tens of
/// millions of requests. A component states upstream's constant at its place and passes it through
/// [`Periods::of`]. Stretched are leases, elections, probes, resyncs, watch lifetimes and reconcile
/// loops, together with their grace periods; never validity, deadlines or backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    stretch: u32,
}

impl Periods {
    /// Upstream's own periods.
    pub const fn upstream() -> Self {
        Self { stretch: 1 }
    }

    /// Everything recurring 60 480 times rarer: a lease is renewed once a week instead of every 10 s.
    pub const fn sparse() -> Self {
        Self { stretch: 60_480 }
    }

    /// Everything recurring `n` times rarer (0 counts as 1): for a story that crosses weeks and still
    /// wants grace periods to be hours.
    pub const fn times(n: u32) -> Self {
        Self { stretch: if n == 0 { 1 } else { n } }
    }

    /// `upstream` as it is in this world.
    pub fn of(self, upstream: Duration) -> Duration {
        upstream.saturating_mul(self.stretch)
    }

    /// Whether the periods are upstream's.
    pub fn is_upstream(self) -> bool {
        self.stretch == 1
    }
}

/// The pace of a world: its present periods, and word for those who wait when they change.
#[derive(Clone)]
pub(crate) struct Pace(Arc<State>);

struct State {
    stretch: AtomicU32,
    changed: Notify,
}

impl Pace {
    pub(crate) fn new(periods: Periods) -> Self {
        Self(Arc::new(State { stretch: AtomicU32::new(periods.stretch), changed: Notify::new() }))
    }

    pub(crate) fn periods(&self) -> Periods {
        Periods { stretch: self.0.stretch.load(Ordering::Relaxed) }
    }

    pub(crate) fn set(&self, periods: Periods) {
        self.0.stretch.store(periods.stretch, Ordering::Relaxed);
        self.0.changed.notify_waiters();
    }

    /// Ends at the next change after this call.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> {
        self.0.changed.notified()
    }
}

impl Default for Periods {
    fn default() -> Self {
        Self::upstream()
    }
}
