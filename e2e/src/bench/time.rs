//! Simulated time per real time: how many seconds of a cluster's life one second here buys.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use chronoplane::{Cluster, ClusterOptions};
use clap::Args;
use serde_json::json;
use world::{Periods, sim};

use crate::{
    cli::{Output, Refusal},
    components,
};

const FEW: u32 = 10;
const DAY: Duration = Duration::from_secs(86_400);

/// What was asked for.
#[derive(Args, Clone, Copy, Debug)]
pub struct Plan {
    /// How many workers join the control plane
    #[arg(long, default_value_t = 3)]
    nodes: u32,
}

struct Figure {
    pace: &'static str,
    /// Simulated, after the bootstrap.
    span: Duration,
    /// Real, of the bootstrap and of the span.
    bootstrap: Duration,
    steady: Duration,
}

impl Figure {
    fn steady_ratio(&self) -> f64 {
        self.span.as_secs_f64() / self.steady.as_secs_f64()
    }

    /// The bootstrap's real time included.
    fn whole_ratio(&self) -> f64 {
        self.span.as_secs_f64() / (self.bootstrap + self.steady).as_secs_f64()
    }
}

/// Measures and prints.
///
/// # Errors
/// The cluster did not come up, or a node is no longer Ready at the end.
pub fn run(plan: &Plan, output: Output) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    // At upstream's pace an hour of a few nodes is work enough, and ten minutes of many.
    let upstream = Duration::from_secs(if plan.nodes > FEW { 600 } else { 3600 });
    let figures = [
        measure(plan, "sparse", Periods::sparse(), DAY * 364)?,
        measure(plan, "upstream", Periods::upstream(), upstream)?,
    ];
    match output {
        Output::Text => {
            outln!("{} workers and a control plane", plan.nodes);
            outln!(
                "{:<10} {:>12} {:>11} {:>11} {:>14} {:>14}",
                "PERIODS",
                "SIMULATED",
                "BOOTSTRAP",
                "STEADY",
                "STEADY x",
                "WHOLE x"
            );
            for f in &figures {
                outln!(
                    "{:<10} {:>10.2} d {:>9.2} s {:>9.2} s {:>14.0} {:>14.0}",
                    f.pace,
                    f.span.as_secs_f64() / DAY.as_secs_f64(),
                    f.bootstrap.as_secs_f64(),
                    f.steady.as_secs_f64(),
                    f.steady_ratio(),
                    f.whole_ratio()
                );
            }
        }
        Output::Json => {
            let rows: Vec<_> = figures
                .iter()
                .map(|f| {
                    json!({
                        "periods": f.pace,
                        "simulatedSeconds": f.span.as_secs(),
                        "bootstrapSeconds": f.bootstrap.as_secs_f64(),
                        "steadySeconds": f.steady.as_secs_f64(),
                        "steadyRatio": f.steady_ratio(),
                        "wholeRatio": f.whole_ratio(),
                    })
                })
                .collect();
            outln!("{}", json!({"bench": "time", "nodes": plan.nodes, "figures": rows}));
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn measure(plan: &Plan, pace: &'static str, periods: Periods, span: Duration) -> Result<Figure, Refusal> {
    let began = Instant::now();
    // The record would grow with the span and is of no use here.
    let config = sim::Config { periods, record: false, ..sim::Config::default() };
    sim::run(config, async |sim| {
        let options = ClusterOptions { nodes: plan.nodes as usize, ..ClusterOptions::default() };
        let cluster = Cluster::start(&sim, options).await?;
        let bootstrap = began.elapsed();
        let began = Instant::now();
        sim.elapse(span).await;
        cluster.nodes_ready().await?;
        Ok(Figure { pace, span, bootstrap, steady: began.elapsed() })
    })?
}
