//! Many kubelets with real certificates in one process: do they all beat, and what does each weigh.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use chronoplane::cluster::{CONTROL_PLANE, WORKSTATION};
use clap::Args;
use pki::KeyAlgorithm;
use serde_json::json;
use world::{
    Host,
    real::{Block, Real},
    sim,
};

use super::{
    bootstrap::{FILES_PER_KUBELET, OTHER_FILES, bring_up},
    fleet::{Fleet, FleetOptions, Limits, Storage},
    process,
    watcher::Watcher,
};
use crate::{
    cli::{Output, Refusal},
    components,
};

/// Between two heartbeats of one kubelet, without jitter.
const BEAT: Duration = Duration::from_secs(10);

/// What was asked for.
#[derive(Args, Clone, Copy, Debug)]
pub struct Plan {
    /// How many kubelets
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    nodes: u32,
    /// In the simulated gear: memory, and time that is skipped
    #[arg(long)]
    simulated: bool,
    /// For how many seconds they are watched, of the gear's own time; an idle connection is kept for 90
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// How many may bootstrap at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    at_once: u32,
}

#[derive(Clone, Copy, Debug)]
struct Figure {
    bootstrapped: Duration,
    renewals: u64,
    lost: usize,
    /// Real time of the watched span.
    took: Duration,
    /// Resident bytes before the first kubelet, and with all of them beating.
    before: u64,
    after: u64,
}

/// Measures and prints.
///
/// # Errors
/// The control plane did not start, or a kubelet did not become Ready.
pub fn run(plan: &Plan, output: Output) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    let figure = if plan.simulated { simulated(plan)? } else { real(plan)? };
    let each = figure.after.saturating_sub(figure.before) as f64 / 1024.0 / f64::from(plan.nodes);
    let expected = u64::from(plan.nodes) * plan.seconds / BEAT.as_secs();
    let gear = if plan.simulated { "simulated" } else { "real" };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    match output {
        Output::Text => {
            outln!(
                "{} kubelets in the {gear} gear, Ready after {:.2} s",
                plan.nodes,
                figure.bootstrapped.as_secs_f64()
            );
            outln!(
                "{} renewals of leases seen in {} s (about {expected} expected), {} nodes lost; real time {:.2} s",
                figure.renewals,
                plan.seconds,
                figure.lost,
                figure.took.as_secs_f64()
            );
            outln!(
                "resident {:.1} MiB before, {:.1} MiB after: {each:.0} KiB for each kubelet, both ends together",
                mib(figure.before),
                mib(figure.after)
            );
        }
        Output::Json => outln!(
            "{}",
            json!({
                "bench": "heartbeats",
                "gear": gear,
                "nodes": plan.nodes,
                "bootstrapSeconds": figure.bootstrapped.as_secs_f64(),
                "seconds": plan.seconds,
                "realSeconds": figure.took.as_secs_f64(),
                "renewals": figure.renewals,
                "lost": figure.lost,
                "residentBeforeMiB": mib(figure.before),
                "residentAfterMiB": mib(figure.after),
                "kibPerKubelet": each,
            })
        ),
    }
    Ok(ExitCode::SUCCESS)
}

fn options(storage: Storage) -> FleetOptions {
    FleetOptions { algorithm: KeyAlgorithm::EcdsaP256, storage, limits: Limits::Lifted }
}

fn real(plan: &Plan) -> Result<Figure, Refusal> {
    process::allow_open_files(u64::from(plan.nodes) * FILES_PER_KUBELET + OTHER_FILES)?;
    let dir = tempfile::Builder::new().prefix("chronoplane-bench-").tempdir()?;
    let world = Real::new(dir.path().to_owned(), Block::reserve()?);
    let runtime = components::runtime()?;
    let figure = runtime.block_on(async {
        let fleet = Fleet::start(&world.host(CONTROL_PLANE)?, options(Storage::Sled)).await?;
        let workstation = world.host(WORKSTATION)?;
        let mut kubelets = Vec::new();
        for n in 1..=plan.nodes {
            kubelets.push(world.host(&format!("node{n}"))?);
        }
        measure(plan, &fleet, &workstation, &kubelets).await
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    figure
}

fn simulated(plan: &Plan) -> Result<Figure, Refusal> {
    let config = sim::Config { record: false, ..sim::Config::default() };
    sim::run(config, async |sim| {
        let fleet = Fleet::start(&sim.host(CONTROL_PLANE), options(Storage::Memory)).await?;
        let kubelets: Vec<Host> = (1..=plan.nodes).map(|n| sim.host(&format!("node{n}"))).collect();
        measure(plan, &fleet, &sim.host(WORKSTATION), &kubelets).await
    })?
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn measure(
    plan: &Plan,
    fleet: &Fleet,
    workstation: &Host,
    kubelets: &[Host],
) -> Result<Figure, Refusal> {
    let watcher = Watcher::start(fleet, workstation).await?;
    let pid = std::process::id();
    let before = process::resident(pid).unwrap_or_default();
    let began = Instant::now();
    bring_up(fleet, &watcher, kubelets, plan.at_once as usize).await?;
    let bootstrapped = began.elapsed();
    let (began, beats) = (Instant::now(), watcher.renewals());
    workstation.clock().sleep(Duration::from_secs(plan.seconds)).await;
    Ok(Figure {
        bootstrapped,
        renewals: watcher.renewals() - beats,
        lost: watcher.lost().len(),
        took: began.elapsed(),
        before,
        after: process::resident(pid).unwrap_or_default(),
    })
}
