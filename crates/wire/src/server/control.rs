//! How a server tells its connections to go.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The life of a server; only forwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    #[default]
    Serving,
    /// No new connections.
    Deaf,
    /// Clients are told to go; requests in progress may end.
    Draining,
    /// Everything is cut.
    Closing,
}

/// Notify wakes in the order of waiting, a watch channel would in a random one.
#[derive(Debug, Default)]
pub(super) struct Control {
    phase: Mutex<Phase>,
    changed: Notify,
}

impl Control {
    pub(super) fn advance(&self, to: Phase) {
        {
            let mut phase = self.phase.lock();
            *phase = (*phase).max(to);
        }
        self.changed.notify_waiters();
    }

    /// Waits until the server has come to `phase`.
    pub(super) async fn reached(&self, phase: Phase) {
        loop {
            let changed = self.changed.notified();
            if *self.phase.lock() >= phase {
                return;
            }
            changed.await;
        }
    }
}
