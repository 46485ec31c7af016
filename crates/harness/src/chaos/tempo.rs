//! How fast a world of chaos runs: sparse while nothing happens, slow where something does.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{Host, Mono, Periods, sim::Sim};

/// The pace around a fault: a sixth of upstream's, so that a minute's fault costs leaders their leases and nodes their
/// readiness within the minutes after it.
pub(super) const SLOW: Periods = Periods::times(6);
/// Between two steps on the way to it.
const STEP: Duration = Duration::from_secs(1);
/// How often somebody of the load does something while a fault is on and shortly after it, and up to twice as long.
const BUSY_TURN: Duration = Duration::from_secs(5);
/// For how long after it.
const AFTERMATH: Duration = Duration::from_secs(30);
/// The same while what a fault has left behind settles.
const SETTLING_TURN: Duration = Duration::from_secs(30);
/// Turns of the load in a plan in which nothing happens.
const IDLE_TURNS: u32 = 24;

/// See the module. Clones are the same tempo.
#[derive(Clone)]
pub(super) struct Tempo(Arc<Shared>);

struct Shared {
    sim: Sim,
    /// In true time.
    host: Host,
    between: Periods,
    idle_turn: Duration,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Faults that are on, or are settling.
    busy: u32,
    /// Faults that are on.
    faults: u32,
    /// When the last fault began or ended.
    disturbed: Mono,
    /// How often one began or ended.
    disturbances: u64,
    /// Since when the world is slow, if it is.
    slow_since: Option<Mono>,
    quiet: bool,
    ended: bool,
}

impl Tempo {
    pub(super) fn new(sim: &Sim, host: &Host, between: Periods, plan: Duration) -> Self {
        Self(Arc::new(Shared {
            sim: sim.clone(),
            host: host.clone(),
            between,
            idle_turn: plan / IDLE_TURNS,
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Slow until the guard is dropped. It slows down step by step: nobody's lease is older then than its grace at the
    /// next step, and nothing is lost that only the change of pace would have cost.
    pub(super) async fn slow(&self) -> Slow {
        let first = {
            let mut state = self.0.state.lock();
            state.busy += 1;
            state.busy == 1
        };
        let guard = Slow(self.clone());
        if first {
            self.0.changed.notify_waiters();
            let seconds = |periods: Periods| periods.of(Duration::from_secs(1)).as_secs() as u32;
            let mut stretch = seconds(self.0.between);
            while stretch > seconds(SLOW) {
                stretch = (stretch / 3).max(seconds(SLOW));
                self.0.sim.set_periods(Periods::times(stretch));
                self.0.host.clock().sleep(STEP).await;
            }
            self.0.state.lock().slow_since = Some(self.0.host.clock().monotonic());
        }
        guard
    }

    /// A fault is on until the guard is dropped.
    pub(super) fn fault(&self) -> Disturbed {
        self.disturb(|state| state.faults += 1);
        // Who waits at the pace of before has a turn soon.
        self.0.changed.notify_waiters();
        Disturbed(self.clone())
    }

    fn disturb(&self, change: impl FnOnce(&mut State)) {
        let now = self.0.host.clock().monotonic();
        let mut state = self.0.state.lock();
        state.disturbed = now;
        state.disturbances += 1;
        change(&mut state);
    }

    /// Nobody's turn comes any more; who only looks goes on.
    pub(super) fn quiet(&self) {
        self.0.state.lock().quiet = true;
        self.0.changed.notify_waiters();
    }

    /// The load is to end.
    pub(super) fn end(&self) {
        self.0.state.lock().ended = true;
        self.quiet();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.0.state.lock().ended
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.0.state.lock().quiet
    }

    /// Waits for the next turn of somebody on `host`; false when there is none.
    pub(super) async fn turn(&self, host: &Host) -> bool {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let calm = self.calm_for();
            let wait = {
                let state = self.0.state.lock();
                match state.busy {
                    _ if state.quiet => return false,
                    0 => self.0.idle_turn,
                    _ if calm < AFTERMATH => BUSY_TURN,
                    _ => SETTLING_TURN,
                }
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = host.clock().sleep(host.entropy().jitter(wait, 1.0)) => return true,
            }
        }
    }

    /// For how long no fault has been on.
    pub(super) fn calm_for(&self) -> Duration {
        let now = self.0.host.clock().monotonic();
        let state = self.0.state.lock();
        if state.faults > 0 { Duration::ZERO } else { now.since(state.disturbed) }
    }

    /// For how long the world has been slow.
    pub(super) fn slow_for(&self) -> Duration {
        let now = self.0.host.clock().monotonic();
        self.0.state.lock().slow_since.map_or(Duration::ZERO, |at| now.since(at))
    }

    /// How often a fault began or ended: who sees two numbers knows that something happened in between.
    pub(super) fn disturbances(&self) -> u64 {
        self.0.state.lock().disturbances
    }
}

/// See [`Tempo::slow`].
pub(super) struct Slow(Tempo);

impl Drop for Slow {
    fn drop(&mut self) {
        let last = {
            let mut state = self.0.0.state.lock();
            state.busy -= 1;
            state.busy == 0
        };
        if last {
            self.0.0.state.lock().slow_since = None;
            self.0.0.sim.set_periods(self.0.0.between);
            self.0.0.changed.notify_waiters();
        }
    }
}

/// See [`Tempo::fault`].
pub(super) struct Disturbed(Tempo);

impl Drop for Disturbed {
    fn drop(&mut self) {
        self.0.disturb(|state| state.faults -= 1);
    }
}
