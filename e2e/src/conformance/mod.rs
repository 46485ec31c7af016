//! Whether a server behaves as Kubernetes' clients expect, checked over raw HTTP: the same cases for ours and
//! for a real kube-apiserver.
//!
//! ```text
//!   cases/*.yaml -- case -- Runner ---- Transport ----> server
//!                             | pattern                   ours in either gear, or any kubeconfig's
//!                          Outcome
//! ```
//!
//! * [`case`]: what a file says.
//! * [`pattern`]: how an answer is compared.
//! * [`runner`]: step by step.
//! * `transport`: the HTTP client that is wanted, and ours.

pub mod case;
pub mod pattern;
pub mod runner;
pub mod transport;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use api::profile::Profile;
use clap::Args;
use futures::StreamExt;
use pki::kubeconfig::Kubeconfig;
use serde_json::json;
use wire::HttpClient;
use world::Host;

use crate::{
    cli::{Output, Refusal},
    components::{self, Place},
    progress::Progress,
};
use case::Case;
pub use runner::{Outcome, Runner};
pub use transport::{As, Incoming, Outgoing, Transport, Wire};

/// `chronoplane conformance`.
#[derive(Args)]
pub struct ConformanceArgs {
    /// The server to check, as its administrator. Namespaces named case-* are made there and deleted
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Files of cases instead of those that come with the program
    #[arg(long)]
    cases: Vec<PathBuf>,
    /// Only cases with this text in their file's name, their own name or their fact
    #[arg(long)]
    only: Option<String>,
    /// Flags that the server was started with: cases that need these are not skipped. To be given for each flag
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    assume: Vec<String>,
    /// How many cases at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    at_once: u16,
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// A case and where it comes from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The file's name, without its ending.
    pub file: String,
    /// Files that the flags it needs name, by path.
    pub files: Arc<BTreeMap<String, String>>,
    /// The case.
    pub case: Case,
}

/// All cases that come with the program.
///
/// # Errors
/// One of the files is not in the form of [`case`].
pub fn all() -> Result<Vec<Entry>, Refusal> {
    let mut entries = Vec::new();
    for (file, text) in case::FILES {
        add(&mut entries, file, text)?;
    }
    Ok(entries)
}

fn add(entries: &mut Vec<Entry>, file: &str, text: &str) -> Result<(), Refusal> {
    let subject = case::parse(file, text)?;
    let files = Arc::new(subject.files);
    entries.extend(subject.cases.into_iter().map(|case| Entry {
        file: file.to_owned(),
        files: files.clone(),
        case,
    }));
    Ok(())
}

/// Carries out `entries`, so many at once, and gives back what became of each, in their order.
pub async fn carry_out(runner: &Runner, entries: &[Entry], at_once: usize) -> Vec<Outcome> {
    let progress = &Progress::through(entries.len(), "cases");
    let cases = entries.iter().map(|entry| async move {
        let outcome = runner.run(&entry.case).await;
        progress.step();
        outcome
    });
    futures::stream::iter(cases).buffered(at_once).collect().await
}

/// A client for the server of a kubeconfig, on `host`.
///
/// # Errors
/// The file cannot be read, or what it says cannot be used here.
pub fn transport(host: &Host, kubeconfig: &std::path::Path) -> Result<Wire, Refusal> {
    let config = Kubeconfig::load(host.disk(), std::path::absolute(kubeconfig)?)?;
    let (go, agent) = (Profile::default().go(), "chronoplane-conformance");
    let (http, auth) = client::connection(host, &config, go)?;
    let plain = HttpClient::new(host, config.server()?, config.anonymous_tls(host, go)?)?;
    Ok(Wire::new(http.user_agent(agent), auth, plain.user_agent(agent)))
}

/// Checks a server and prints what did not hold; exit code 1 if anything did not.
///
/// # Errors
/// Files or kubeconfig cannot be used.
pub fn run(args: ConformanceArgs) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    let mut entries = Vec::new();
    for path in &args.cases {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Refusal(format!("cannot read the cases in {}: {e}", path.display())))?;
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        add(&mut entries, &stem, &text)?;
    }
    if args.cases.is_empty() {
        entries = all()?;
    }
    if let Some(part) = &args.only {
        entries.retain(|e| {
            [&e.file, &e.case.name, &e.case.fact].iter().any(|text| text.contains(part.as_str()))
        });
    }
    if entries.is_empty() {
        return Err(Refusal(
            "no case is left; what --only says must be part of a name, a file or a fact".into(),
        ));
    }
    let host = Place::of_this_process()?.host();
    let transport = transport(&host, &args.kubeconfig)?;
    let runtime = components::runtime()?;
    let runner = Runner::new(&host, Arc::new(transport)).assuming(args.assume);
    let outcomes = runtime.block_on(carry_out(&runner, &entries, args.at_once.into()));
    runtime.shutdown_background();
    let failed = outcomes.iter().filter(|o| matches!(o, Outcome::Failed(_))).count();
    let skipped = outcomes.iter().filter(|o| matches!(o, Outcome::Skipped(_))).count();
    let held = outcomes.len() - failed - skipped;
    match args.output {
        Output::Json => {
            let rows: Vec<_> = entries.iter().zip(&outcomes).map(|(e, o)| row(e, o)).collect();
            outln!("{}", json!({"held": held, "failed": failed, "skipped": skipped, "cases": rows}));
        }
        Output::Text => {
            for (entry, outcome) in entries.iter().zip(&outcomes) {
                let Entry { file, case, .. } = entry;
                match outcome {
                    Outcome::Held => outln!("ok       {file}: {}", case.name),
                    Outcome::Skipped(why) => outln!("skipped  {file}: {} ({why})", case.name),
                    Outcome::Failed(why) => {
                        outln!("FAILED   {file}: {} [{}]\n         {why}", case.name, case.fact)
                    }
                }
            }
            outln!("{held} held, {failed} did not, {skipped} skipped");
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(entry: &Entry, outcome: &Outcome) -> serde_json::Value {
    let (word, why) = match outcome {
        Outcome::Held => ("held", ""),
        Outcome::Skipped(why) => ("skipped", why.as_str()),
        Outcome::Failed(why) => ("failed", why.as_str()),
    };
    json!({"file": entry.file, "case": entry.case.name, "fact": entry.case.fact, "outcome": word, "why": why})
}
