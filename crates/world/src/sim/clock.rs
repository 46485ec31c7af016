//! One simulated host's clocks: piecewise linear maps of the runtime's true time.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::{
    Mono, Wall,
    clock::{BoxFuture, TimeSource, nanos},
};

const MILLION: i128 = 1_000_000;

#[derive(Clone, Copy)]
struct Segment {
    /// True time at which this segment begins.
    from: Instant,
    mono: u128,
    wall: Wall,
    /// What the wall clock would show had no fault ever been asked for.
    true_wall: Wall,
    /// Rate of both clocks, in millionths.
    rate: i128,
    /// How many suspends are on: it stands still while there is one.
    suspends: u32,
    wall_runs: bool,
}

impl Segment {
    fn elapsed(&self, now: Instant) -> i128 {
        now.saturating_duration_since(self.from).as_nanos() as i128
    }

    /// How far a clock that runs has come: asked many times for each request, and hardly any drifts.
    fn run(&self, now: Instant) -> i128 {
        match self.rate {
            MILLION => self.elapsed(now),
            rate => self.elapsed(now) * rate / MILLION,
        }
    }

    fn mono(&self, now: Instant) -> u128 {
        let run = if self.suspends == 0 { self.run(now) } else { 0 };
        self.mono + run.max(0) as u128
    }

    /// How long a clock that runs needs for `left` nanoseconds.
    fn true_time(&self, left: u128) -> Duration {
        nanos((left * MILLION as u128).div_ceil(self.rate as u128))
    }

    fn true_wall(&self, now: Instant) -> Wall {
        add_nanos(self.true_wall, self.elapsed(now))
    }

    fn wall(&self, now: Instant) -> Wall {
        let run = if self.wall_runs { self.run(now) } else { 0 };
        add_nanos(self.wall, run)
    }
}

fn add_nanos(wall: Wall, n: i128) -> Wall {
    let sum = wall.as_nanosecond().saturating_add(n);
    Wall::from_nanosecond(sum).unwrap_or(if n < 0 { Wall::MIN } else { Wall::MAX })
}

/// See the module.
#[derive(Clone)]
pub(super) struct SimClock(Arc<Shared>);

struct Shared {
    segment: Mutex<Segment>,
    /// Tells sleepers that the map from true to monotonic time has changed. A Notify wakes in the
    /// order of waiting; a watch channel would wake in a random one.
    remapped: Notify,
}

#[allow(clippy::disallowed_methods, reason = "the paused runtime's clock is the simulated world's true time")]
fn true_now() -> Instant {
    Instant::now()
}

impl SimClock {
    pub(super) fn new(start: Wall) -> Self {
        let segment = Segment {
            from: true_now(),
            mono: 0,
            wall: start,
            true_wall: start,
            rate: MILLION,
            suspends: 0,
            wall_runs: true,
        };
        Self(Arc::new(Shared { segment: Mutex::new(segment), remapped: Notify::new() }))
    }

    pub(super) fn true_wall(&self) -> Wall {
        self.0.segment.lock().true_wall(true_now())
    }

    fn begin_segment(&self, change: impl FnOnce(&mut Segment)) {
        {
            let mut segment = self.0.segment.lock();
            let (now, old) = (true_now(), *segment);
            *segment = Segment {
                from: now,
                mono: old.mono(now),
                wall: old.wall(now),
                true_wall: old.true_wall(now),
                ..old
            };
            change(&mut segment);
        }
        self.0.remapped.notify_waiters();
    }

    pub(super) fn step(&self, by: SignedDuration) {
        self.begin_segment(|s| s.wall = add_nanos(s.wall, by.as_nanos()));
    }

    pub(super) fn set_drift(&self, ppm: i32) {
        self.begin_segment(|s| s.rate = MILLION + i128::from(ppm).max(1 - MILLION));
    }

    pub(super) fn suspend(&self) {
        self.begin_segment(|s| s.suspends += 1);
    }

    pub(super) fn resume(&self) {
        self.begin_segment(|s| s.suspends = s.suspends.saturating_sub(1));
    }

    /// True time until the wall clock reads `instant`, if nothing changes; `None` while it stands still.
    ///
    /// # Errors
    /// It is past that already, and reads what is told.
    pub(super) fn until_wall(&self, instant: Wall) -> Result<Option<Duration>, Wall> {
        let segment = *self.0.segment.lock();
        let wall = segment.wall(true_now());
        let left = instant.as_nanosecond() - wall.as_nanosecond();
        let Ok(left) = u128::try_from(left) else { return Err(wall) };
        if left == 0 {
            return Ok(Some(Duration::ZERO));
        }
        Ok(segment.wall_runs.then(|| segment.true_time(left)))
    }

    pub(super) fn set_wall_running(&self, runs: bool) {
        self.begin_segment(|s| s.wall_runs = runs);
    }
}

/// True time until `segment` reaches `deadline`; `None` while it never does.
fn until(segment: &Segment, now: Instant, deadline: Mono) -> Option<Duration> {
    let left = deadline.0.saturating_sub(segment.mono(now));
    if left == 0 {
        return Some(Duration::ZERO);
    }
    if segment.suspends > 0 {
        return None;
    }
    Some(segment.true_time(left))
}

/// The furthest that one wait of the runtime's timer wheel reaches (about two years); longer sleeps
/// take several.
const FURTHEST: Duration = Duration::from_secs(60 * 60 * 24 * 365);

impl TimeSource for SimClock {
    fn wall(&self) -> Wall {
        self.0.segment.lock().wall(true_now())
    }

    fn walls(&self) -> (Wall, Wall) {
        let (segment, now) = (*self.0.segment.lock(), true_now());
        (segment.wall(now), segment.true_wall(now))
    }

    fn monotonic(&self) -> Mono {
        Mono(self.0.segment.lock().mono(true_now()))
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the paused runtime's timers are the simulated world's true time"
    )]
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<()> {
        let shared = self.0.clone();
        Box::pin(async move {
            loop {
                let remapped = shared.remapped.notified();
                let segment = *shared.segment.lock();
                match until(&segment, true_now(), deadline) {
                    Some(Duration::ZERO) => return,
                    Some(left) => tokio::select! {
                        biased;
                        () = remapped => {}
                        () = tokio::time::sleep(left.min(FURTHEST)) => {}
                    },
                    None => remapped.await,
                }
            }
        })
    }
}
