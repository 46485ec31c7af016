//! Variables that are expressions themselves, each evaluated when it is first named, and once.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use super::{EvalError, Program, Value, Variables, eval::Found};

/// A variable's name, and its expression or why it has none.
pub type Composed = (String, Result<Program, String>);

/// The variables of one evaluation.
#[derive(Debug)]
pub struct Composition<'a> {
    pub(super) variables: Variables<'a>,
    composed: &'a [Composed],
    held: RefCell<BTreeMap<&'a str, Result<Value<'a>, EvalError>>>,
    cost: Cell<u64>,
}

impl<'a> Composition<'a> {
    /// Over what is there without them.
    pub fn new(variables: Variables<'a>, composed: &'a [Composed]) -> Self {
        Self { variables, composed, held: RefCell::default(), cost: Cell::new(0) }
    }

    /// What variables have cost since this was last asked.
    pub fn take_cost(&self) -> u64 {
        self.cost.take()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.composed.iter().any(|(known, _)| known == name)
    }

    pub(super) fn get(&self, name: &str) -> Found<'a> {
        if let Some(found) = self.held.borrow().get(name) {
            return found.clone();
        }
        let Some((name, program)) = self.composed.iter().find(|(known, _)| known == name) else {
            return Err(EvalError::failed(format!("no such key: {name}")));
        };
        let found = match program {
            Err(why) => Err(format!("fails to compile: {why}")),
            Ok(program) => {
                let (found, cost) = program.evaluate_within(self);
                self.cost.set(self.cost.get().saturating_add(cost));
                found.map_err(|error| format!("fails to evaluate: {error}"))
            }
        };
        let found = found.map_err(|why| EvalError::failed(format!("composited variable {name:?} {why}")));
        self.held.borrow_mut().insert(name, found.clone());
        found
    }
}
