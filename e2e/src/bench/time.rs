//! Simulated time per real time: how many seconds of a cluster's life one second here buys.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use chronoplane::{Cluster, ClusterOptions, Who};
use clap::Args;
use jiff::SignedDuration;
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

/// How a span passes.
#[derive(Clone, Copy)]
enum Way {
    /// Everything that recurs recurs at this pace.
    Elapse(Periods),
    /// Nothing happens on any host: all are suspended, or their clocks are stepped.
    Suspend,
    Step,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Elapse(periods) if periods.is_upstream() => "upstream",
            Self::Elapse(_) => "sparse",
            Self::Suspend => "suspend",
            Self::Step => "step",
        }
    }
}

struct Figure {
    way: Way,
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
        measure(plan, Way::Elapse(Periods::sparse()), DAY * 364)?,
        measure(plan, Way::Elapse(Periods::upstream()), upstream)?,
        measure(plan, Way::Suspend, DAY * 364)?,
        measure(plan, Way::Step, DAY * 364)?,
    ];
    match output {
        Output::Text => {
            outln!("{} workers and a control plane", plan.nodes);
            outln!(
                "{:<11} {:>12} {:>11} {:>11} {:>14} {:>14}",
                "TIME PASSES",
                "SIMULATED",
                "BOOTSTRAP",
                "STEADY",
                "STEADY x",
                "WHOLE x"
            );
            for f in &figures {
                outln!(
                    "{:<11} {:>10.2} d {:>9.2} s {:>9.2} s {:>14.0} {:>14.0}",
                    f.way.name(),
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
                        "periods": f.way.name(),
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
fn measure(plan: &Plan, way: Way, span: Duration) -> Result<Figure, Refusal> {
    let began = Instant::now();
    let periods = match way {
        Way::Elapse(periods) => periods,
        Way::Suspend | Way::Step => Periods::sparse(),
    };
    // The record would grow with the span and is of no use here.
    let config = sim::Config { periods, record: false, ..sim::Config::default() };
    sim::run(config, async |sim| {
        let options = ClusterOptions { nodes: plan.nodes as usize, ..ClusterOptions::default() };
        let cluster = Cluster::start(&sim, options).await?;
        let bootstrap = began.elapsed();
        let began = Instant::now();
        match way {
            Way::Elapse(_) => cluster.elapse(span).await,
            Way::Suspend => cluster.suspend(Who::Members, span).await,
            Way::Step => cluster.step(Who::Members, SignedDuration::try_from(span)?),
        }
        cluster.nodes_ready().await?;
        Ok(Figure { way, span, bootstrap, steady: began.elapsed() })
    })?
}
