//! Plays plans side by side, one thread for each world, and shows how far it is.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use chronoplane::{
    HarnessError,
    chaos::{self, Outcome, Plan, Tally},
};
use parking_lot::Mutex;
use world::Periods;

use crate::progress::Progress;

/// A plan that failed.
pub struct Failure {
    /// The plan.
    pub plan: Plan,
    /// What did not hold, in one line.
    pub why: String,
    /// How it went; nothing when no cluster came up, or the world broke off in a panic.
    pub outcome: Option<Outcome>,
}

/// All plans as they went.
pub struct Played {
    /// Those that failed, by seed.
    pub failures: Vec<Failure>,
    /// The figures of all together.
    pub tally: Tally,
    /// How long it took.
    pub real: Duration,
    /// The plan of the last world that was played to its end, and how it went.
    pub last: Option<(Plan, Outcome)>,
}

struct Kept {
    failures: Vec<Failure>,
    tally: Tally,
    /// And which of the plans that was.
    last: Option<(usize, Plan, Outcome)>,
}

/// Plays them, `jobs` at a time; with `fail_fast` none begins after one has failed.
#[allow(clippy::disallowed_methods, reason = "how long it takes in real time is told")]
pub fn play(plans: &[Plan], between: Periods, jobs: usize, fail_fast: bool) -> Played {
    let began = Instant::now();
    // One alone is no progress.
    let bar = (plans.len() > 1).then(|| Progress::through(plans.len(), "worlds"));
    let next = AtomicUsize::new(0);
    let kept = Mutex::new(Kept { failures: Vec::new(), tally: Tally::default(), last: None });
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(plans.len()) {
            scope.spawn(|| {
                while let Some((at, plan)) = take(&next, plans) {
                    // A panic of one world is a finding like any other.
                    let outcome = catch_unwind(AssertUnwindSafe(|| chaos::run(plan, between)));
                    let mut kept = kept.lock();
                    kept.enter(at, plan, outcome);
                    if fail_fast && !kept.failures.is_empty() {
                        next.store(plans.len(), Relaxed);
                    }
                    if let Some(bar) = &bar {
                        if !kept.failures.is_empty() {
                            bar.note(format!("{} failed", kept.failures.len()));
                        }
                        bar.step();
                    }
                }
            });
        }
    });
    drop(bar);
    let mut kept = kept.into_inner();
    kept.failures.sort_by_key(|failure| failure.plan.seed);
    let last = kept.last.map(|(_, plan, outcome)| (plan, outcome));
    Played { failures: kept.failures, tally: kept.tally, real: began.elapsed(), last }
}

fn take<'a>(next: &AtomicUsize, plans: &'a [Plan]) -> Option<(usize, &'a Plan)> {
    let at = next.fetch_add(1, Relaxed);
    plans.get(at).map(|plan| (at, plan))
}

type Ended = std::thread::Result<Result<Outcome, HarnessError>>;

impl Kept {
    fn enter(&mut self, at: usize, plan: &Plan, ended: Ended) {
        let failed = |why: String, outcome| Failure { plan: plan.clone(), why, outcome };
        match ended {
            Ok(Ok(mut outcome)) => {
                self.tally += &outcome.tally;
                if self.last.as_ref().is_none_or(|(last, ..)| at >= *last) {
                    self.last = Some((at, plan.clone(), outcome.clone()));
                }
                let Some(first) = outcome.violations.first() else { return };
                let why = format!("{}: {}", first.invariant.name, first.seen);
                // Only the first one's record is looked at.
                if self.failures.first().is_some_and(|other| other.plan.seed < plan.seed) {
                    outcome.events = Vec::new();
                }
                self.failures.push(failed(why, Some(outcome)));
                self.failures.sort_by_key(|failure| failure.plan.seed);
            }
            Ok(Err(e)) => self.failures.push(failed(format!("no cluster came up: {e}"), None)),
            Err(panic) => {
                let words = panic.downcast_ref::<String>().cloned();
                let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                self.failures.push(failed(format!("panic: {}", words.unwrap_or_default()), None));
            }
        }
    }
}
