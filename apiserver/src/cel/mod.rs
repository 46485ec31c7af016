//! Kubernetes' dialect of the Common Expression Language: the rules of custom resources, and admission
//! policies.
//!
//! ```text
//! source ─▶ ::cel's parser ─▶ ast: macros named ─▶ check: types ─▶ cost: worst case ─▶ Program
//!                                                                                        │
//!                            variables (JSON as the schema types it), budget ─▶ eval ◀───┘
//! ```
//! The crate `cel` gives the grammar (ANTLR's, so that syntax errors have upstream's words). What it
//! has no notion of is made here: static types with upstream's complaints, the estimate of what an
//! expression may cost, and an evaluation that stops when its budget is spent. Values of an object
//! are read where they lie and never copied.

pub mod decl;

mod ast;
mod check;
mod composition;
mod cost;
mod equality;
mod eval;
mod library;
mod message;
mod parse;
mod program;
mod session;
mod signatures;
mod table;
mod text;
mod types;
mod value;

pub use composition::{Composed, Composition};
pub use decl::Decl;
pub use eval::{EvalError, Variables};
pub use library::{Access, Asker, Question};
pub use program::{Environment, Program};
pub use types::Type;
pub use value::Value;

/// What one evaluation may cost.
pub const PER_CALL_LIMIT: u64 = 1_000_000;
/// What all rules together may cost on one object.
pub const OBJECT_BUDGET: u64 = 10_000_000;
/// What the match conditions of a policy or webhook may cost on one request.
pub const MATCH_CONDITIONS_BUDGET: u64 = OBJECT_BUDGET / 4;
/// What one rule may be estimated to cost, for all places where it applies.
pub const RULE_ESTIMATE_LIMIT: u64 = 10_000_000;
/// What all rules of one schema may be estimated to cost.
pub const SCHEMA_ESTIMATE_LIMIT: u64 = 100_000_000;

#[cfg(test)]
mod tests;
