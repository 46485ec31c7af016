//! Looking at files every so often, as programs do that read a certificate again every minute.

use std::time::Duration;

use crate::{Host, Mono};

/// The turns at which a program looks at files that others may replace.
///
/// A look is a deadline and not recurring work: what was replaced is noticed as soon as upstream notices it, whatever
/// the pace of the world. Where that is stretched, turns are left out at which nothing on a simulated host's disk has
/// changed: nobody can tell.
#[derive(Debug)]
pub struct Looks {
    host: Host,
    period: Duration,
    last: Mono,
    seen: u64,
}

impl Looks {
    /// Looks every `period` from now on; the first look, of now, is the caller's own.
    pub fn new(host: &Host, period: Duration) -> Self {
        Self { host: host.clone(), period, last: host.clock().monotonic(), seen: host.disk().changes() }
    }

    /// Waits for the next turn.
    pub async fn next(&mut self) {
        let clock = self.host.clock();
        tokio::select! {
            biased;
            () = self.host.disk().changed_since(self.seen) => {
                let periods = clock.monotonic().since(self.last).as_nanos() / self.period.as_nanos().max(1);
                let periods = u32::try_from(periods).unwrap_or(u32::MAX).saturating_add(1);
                clock.sleep_until(self.last + self.period.saturating_mul(periods)).await;
            }
            () = self.host.recur(self.period) => {}
        }
        self.last = clock.monotonic();
        self.seen = self.host.disk().changes();
    }
}
