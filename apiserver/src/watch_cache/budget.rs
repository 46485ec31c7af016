//! How long all slow watchers together may hold up the feed: 50 ms per second, 100 ms at most.

use std::time::Duration;

use world::Mono;

const PER_SECOND: f64 = 0.05;
const MOST: Duration = Duration::from_millis(100);

pub(super) struct Budget {
    left: Duration,
    at: Mono,
    lent: Option<(Duration, Mono)>,
}

impl Budget {
    pub(super) fn new(now: Mono) -> Self {
        Self { left: MOST, at: now, lent: None }
    }

    /// All that is left.
    pub(super) fn take(&mut self, now: Mono) -> Duration {
        let earned = now.since(self.at).mul_f64(PER_SECOND);
        self.left = (self.left + earned).min(MOST);
        self.at = now;
        let lent = std::mem::take(&mut self.left);
        self.lent = Some((lent, now));
        lent
    }

    /// Puts back what was not used since [`Budget::take`].
    pub(super) fn give_back(&mut self, now: Mono) {
        if let Some((lent, since)) = self.lent.take() {
            self.left = lent.saturating_sub(now.since(since));
            self.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_uses_it_up_and_time_earns_it_back() {
        let t = |ms: u64| Mono::default() + Duration::from_millis(ms);
        let mut budget = Budget::new(t(0));
        assert_eq!(budget.take(t(0)), Duration::from_millis(100));
        budget.give_back(t(60));
        assert_eq!(budget.take(t(60)), Duration::from_millis(40));
        budget.give_back(t(100));
        assert_eq!(budget.take(t(100)), Duration::ZERO);
        budget.give_back(t(100));
        assert_eq!(budget.take(t(1100)), Duration::from_millis(50));
    }
}
