//! The interpreter of what test pods do. It executes nothing: commands are functions of this crate.
//!
//! ```text
//!   text ── parse, words ──► syntax ── evaluate ──► expand ── arithmetic
//!                                  │
//!                              commands ── date, print, condition, filters, archive, nested
//!                                  │
//!                     files (volumes, scratch)   Log (output)   host.clock() (sleep)
//! ```
//!
//! A command takes no time but what it sleeps. A script that never sleeps is made to: after a slice
//! of steps it waits, longer each time, so that a busy loop cannot keep a simulated world from
//! moving on.

mod archive;
mod arithmetic;
mod beside;
mod commands;
mod condition;
mod date;
mod evaluate;
mod expand;
mod files;
mod filters;
mod machine;
mod nested;
mod parse;
mod pipe;
mod print;
mod program;
mod streams;
mod syntax;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use beside::Beside;
pub use files::Mount;
pub use pipe::Pipe;
pub(crate) use program::{Knows, knows, start};
