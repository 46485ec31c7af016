//! What all scripts of one container share: its host, files, signals, and their pace.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use world::Host;

use super::files::Files;

/// Steps between two waits of a script that does not sleep.
const SLICE: u32 = 5000;
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Machine {
    pub host: Host,
    pub hostname: String,
    pub files: Files,
}

/// SIGTERM, as it reaches the processes of a container.
#[derive(Default)]
pub(crate) struct Signals {
    raised: Mutex<bool>,
    told: Notify,
}

impl Signals {
    pub(crate) fn raise(&self) {
        *self.raised.lock() = true;
        self.told.notify_waiters();
    }

    /// Whether it was raised since the last call.
    pub(crate) fn take(&self) -> bool {
        std::mem::take(&mut self.raised.lock())
    }

    /// Waits until it is raised; does not take it.
    pub(crate) async fn wait(&self) {
        loop {
            let told = self.told.notified();
            if *self.raised.lock() {
                return;
            }
            told.await;
        }
    }
}

/// Counts the steps of one script.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    steps: u32,
    wait: Duration,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { steps: 0, wait: FIRST_WAIT }
    }

    /// The script slept by itself.
    pub(crate) fn slept(&mut self, d: Duration) {
        if d >= self.wait {
            *self = Self::new();
        }
    }

    /// One more step; how long to wait before it.
    pub(crate) fn step(&mut self) -> Option<Duration> {
        self.steps += 1;
        if self.steps < SLICE {
            return None;
        }
        self.steps = 0;
        let wait = self.wait;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        Some(wait)
    }
}

/// Waits as [`Pace`] says. A loop that has long been busy recurs at the world's own pace: in a
/// stretched world nobody wants to pay for its turns.
pub(crate) async fn rest(host: &Host, wait: Duration) {
    if wait >= LONGEST_WAIT {
        host.recur(wait).await;
    } else {
        host.clock().sleep(wait).await;
    }
}
