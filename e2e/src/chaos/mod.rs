//! `chronoplane chaos`: many seeds, each a world of its own, as many at a time as there are cores.
//!
//! * [`args`]: what can be asked for.
//! * [`runner`]: plays the plans and keeps what failed.
//! * [`report`]: the summary, and a failure with its smallest plan, its replay and its timeline.

pub mod args;
pub mod report;
pub mod runner;

use std::process::ExitCode;

pub use args::ChaosArgs;

use crate::{
    cli::{Output, Refusal},
    components,
};

/// Plans that are tried at most to make a failing one smaller.
const SHRINKING: usize = 80;

/// Carries it out.
///
/// # Errors
/// What was asked for cannot be played.
pub fn run(args: &ChaosArgs) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    if args.list {
        match args.output {
            Output::Text => outln!("{}", report::tables()),
            Output::Json => outln!("{}", report::tables_json()),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (plans, between) = (args.plans()?, args.periods());
    let played = runner::play(&plans, between, args.jobs(), args.fail_fast);
    if let Some(path) = &args.trace {
        let lines: String = played.last.iter().map(|event| format!("{event}\n")).collect();
        std::fs::write(path, lines).map_err(|e| {
            Refusal(format!(
                "cannot write the trace to {}: {e}; name a file in a directory that exists",
                path.display()
            ))
        })?;
    }
    // The lowest seed is made small; of the others their plans are told.
    let shrunk = match played.failures.first() {
        Some(first) if !args.no_shrink => {
            let outcome = first.outcome.clone();
            outcome.map(|outcome| chronoplane::chaos::shrink(&first.plan, outcome, between, SHRINKING))
        }
        _ => None,
    };
    let report = report::Report { played: &played, shrunk: shrunk.as_ref(), stretch: args.stretch() };
    match args.output {
        Output::Text => outln!("{}", report.text()),
        Output::Json => outln!("{}", report.json()),
    }
    Ok(if played.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
