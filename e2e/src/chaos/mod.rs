//! `chronoplane chaos`: many seeds, each a world of its own, as many at a time as there are cores.
//!
//! * [`args`]: what can be asked for.
//! * [`runner`]: plays the plans and keeps what failed.
//! * [`report`]: the summary, and a failure with its smallest plan, its replay and its timeline.

pub mod args;
pub mod report;
pub mod runner;

use std::{path::PathBuf, process::ExitCode};

pub use args::ChaosArgs;

use crate::{
    cli::{Form, Refusal},
    components, out, timeline,
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
            Form::Json => outln!("{}", report::tables_json()),
            Form::Text | Form::Html => outln!("{}", report::tables()),
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.out.is_some() && args.output != Form::Html {
        return Err(out::without_page());
    }
    let (plans, between) = (args.plans()?, args.periods());
    let played = runner::play(&plans, between, args.jobs(), args.fail_fast);
    if let Some(path) = &args.trace {
        let events = played.last.iter().flat_map(|(_, outcome)| &outcome.events);
        let lines: String = events.map(|event| format!("{event}\n")).collect();
        out::to_file("trace", path, &lines)?;
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
        Form::Text => outln!("{}", report.text()),
        Form::Json => outln!("{}", report.json()),
        Form::Html => {
            let Some((plan, outcome)) = report.shown() else {
                return Err(Refusal(format!("there is no world to show:\n{}", report.text())));
            };
            let html = timeline::html(&timeline::of_plan(plan, outcome))?;
            let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("chaos-{}.html", plan.seed)));
            if out::page(&path, &html)? {
                outln!(
                    "{}\n{}: seed {}, {} events",
                    report.text(),
                    path.display(),
                    plan.seed,
                    outcome.events.len()
                );
            }
        }
    }
    Ok(if played.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
