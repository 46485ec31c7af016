//! The client's own limit, which client-go puts before every request but watches (`flowcontrol`).

use std::time::Duration;

use parking_lot::Mutex;
use world::Host;

use crate::Bucket;

/// A longer wait than this is worth a line in the log (client-go's `longThrottleLatency`).
const LONG: Duration = Duration::from_millis(50);

/// So many requests a second, after a burst.
#[derive(Debug)]
pub(crate) struct Throttle {
    qps: f64,
    burst: u32,
    bucket: Mutex<Bucket>,
}

impl Throttle {
    /// `None` for a rate that is no limit: client-go takes a negative one so.
    pub(crate) fn new(qps: f64, burst: u32) -> Option<Self> {
        (qps > 0.0).then(|| Self { qps, burst, bucket: Mutex::new(Bucket::new(qps, burst)) })
    }

    /// The same limit for somebody else.
    pub(crate) fn another(&self) -> Option<Self> {
        Self::new(self.qps, self.burst)
    }

    /// Waits for this request's turn.
    pub(crate) async fn pass(&self, host: &Host, about: impl FnOnce() -> String) {
        let wait = self.bucket.lock().reserve(host.clock().monotonic());
        if wait.is_zero() {
            return;
        }
        if wait > LONG {
            tracing::debug!(
                host = host.name(),
                delay = ?wait,
                reason = "client-side throttling, not priority and fairness",
                "Waited before sending request {}",
                about()
            );
        }
        host.clock().sleep(wait).await;
    }
}
