//! Token buckets by key; of many keys, those that were seen last.

use std::collections::BTreeMap;

use world::Mono;

use super::config::Limit;

/// The buckets of one limit.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    held: BTreeMap<String, Bucket>,
    /// Keys by when they were seen, the longest ago first.
    seen: BTreeMap<u64, String>,
    turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Mono,
    turn: u64,
}

impl Buckets {
    /// Takes one token of the key's bucket, if there is one.
    pub(super) fn take(&mut self, limit: &Limit, key: &str, now: Mono) -> bool {
        self.turn += 1;
        let fresh = Bucket { tokens: limit.burst, filled: now, turn: self.turn };
        let mut bucket = self.held.get(key).copied().unwrap_or(fresh);
        self.seen.remove(&bucket.turn);
        let since = now.since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * limit.qps).min(limit.burst);
        let has = bucket.tokens >= 1.0;
        if has {
            bucket.tokens -= 1.0;
        }
        (bucket.filled, bucket.turn) = (now, self.turn);
        self.held.insert(key.to_owned(), bucket);
        self.seen.insert(self.turn, key.to_owned());
        while self.held.len() > limit.keys {
            let Some((_, oldest)) = self.seen.pop_first() else { break };
            self.held.remove(&oldest);
        }
        has
    }

    /// How many keys are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use world::sim::Config;

    use super::{super::config::Kind, *};

    #[test]
    fn a_bucket_fills_again_and_keys_are_forgotten_in_turn() {
        world::sim::run(Config::default(), |sim| async move {
            let clock = sim.host("master").clock().clone();
            let limit = Limit { kind: Kind::Namespace, qps: 2.0, burst: 2.0, keys: 2 };
            let mut buckets = Buckets::default();
            let mut take = |key: &str, now: Mono| buckets.take(&limit, key, now);
            let now = clock.monotonic();
            assert!(take("a", now) && take("a", now) && !take("a", now));
            assert!(take("b", now), "another key has another bucket");
            let later = now + Duration::from_millis(499);
            assert!(!take("a", later), "half a token is no token");
            assert!(take("a", now + Duration::from_millis(500)));
            let later = now + Duration::from_secs(60);
            assert!(take("a", later) && take("a", later) && !take("a", later), "no more than the burst");
            assert!(take("c", later), "and b, seen longest ago, is forgotten");
            assert!(take("b", later) && take("b", later), "so that it is new again");
            assert_eq!(buckets.len(), 2);
        })
        .unwrap();
    }
}
