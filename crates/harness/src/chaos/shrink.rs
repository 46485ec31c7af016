//! From a plan that fails to the fewest faults with which it still fails, and the shortest.

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::Periods;

use super::{Outcome, Plan, run};

/// A plan that is as small as it was to be had.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// How it goes.
    pub outcome: Outcome,
    /// How many plans were tried for that.
    pub tries: usize,
}

/// Delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002): leaves out ever
/// smaller parts of the plan as long as the same invariant fails; then halves what is left in time. `outcome` is how
/// `plan` went; at most `most` plans are tried. A smaller plan that fails otherwise (no cluster comes up, the world breaks
/// off in a panic) is not the one that is looked for.
pub fn shrink(plan: &Plan, outcome: Outcome, between: Periods, most: usize) -> Shrunk {
    let mut search = Search { best: Shrunk { plan: plan.clone(), outcome, tries: 0 }, between, most };
    search.faults();
    search.durations();
    search.hours();
    search.best
}

struct Search {
    best: Shrunk,
    between: Periods,
    most: usize,
}

impl Search {
    /// Whether `plan` fails as the whole one did; if so it is the best from now on.
    fn try_plan(&mut self, plan: Plan) -> bool {
        if self.best.tries >= self.most {
            return false;
        }
        self.best.tries += 1;
        let Ok(Ok(outcome)) = catch_unwind(AssertUnwindSafe(|| run(&plan, self.between))) else {
            return false;
        };
        let name = |outcome: &Outcome| outcome.violations.first().map(|v| v.invariant.name);
        let fails = !outcome.held() && name(&outcome) == name(&self.best.outcome);
        if fails {
            self.best = Shrunk { plan, outcome, tries: self.best.tries };
        }
        fails
    }

    fn faults(&mut self) {
        // It may be the load alone.
        if self.try_plan(Plan { faults: Vec::new(), ..self.best.plan.clone() }) {
            return;
        }
        let mut parts = 2;
        while self.best.plan.faults.len() > 1 {
            let faults = self.best.plan.faults.clone();
            let size = faults.len().div_ceil(parts);
            let mut smaller = false;
            for from in (0..faults.len()).step_by(size) {
                let rest = faults.iter().enumerate().filter(|(n, _)| !(from..from + size).contains(n));
                let rest = rest.map(|(_, planned)| planned.clone()).collect();
                if self.try_plan(Plan { faults: rest, ..self.best.plan.clone() }) {
                    smaller = true;
                    break;
                }
            }
            if smaller {
                parts = parts.max(3) - 1;
            } else if size > 1 {
                parts = (parts * 2).min(faults.len());
            } else {
                return;
            }
        }
    }

    fn durations(&mut self) {
        for n in 0..self.best.plan.faults.len() {
            loop {
                let mut plan = self.best.plan.clone();
                let Some(planned) = plan.faults.get_mut(n) else { break };
                if planned.lasts < 2 || !planned.remedied {
                    break;
                }
                planned.lasts /= 2;
                if !self.try_plan(plan) {
                    break;
                }
            }
        }
    }

    /// The faults at the beginning, and no more time than they need.
    fn hours(&mut self) {
        let mut plan = self.best.plan.clone();
        let Some(first) = plan.faults.iter().map(|planned| planned.at).min() else { return };
        let earlier = first.saturating_sub(120);
        plan.faults.iter_mut().for_each(|planned| planned.at -= earlier);
        plan.hours =
            (plan.faults.iter().map(|planned| planned.ends()).max().unwrap_or(0) / 3600 + 1).min(plan.hours);
        if plan != self.best.plan {
            self.try_plan(plan);
        }
    }
}
