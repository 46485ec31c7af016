//! Many control planes in one process, as a test binary has them: how soon each answers its first question, and what it
//! weighs while all of them live.

use std::{
    process::ExitCode,
    sync::{Arc, Barrier, Mutex},
    thread,
    time::{Duration, Instant},
};

use chronoplane::{ControlPlane, ControlPlaneOptions};
use clap::Args;
use serde_json::json;
use world::sim;

use super::{boot::UPSTREAM, process};
use crate::{
    cli::{Output, Refusal},
    components,
};

/// What the planes of one process may cost each.
const ASKED: (f64, f64) = (20.0, 3.0);
const MIB: f64 = 1_048_576.0;

/// `bench planes`.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// How many control planes
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    count: u32,
}

struct Figures {
    /// One after another, from nothing to the answer; smallest, median, largest.
    alone: [f64; 3],
    /// All of them at once.
    together: Duration,
    /// Resident memory of each while all live.
    each_mib: f64,
}

/// Measures and prints.
///
/// # Errors
/// A control plane did not start, or there are no threads for so many.
pub fn run(plan: &Plan, output: Output) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    let figures = measure(plan.count)?;
    let each = figures.together.as_secs_f64() * 1000.0 / f64::from(plan.count);
    match output {
        Output::Json => {
            let [least, median, most] = figures.alone;
            let together = figures.together.as_secs_f64() * 1000.0;
            outln!(
                "{}",
                json!({
                    "bench": "planes",
                    "planes": plan.count,
                    "first_version_ms": {"least": least, "median": median, "most": most},
                    "together_ms": together,
                    "together_ms_each": each,
                    "resident_mib_each": figures.each_mib,
                    "asked": {"ms_each": ASKED.0, "mib_each": ASKED.1},
                    "upstream": {"ms": UPSTREAM.0, "mib": UPSTREAM.1},
                })
            );
        }
        Output::Text => {
            let [least, median, most] = figures.alone;
            outln!(
                "start to the first version, one by one   {least:>6.1} ms {median:>6.1} ms {most:>6.1} ms"
            );
            outln!(
                "{:<4} at once, to the first version of all  {:>6.0} ms, {each:.1} ms each (asked: {} ms)",
                plan.count,
                figures.together.as_secs_f64() * 1000.0,
                ASKED.0
            );
            outln!(
                "resident while all of them live          {:>6.2} MiB each (asked: {} MiB)",
                figures.each_mib,
                ASKED.1
            );
            outln!(
                "for comparison: one kube-apiserver 1.36 with etcd needs {} ms and {} MiB on such a machine",
                UPSTREAM.0,
                UPSTREAM.1
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// From nothing to an answer; `then` runs while the plane lives.
fn plane(seed: u64, then: impl FnOnce()) -> Result<Duration, Refusal> {
    #[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let began = Instant::now();
    let config = sim::Config { seed, ..sim::Config::default() };
    sim::run(config, async |sim| {
        let host = sim.host("cp1");
        let plane = ControlPlane::start(&host, ControlPlaneOptions::default()).await?;
        plane.client()?.apiserver_version().await?;
        let took = began.elapsed();
        then();
        Ok::<_, Refusal>(took)
    })?
}

fn measure(count: u32) -> Result<Figures, Refusal> {
    let mut alone = Vec::new();
    for seed in 0..20 {
        alone.push(plane(seed, || {})?.as_secs_f64() * 1000.0);
    }
    alone.sort_by(f64::total_cmp);
    let pick = |at: usize| alone.get(at).copied().unwrap_or_default();
    let alone = [pick(0), pick(alone.len() / 2), pick(alone.len().saturating_sub(1))];

    let before = resident();
    let all_answer = Arc::new(Barrier::new(count as usize + 1));
    let measured = Arc::new(Barrier::new(count as usize + 1));
    let failed: Arc<Mutex<Option<Refusal>>> = Arc::default();
    #[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let began = Instant::now();
    let mut threads = Vec::new();
    for seed in 0..u64::from(count) {
        let (all_answer, measured, failed) = (all_answer.clone(), measured.clone(), failed.clone());
        let live = move || {
            let arrived = std::cell::Cell::new(false);
            let meet = || {
                all_answer.wait();
                measured.wait();
                arrived.set(true);
            };
            if let Err(why) = plane(seed, meet) {
                if let Ok(mut failed) = failed.lock() {
                    failed.get_or_insert(why);
                }
                // The others wait for this one too.
                if !arrived.get() {
                    all_answer.wait();
                    measured.wait();
                }
            }
        };
        threads.push(thread::Builder::new().stack_size(8 << 20).spawn(live)?);
    }
    all_answer.wait();
    let together = began.elapsed();
    let after = resident();
    measured.wait();
    for thread in threads {
        if thread.join().is_err() {
            return Err(Refusal("a control plane panicked".into()));
        }
    }
    if let Some(why) = failed.lock().ok().and_then(|mut failed| failed.take()) {
        return Err(why);
    }
    Ok(Figures { alone, together, each_mib: after.saturating_sub(before) as f64 / MIB / f64::from(count) })
}

fn resident() -> u64 {
    process::resident(std::process::id()).unwrap_or_default()
}
