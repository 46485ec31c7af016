//! Waits that grow with each failure and start over after a quiet time, as client-go's reflectors
//! use them.

use std::time::Duration;

use world::{Entropy, Host, Mono};

/// An exponential backoff with jitter and reset.
///
/// Never stretched by `Periods`: a backoff answers a failure, it does not recur.
#[derive(Debug, Clone)]
pub struct Backoff {
    initial: Duration,
    cap: Duration,
    reset_after: Duration,
    jitter: f64,
    next: Duration,
    last: Option<Mono>,
}

impl Backoff {
    /// Doubles from `initial` up to `cap`; each wait is stretched by a uniform factor in
    /// `[1, 1 + jitter)`; back to `initial` when `reset_after` passed since the last one.
    pub fn new(initial: Duration, cap: Duration, reset_after: Duration, jitter: f64) -> Self {
        Self { initial, cap, reset_after, jitter, next: initial, last: None }
    }

    /// A reflector's: 800 ms up to 30 s, jitter of factor 1, reset after two minutes.
    pub fn reflector() -> Self {
        Self::new(Duration::from_millis(800), Duration::from_secs(30), Duration::from_secs(120), 1.0)
    }

    /// The next wait.
    pub fn step(&mut self, now: Mono, entropy: &Entropy) -> Duration {
        if self.last.is_some_and(|last| now.since(last) > self.reset_after) {
            self.next = self.initial;
        }
        self.last = Some(now);
        let base = self.next;
        self.next = (base * 2).min(self.cap);
        if self.jitter > 0.0 { entropy.jitter(base, self.jitter) } else { base }
    }

    /// Waits for the next of them.
    pub async fn wait(&mut self, host: &Host) {
        let wait = self.step(host.clock().monotonic(), host.entropy());
        host.clock().sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn doubles_to_the_cap_within_jitter_and_resets() {
        let entropy = Entropy::seeded(1, "backoff");
        let mut backoff = Backoff::reflector();
        let mut now = Mono::default();
        for base in [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0] {
            let wait = backoff.step(now, &entropy).as_secs_f64();
            assert!((base..base * 2.0).contains(&wait), "{wait} is not in [{base}, {})", base * 2.0);
            now = now + SECOND * 60;
        }
        // Exactly two minutes are not more than two minutes.
        now = now + SECOND * 60;
        assert!(backoff.step(now, &entropy) >= SECOND * 30);
        now = now + SECOND * 121;
        assert!(backoff.step(now, &entropy) < SECOND * 2);
    }

    #[test]
    fn without_jitter_it_is_exact() {
        let entropy = Entropy::seeded(1, "backoff");
        let mut backoff = Backoff::new(SECOND, SECOND * 3, SECOND * 100, 0.0);
        let waits: Vec<u64> = (0..4).map(|_| backoff.step(Mono::default(), &entropy).as_secs()).collect();
        assert_eq!(waits, [1, 2, 3, 3]);
    }
}
