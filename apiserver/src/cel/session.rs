//! What one evaluation has spent, and what it keeps meanwhile.
//!
//! A call is paid before it is made, at upstream's price. Upstream's prices look at the top of a
//! value only, while values that share their parts can be exponentially larger than what they were
//! made of. So whoever walks a value pays for each step as well: steps come off what was paid for the
//! call first, and are charged when that is used up. Nothing is done that was not paid for.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use regex::{Regex, RegexBuilder};

use super::eval::EvalError;

/// Steps that one unit of cost pays for: what upstream gives for a byte of text.
const STEPS: u64 = 10;
/// A pattern that was made at run time compiles to no more than this.
const LARGEST_PATTERN: usize = 1 << 20;
/// What compiling a pattern takes, in steps per byte and repetition.
const PATTERN_STEPS: u64 = 100;
const PATTERN_STEPS_MAX: u64 = 1_000_000;

/// Regular expressions by their text.
pub(super) type Patterns = BTreeMap<String, Regex>;

/// See the module.
pub(super) struct Session<'p> {
    spent: Cell<u64>,
    /// Steps that are paid for.
    credit: Cell<u64>,
    /// Patterns that stand in the expression.
    literal: &'p Patterns,
    limit: u64,
    /// Patterns that it made.
    made: RefCell<Patterns>,
}

impl<'p> Session<'p> {
    pub(super) fn new(literal: &'p Patterns, limit: u64) -> Self {
        Session { spent: Cell::new(0), credit: Cell::new(0), literal, limit, made: RefCell::default() }
    }

    /// What it has cost so far.
    pub(super) fn spent(&self) -> u64 {
        self.spent.get()
    }

    pub(super) fn spend(&self, cost: u64) -> Result<(), EvalError> {
        let spent = self.spent.get().saturating_add(cost);
        self.spent.set(spent);
        if spent > self.limit { Err(EvalError::TooExpensive) } else { Ok(()) }
    }

    /// Pays for a call, and for the steps that it buys.
    pub(super) fn prepay(&self, cost: u64) -> Result<(), EvalError> {
        self.spend(cost)?;
        self.credit.set(cost.saturating_mul(STEPS));
        Ok(())
    }

    /// Goes so many steps through a value: its elements, and the bytes of its texts.
    pub(super) fn walk(&self, steps: u64) -> Result<(), EvalError> {
        let credit = self.credit.get();
        let Some(due) = steps.checked_sub(credit).filter(|due| *due > 0) else {
            self.credit.set(credit.saturating_sub(steps));
            return Ok(());
        };
        let cost = due.div_ceil(STEPS);
        self.credit.set(cost.saturating_mul(STEPS).saturating_sub(due));
        self.spend(cost)
    }

    pub(super) fn walk_bytes(&self, bytes: usize) -> Result<(), EvalError> {
        self.walk(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// A pattern ready for use: compiled with the expression, or now and once.
    pub(super) fn pattern(&self, text: &str) -> Result<Regex, EvalError> {
        if let Some(regex) = self.literal.get(text) {
            return Ok(regex.clone());
        }
        if let Some(regex) = self.made.borrow().get(text) {
            return Ok(regex.clone());
        }
        self.walk(effort(text))?;
        work(text.len());
        let regex = RegexBuilder::new(text)
            .size_limit(LARGEST_PATTERN)
            .build()
            .map_err(|_| EvalError::failed(unreadable(text)))?;
        self.made.borrow_mut().insert(text.to_owned(), regex.clone());
        Ok(regex)
    }
}

/// What is said of a pattern that is none.
pub(super) fn unreadable(pattern: &str) -> String {
    format!("error parsing regexp: {pattern}")
}

/// Steps to compile a pattern: what is repeated is compiled so many times.
fn effort(pattern: &str) -> u64 {
    let counts = pattern.split('{').skip(1).filter_map(|rest| {
        let inside = rest.split('}').next().unwrap_or_default();
        inside.split(',').filter_map(|n| n.trim().parse::<u64>().ok()).max()
    });
    let times = counts.fold(1_u64, |all, n| all.saturating_mul(n.max(1)));
    let length = u64::try_from(pattern.len()).unwrap_or(u64::MAX).max(1);
    length.saturating_mul(PATTERN_STEPS).saturating_mul(times).min(PATTERN_STEPS_MAX)
}

#[cfg(test)]
thread_local! {
    static WORK: Cell<u64> = const { Cell::new(0) };
}

/// Counts, in tests, what was really done, apart from what was charged.
#[cfg(test)]
pub(super) fn work(steps: usize) {
    WORK.with(|work| work.set(work.get() + u64::try_from(steps).unwrap_or(0)));
}

#[cfg(not(test))]
pub(super) fn work(_steps: usize) {}

/// What was done since this was last asked.
#[cfg(test)]
pub(super) fn work_done() -> u64 {
    WORK.with(|work| work.replace(0))
}
