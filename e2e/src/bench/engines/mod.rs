//! What each engine of the store costs, with the same payload: durable creates, lists, watches of the past, restarts,
//! bytes on disk and in memory. etcd itself beside them where it is installed.
//!
//! * `place`: an engine, its directory and its process; how it is opened again.
//! * `measure`: the figures of one.
//!
//! Each engine is measured by a process of its own, so that memory is only its own.

mod measure;
mod place;

use std::process::{Command, ExitCode, Stdio};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;
use world::real::{Block, Real};

use crate::{
    cli::{Output, Refusal},
    components,
};

/// `chronoplane bench store`.
#[derive(Args)]
pub struct Plan {
    /// Which; default: all that this machine has
    #[arg(long, value_enum, value_delimiter = ',')]
    engines: Vec<Engine>,
    /// Objects of the figures that are not about writing
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1000..))]
    objects: u32,
    /// Seconds of each figure of writing
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Where the stores are made: whose disk is measured. Default: the directory for temporary files
    #[arg(long)]
    directory: Option<std::path::PathBuf>,
    /// Measure the first of the engines in this process, and print what came out as JSON
    #[arg(long, hide = true)]
    here: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Engine {
    /// In memory; nothing is durable.
    Memory,
    /// On disk, in the process that uses it.
    Sled,
    /// `chronoplane etcd` on sled, a process of its own.
    Server,
    /// etcd itself, of one member.
    Etcd,
}

/// What came out.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    engine: Engine,
    /// Median of a write of 4 KiB and its sync, in the same directory.
    sync_ms: f64,
    /// Writers, creates a second, and the 99th percentile in ms.
    creates: Vec<(u32, f64, f64)>,
    objects: u32,
    /// Bytes of key and value.
    object_bytes: u64,
    /// All objects in pages of 500, and 500 of them.
    list_ms: f64,
    page_ms: f64,
    /// Events a second of a watch that begins in the past.
    replayed: f64,
    restart_ms: f64,
    /// Bytes for each object, after compaction; none where there is no disk.
    disk: Option<f64>,
    memory: Option<f64>,
}

/// Measures and prints.
///
/// # Errors
/// An engine cannot be measured here.
pub fn run(plan: &Plan, output: Output) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    if plan.here {
        let engine = *plan.engines.first().ok_or_else(|| Refusal("--here wants --engines".into()))?;
        let figures = one(plan, engine)?;
        outln!("{}", serde_json::to_string(&figures)?);
        return Ok(ExitCode::SUCCESS);
    }
    let all = [Engine::Memory, Engine::Sled, Engine::Server, Engine::Etcd];
    let wanted = if plan.engines.is_empty() { &all[..] } else { &plan.engines };
    let mut measured = Vec::new();
    for engine in wanted {
        if *engine == Engine::Etcd && !place::has_etcd() {
            if !plan.engines.is_empty() {
                return Err(Refusal("there is no `etcd` on PATH; Debian has it in etcd-server".into()));
            }
            eprintln!("SKIPPED etcd: there is none on PATH; Debian has it in etcd-server");
            continue;
        }
        measured.push(apart(plan, *engine)?);
    }
    print(&measured, output);
    Ok(ExitCode::SUCCESS)
}

/// Measures in a process of its own.
fn apart(plan: &Plan, engine: Engine) -> Result<Figures, Refusal> {
    let name = engine.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "store", "--here", "--engines", &name]);
    command.args([format!("--objects={}", plan.objects), format!("--seconds={}", plan.seconds)]);
    if let Some(directory) = &plan.directory {
        command.arg("--directory").arg(directory);
    }
    let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !done.status.success() {
        return Err(Refusal(format!("{name} could not be measured ({})", done.status)));
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

fn one(plan: &Plan, engine: Engine) -> Result<Figures, Refusal> {
    let dir: TempDir = match &plan.directory {
        Some(directory) => tempfile::Builder::new().prefix("chronoplane-bench-").tempdir_in(directory)?,
        None => tempfile::Builder::new().prefix("chronoplane-bench-").tempdir()?,
    };
    let runtime = components::runtime()?;
    let world = Real::new(dir.path().to_owned(), Block::reserve()?);
    let figures = runtime.block_on(measure::all(plan, engine, &world, dir.path()));
    runtime.shutdown_background();
    figures
}

fn print(measured: &[Figures], output: Output) {
    if output == Output::Json {
        outln!("{}", json!({"bench": "store", "figures": measured}));
        return;
    }
    for figures in measured {
        let name = match figures.engine {
            Engine::Memory => "memory",
            Engine::Sled => "sled",
            Engine::Server => "chronoplane etcd, on sled",
            Engine::Etcd => "etcd",
        };
        outln!("{name} (a sync of 4 KiB: {:.2} ms)", figures.sync_ms);
        for (writers, rate, p99) in &figures.creates {
            outln!("  {writers:>3} writers  {rate:>9.0} creates/s   99 % within {p99:.2} ms");
        }
        let (objects, bytes) = (figures.objects, figures.object_bytes);
        outln!("  with {objects} objects of {bytes} bytes:");
        outln!("    list all, in pages of 500   {:>9.1} ms", figures.list_ms);
        outln!("    list 500                    {:>9.2} ms", figures.page_ms);
        outln!("    watch from the past         {:>9.0} events/s", figures.replayed);
        outln!("    restart                     {:>9.0} ms", figures.restart_ms);
        let times = |value: f64| value / bytes as f64;
        if let Some(disk) = figures.disk {
            outln!("    disk for each, compacted    {disk:>9.0} bytes ({:.1} times the object)", times(disk));
        }
        if let Some(memory) = figures.memory {
            outln!(
                "    memory for each             {memory:>9.0} bytes ({:.1} times the object)",
                times(memory)
            );
        }
    }
}
