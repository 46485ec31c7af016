//! What `chronoplane chaos` can be asked for.

use std::{num::NonZeroUsize, ops::Range, path::PathBuf, thread};

use chronoplane::chaos::{self, KINDS, Kind, Plan, Shape};
use clap::Args;
use world::Periods;

use crate::cli::{Form, Refusal};

/// The stretch of [`Periods::sparse`].
const SPARSE: u32 = 60_480;
/// The greatest stretch at which a control plane comes back after its certificates have ended.
const OUTLIVES_AT: u32 = 6;

/// See the module.
#[derive(Args, Clone, Debug)]
pub struct ChaosArgs {
    /// Which seeds: A..B without B, or one
    #[arg(long, default_value = "0..100", value_parser = seeds, conflicts_with_all = ["plan", "replay"])]
    seeds: Range<u64>,
    /// How long each world's load runs, in simulated hours
    #[arg(long, default_value_t = Shape::default().hours, conflicts_with_all = ["plan", "replay"])]
    hours: u64,
    /// How many workers join the control plane
    #[arg(long, default_value_t = Shape::default().nodes, conflicts_with_all = ["plan", "replay"])]
    nodes: usize,
    /// Only these kinds of faults; see --list
    #[arg(long, value_delimiter = ',', value_parser = kind, conflicts_with_all = ["plan", "replay"])]
    faults: Vec<&'static Kind>,
    /// Play the plan in this file
    #[arg(long, conflicts_with = "replay")]
    plan: Option<PathBuf>,
    /// Play this plan, as a failure prints it
    #[arg(long)]
    replay: Option<String>,
    /// How many times rarer recurring work is while nothing happens; 1: upstream's pace
    #[arg(long, default_value_t = SPARSE, value_parser = clap::value_parser!(u32).range(1..))]
    stretch: u32,
    /// How many worlds at a time; default: as many as there are cores
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Begin no further world once one has failed
    #[arg(long)]
    pub fail_fast: bool,
    /// Leave a failing plan as it is
    #[arg(long)]
    pub no_shrink: bool,
    /// Write everything that happened in the last world to this file, one event a line
    #[arg(long)]
    pub trace: Option<PathBuf>,
    /// Tell which faults and which invariants there are
    #[arg(long)]
    pub list: bool,
    /// How to print the outcome; html: and write a page of the first world that failed, or of the last
    #[arg(long, value_enum, default_value_t = Form::Text)]
    pub output: Form,
    /// With --output html: write the page to this file; `-`: to standard output. Default: chaos-SEED.html
    #[arg(long)]
    pub out: Option<PathBuf>,
}

impl ChaosArgs {
    /// The plans to play.
    ///
    /// # Errors
    /// There is nothing to play, or a plan that cannot be read or played.
    pub fn plans(&self) -> Result<Vec<Plan>, Refusal> {
        if let Some(text) = &self.replay {
            return Ok(vec![Plan::parse(text)?]);
        }
        if let Some(path) = &self.plan {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Refusal(format!("cannot read the plan {}: {e}", path.display())))?;
            return Ok(vec![Plan::parse(&text)?]);
        }
        let mut shape = Shape { hours: self.hours, nodes: self.nodes, ..Shape::default() };
        if !self.faults.is_empty() {
            shape.kinds.clone_from(&self.faults);
        }
        let outlives = shape.kinds.iter().any(|kind| kind.name == "outlive");
        if outlives && self.stretch > OUTLIVES_AT {
            return Err(Refusal(format!(
                "outlive needs --stretch {OUTLIVES_AT} or less: at a stretch of {} a Lease says for days that it holds, and \
                 programs that start again heed it",
                self.stretch
            )));
        }
        let plans: Vec<Plan> = self.seeds.clone().map(|seed| Plan::seeded(seed, &shape)).collect();
        plans.first().map_or(Ok(()), Plan::check)?;
        Ok(plans)
    }

    /// The pace while nothing happens.
    pub fn periods(&self) -> Periods {
        Periods::times(self.stretch)
    }

    /// `--stretch`, where it is not the default: part of a replay.
    pub fn stretch(&self) -> Option<u32> {
        (self.stretch != SPARSE).then_some(self.stretch)
    }

    /// How many worlds at a time.
    pub fn jobs(&self) -> usize {
        let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.jobs.unwrap_or_else(cores).get()
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| format!("{text:?} is no seed; seeds look like 17 or 0..1000"))
    };
    match text.split_once("..") {
        None => number(text).map(|seed| seed..seed.saturating_add(1)),
        Some((from, to)) => {
            let (from, to) = (number(from)?, number(to)?);
            if from < to { Ok(from..to) } else { Err(format!("{from}..{to} has no seed in it")) }
        }
    }
}

fn kind(name: &str) -> Result<&'static Kind, String> {
    chaos::find(name).ok_or_else(|| {
        let all: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        format!("there is no fault {name:?}; there are {}", all.join(", "))
    })
}
