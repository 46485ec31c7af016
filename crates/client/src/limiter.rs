//! How long a failed key waits before it is tried again: per key exponentially, and all keys of a
//! queue together through one bucket.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use world::Mono;

/// A token bucket that hands out waiting times: `qps` a second after a burst of `burst`.
///
/// Kept as the one instant at which the bucket will be full again, in integers, so that a million
/// steps later it is still exact.
#[derive(Debug, Clone)]
pub struct Bucket {
    interval: Duration,
    burst: u32,
    full_at: Mono,
}

impl Bucket {
    /// A full bucket. What is no rate (0, negative, not a number) counts as one in a thousand seconds.
    pub fn new(qps: f64, burst: u32) -> Self {
        let interval = Duration::try_from_secs_f64(1.0 / qps).unwrap_or(Duration::from_secs(1000));
        Self { interval, burst, full_at: Mono::default() }
    }

    /// Takes one token, from the future if need be, and says how long until it is there.
    pub fn reserve(&mut self, now: Mono) -> Duration {
        self.full_at = self.full_at.max(now) + self.interval;
        self.full_at.since(now).saturating_sub(self.interval.saturating_mul(self.burst))
    }

    /// Takes one token if there is one.
    pub fn try_take(&mut self, now: Mono) -> bool {
        let full_at = self.full_at.max(now) + self.interval;
        let there = full_at.since(now) <= self.interval.saturating_mul(self.burst);
        if there {
            self.full_at = full_at;
        }
        there
    }
}

/// The limits of a work queue: the longer of both waits counts.
#[derive(Debug)]
pub struct RateLimiter {
    base: Duration,
    max: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    failures: BTreeMap<String, u32>,
    bucket: Option<Bucket>,
}

impl RateLimiter {
    /// `base` × 2ⁿ up to `max` per key, and `bucket` for all of them.
    pub fn new(base: Duration, max: Duration, bucket: Option<Bucket>) -> Self {
        Self { base, max, state: Mutex::new(State { failures: BTreeMap::new(), bucket }) }
    }

    /// How long `key` has to wait this time; counts as one more failure.
    pub fn when(&self, key: &str, now: Mono) -> Duration {
        let mut state = self.state.lock();
        let failures = state.failures.entry(key.to_owned()).or_insert(0);
        let doubled = 1_u32.checked_shl(*failures).and_then(|f| self.base.checked_mul(f));
        *failures = failures.saturating_add(1);
        let own = doubled.unwrap_or(self.max).min(self.max);
        state.bucket.as_mut().map_or(own, |bucket| bucket.reserve(now).max(own))
    }

    /// `key` succeeded, or is given up: its next wait is the first one again.
    pub fn forget(&self, key: &str) {
        self.state.lock().failures.remove(key);
    }

    /// Failures of `key` since it was last forgotten.
    pub fn failures(&self, key: &str) -> u32 {
        self.state.lock().failures.get(key).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn per_key_it_doubles_up_to_the_maximum() {
        let limiter = RateLimiter::new(5 * MS, Duration::from_secs(1000), None);
        let now = Mono::default();
        let waits: Vec<u128> = (0..20).map(|_| limiter.when("a", now).as_millis()).collect();
        assert_eq!(waits[..5], [5, 10, 20, 40, 80]);
        assert_eq!(waits[17..], [655_360, 1_000_000, 1_000_000]);
        assert_eq!(limiter.when("b", now), 5 * MS);
        assert_eq!(limiter.failures("a"), 20);
        limiter.forget("a");
        assert_eq!(limiter.when("a", now), 5 * MS);
        for _ in 0..100 {
            assert!(limiter.when("c", now) <= Duration::from_secs(1000));
        }
    }

    #[test]
    fn the_bucket_delays_what_exceeds_the_burst() {
        let mut bucket = Bucket::new(10.0, 100);
        let now = Mono::default() + Duration::from_secs(5);
        for n in 0..100 {
            assert_eq!(bucket.reserve(now), Duration::ZERO, "token {n} of the burst");
        }
        assert_eq!(bucket.reserve(now), 100 * MS);
        assert_eq!(bucket.reserve(now), 200 * MS);
        // Refilled after a while, but never beyond the burst.
        let later = now + Duration::from_secs(1000);
        let free = (0..200).filter(|_| bucket.reserve(later).is_zero()).count();
        assert_eq!(free, 100);
    }

    proptest! {
        /// Over any sequence of arrivals no more tokens are taken than burst + rate × time.
        #[test]
        fn the_bucket_never_exceeds_its_rate(gaps in prop::collection::vec(0_u64..500, 1..200), burst in 1_u32..20) {
            let mut bucket = Bucket::new(10.0, burst);
            let (mut now, mut taken) = (Mono::default(), 0_u64);
            let start = now;
            for gap in gaps {
                now = now + Duration::from_millis(gap);
                taken += u64::from(bucket.try_take(now));
                let allowed = u64::from(burst) + (now.since(start).as_millis() / 100) as u64;
                prop_assert!(taken <= allowed, "{taken} of {allowed}");
            }
        }
    }
}
