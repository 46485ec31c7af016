//! `chronoplane matrix`: clusters that are suspended or switched off for months or years, and wake.
//!
//! {single, HA} × {suspend, shutdown} × {30 d, 90 d, 180 d, 1 y, 2 y} × a cluster of {30, 60, 90} days: what has ended,
//! who says what, what heals by itself, and which remedy heals the rest. One world each, as many at a time as there are
//! cores.
//!
//! * [`cell`]: what a cell is.
//! * [`mod@play`]: how it is told, and what must be found.

pub mod cell;
mod fleet;
mod health;
pub mod play;

use std::{
    num::NonZeroUsize,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use api::profile::Profile;
use clap::Args;
use parking_lot::Mutex;
use serde_json::{Value, json};
use world::sim;

pub use cell::Cell;
pub use play::Row;

use crate::{
    cli::{Output, Refusal},
    components,
    progress::Progress,
    story::{Settings, StoryError, Teller, Telling},
};

/// `kubeadm certs` is a command of its own from here on.
const OLDEST: u16 = 20;

/// See the module.
#[derive(Args, Clone, Debug)]
pub struct MatrixArgs {
    /// Only these cells, such as single/suspend/1y/30d; default: all sixty
    cells: Vec<Cell>,
    /// Behave as this Kubernetes release, 1.20 to 1.36
    #[arg(long)]
    kubernetes_version: Option<String>,
    /// Decides all chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many worlds at a time; default: as many as there are cores
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Tell each cell, not only those in which something does not hold
    #[arg(long)]
    tell: bool,
    /// How to print the table
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// A cell that was played.
pub struct Played {
    /// Which.
    pub cell: Cell,
    /// What the table says of it.
    pub row: Row,
    /// What was checked.
    pub telling: Telling,
}

/// Plays one cell in a world of its own.
///
/// # Errors
/// The world broke before the end.
pub fn play(cell: Cell, settings: &Settings) -> Result<Played, StoryError> {
    if settings.profile.minor() < OLDEST {
        return Err(StoryError(format!(
            "{} has no `kubeadm certs`; name 1.{OLDEST} or later",
            settings.profile.git_version()
        )));
    }
    let teller = Teller::new(false);
    let config = sim::Config { seed: settings.seed, ..sim::Config::default() };
    let row = sim::run(config, async |sim| {
        teller.enter(&sim);
        let row = play::play(&sim, cell, settings, &teller).await;
        teller.record(sim.events());
        row
    })??;
    Ok(Played { cell, row, telling: teller.telling() })
}

/// Carries it out.
///
/// # Errors
/// A cell cannot be played.
pub fn run(args: &MatrixArgs) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    let profile = args.kubernetes_version.as_deref().map_or(Ok(Profile::default()), Profile::parse)?;
    let settings =
        Settings { profile, seed: args.seed, gear: world::Gear::Simulated, check_certificate_dates: true };
    let cells: Vec<Cell> = if args.cells.is_empty() { Cell::all().collect() } else { args.cells.clone() };
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let jobs = args.jobs.unwrap_or_else(cores).get().min(cells.len());
    let played = side_by_side(&cells, &settings, jobs)?;
    match args.output {
        Output::Text => print(&played, args.tell, profile),
        Output::Json => {
            let rows: Vec<Value> = played.iter().map(row_json).collect();
            outln!(
                "{}",
                json!({"kubernetesVersion": profile.git_version(), "seed": args.seed, "cells": rows})
            );
        }
    }
    let held = played.iter().all(|one| one.telling.held());
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn side_by_side(cells: &[Cell], settings: &Settings, jobs: usize) -> Result<Vec<Played>, Refusal> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    let progress = Progress::through(cells.len(), "cells");
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((at, cell)) = taken(&next, cells) {
                    let outcome = play(cell, settings);
                    outcomes.lock().push((at, cell, outcome));
                    progress.step();
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner();
    outcomes.sort_by_key(|(at, ..)| *at);
    let played = outcomes
        .into_iter()
        .map(|(_, cell, outcome)| outcome.map_err(|e| Refusal(format!("the cell {cell} broke off: {e}"))));
    played.collect()
}

fn taken(next: &AtomicUsize, cells: &[Cell]) -> Option<(usize, Cell)> {
    let at = next.fetch_add(1, Relaxed);
    cells.get(at).map(|cell| (at, *cell))
}

fn print(played: &[Played], tell: bool, profile: Profile) {
    for one in played.iter().filter(|one| tell || !one.telling.held()) {
        outln!("{}", one.cell);
        one.telling.lines.iter().for_each(|line| outln!("  {line}"));
        outln!("");
    }
    outln!("Kubernetes {}; a cell is cluster/stop/for how long/at which age", profile.git_version());
    outln!(
        "{:<24} {:<6} {:<8} {:<22} {:<9} {:<8} REMEDIES",
        "CELL",
        "CHECKS",
        "ENDED",
        "KUBECTL SAYS",
        "KUBELETS",
        "WELL"
    );
    for Played { cell, row, telling } in played {
        let held = telling.checks.iter().filter(|check| check.held).count();
        let kubelets = match row.kubelets {
            (0, 0, _) => "go on".to_owned(),
            (ended, waiting, all) => format!("-{ended} ?{waiting} /{all}"),
        };
        outln!(
            "{:<24} {:<6} {:<8} {:<22} {:<9} {:<8} {}",
            cell.to_string(),
            format!("{held}/{}", telling.checks.len()),
            format!("{}/{}", row.ended.0, row.ended.1),
            shortly(&row.kubectl),
            kubelets,
            format!("{}m{:02}s", row.healed.as_secs() / 60, row.healed.as_secs() % 60),
            if row.remedies.is_empty() { "none".to_owned() } else { row.remedies.join(", ") }
        );
    }
    let held = played.iter().filter(|one| one.telling.held()).count();
    outln!("{held} of {} cells hold.", played.len());
    outln!(
        "ENDED: certificates at the waking. KUBELETS: -n start no more, ?n call the server unresponsive, of all."
    );
    outln!(
        "WELL: from the waking, or from the first remedy. x509: certificate has expired or is not yet valid."
    );
}

/// Of an error's words those that the table has room for: they stand in each cell's tale in full.
fn shortly(words: &str) -> &str {
    ["x509: certificate has expired", "connection refused", "EOF"]
        .into_iter()
        .find(|part| words.contains(part))
        .map_or(words, |part| if part.starts_with("x509") { "x509: … has expired" } else { part })
}

fn row_json(Played { cell, row, telling }: &Played) -> Value {
    json!({
        "cell": cell.to_string(),
        "held": telling.held(),
        "checks": telling.checks.iter().map(|c| json!({"what": c.what, "seen": c.seen, "held": c.held})).collect::<Vec<_>>(),
        "certificates": {"ended": row.ended.0, "all": row.ended.1},
        "kubectl": row.kubectl,
        "kubelets": {"ended": row.kubelets.0, "waiting": row.kubelets.1, "all": row.kubelets.2},
        "remedies": row.remedies,
        "wellAfterSeconds": row.healed.as_secs(),
    })
}
