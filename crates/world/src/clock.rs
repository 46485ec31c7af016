//! The two clocks of a host, behind one handle: wall time labels, monotonic time waits.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

/// Wall-clock time: an instant of civil time, UTC, nanosecond resolution.
pub type Wall = jiff::Timestamp;

/// RFC 3339 in whole seconds and UTC (`2026-01-02T15:04:05Z`), as Kubernetes writes `metav1.Time`.
pub fn rfc3339(at: Wall) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A span that may be negative, as people write what a clock is set by: `1h 30m`, `-1h`.
pub fn signed(by: jiff::SignedDuration) -> String {
    let printer = jiff::fmt::friendly::SpanPrinter::new().direction(jiff::fmt::friendly::Direction::Sign);
    printer.duration_to_string(&by)
}

/// Monotonic time: nanoseconds since the host was switched on. Never goes back, is not stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub(crate) u128);

impl Mono {
    /// Time since the host was switched on.
    pub fn since_boot(self) -> Duration {
        nanos(self.0)
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, d: Duration) -> Mono {
        Mono(self.0.saturating_add(d.as_nanos()))
    }
}

pub(crate) fn nanos(n: u128) -> Duration {
    Duration::new((n / 1_000_000_000).min(u64::MAX as u128) as u64, (n % 1_000_000_000) as u32)
}

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(crate) trait TimeSource: Send + Sync {
    fn wall(&self) -> Wall;
    /// What [`TimeSource::wall`] says, and what it would say had no fault ever touched the clock: one reading.
    fn walls(&self) -> (Wall, Wall);
    fn monotonic(&self) -> Mono;
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<()>;
}

/// The deadline of [`Clock::timeout`] passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("context deadline exceeded")]
pub struct Elapsed;

/// A cheap, cloneable handle on one host's clocks.
#[derive(Clone)]
pub struct Clock(pub(crate) Arc<dyn TimeSource>);

impl Clock {
    /// The wall clock now. Use it to label (certificates, objects, logs), never to wait.
    pub fn wall(&self) -> Wall {
        self.0.wall()
    }

    /// The wall clock now, and what it would show had no fault ever touched it. Only a record may know that: a program
    /// has nothing but its own clock.
    pub(crate) fn walls(&self) -> (Wall, Wall) {
        self.0.walls()
    }

    /// The monotonic clock now. Use it to measure and to wait.
    pub fn monotonic(&self) -> Mono {
        self.0.monotonic()
    }

    /// Waits for `d` of this host's monotonic time. A wall step does not wake the sleeper, a
    /// suspended host does not get nearer to the end.
    pub async fn sleep(&self, d: Duration) {
        self.sleep_until(self.monotonic() + d).await;
    }

    /// Waits until the monotonic clock reads `deadline`.
    pub async fn sleep_until(&self, deadline: Mono) {
        self.0.sleep_until(deadline).await;
    }

    /// `future`'s output, or [`Elapsed`] after `d` of monotonic time. A future that is ready at the
    /// deadline wins.
    pub async fn timeout<F: Future>(&self, d: Duration, future: F) -> Result<F::Output, Elapsed> {
        let sleep = self.sleep(d);
        tokio::select! {
            biased;
            out = future => Ok(out),
            () = sleep => Err(Elapsed),
        }
    }

    /// Ticks every `period` of monotonic time, first one period from now. A late tick does not
    /// make the later ones come faster.
    pub fn interval(&self, period: Duration) -> Interval {
        Interval { clock: self.clone(), period, next: self.monotonic() + period }
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({})", self.wall())
    }
}

/// See [`Clock::interval`].
#[derive(Debug)]
pub struct Interval {
    clock: Clock,
    period: Duration,
    next: Mono,
}

impl Interval {
    /// Waits for the next tick.
    pub async fn tick(&mut self) {
        self.clock.sleep_until(self.next).await;
        self.next = self.clock.monotonic() + self.period;
    }
}
