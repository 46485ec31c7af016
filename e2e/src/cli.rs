//! The command line: what can be asked for, and with which exit code it ends.
//!
//! 0: done, and every assertion held. 1: an assertion did not hold, or a component failed while it
//! ran. 2: what was asked for cannot be done, with one sentence that says why and what to do.

use std::{path::PathBuf, process::ExitCode};

use api::profile::Profile;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use world::Gear;

use crate::{
    balancer, bench, book, catalogue, cfssl, chaos, clock, components, conformance, doctor, envtest, explain,
    machine, matrix, out, pod_webhook, progress::Progress, scenarios, store, story, teach, timeline, up,
};

const SHORT_HELP: &str = "\
chronoplane: a Kubernetes control plane whose clocks you own

Try:
  cargo run --release -- run loopback-expiry   the certificate that dies after a year, in two seconds
  cargo run --release -- up --nodes 3          a cluster on this machine, for any kubectl
  cargo run --release -- list                  all stories
  cargo run --release -- teach                 how a cluster comes to be, chapter by chapter
  cargo run --release -- bench boot            how fast it starts
  cargo run --release -- --help                everything else
";

/// Of the program's own commands. Components end as upstream's do.
const EXIT_CODES: &str = "\
Exit codes:
  0  done, and everything that was checked held
  1  something that was checked did not hold, or a component failed while it ran
  2  what was asked for cannot be done; one sentence says why and what to do next
`up --exec COMMAND` ends with COMMAND's own code, or 128 and the number of the signal that ended it.
NO_COLOR=1 leaves colours away; they and progress are shown on terminals only.";

#[derive(Parser)]
#[command(
    name = "chronoplane",
    version,
    about = "A Kubernetes control plane whose clocks you own",
    disable_help_subcommand = true,
    after_help = EXIT_CODES
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell a story: reproduce an incident in a simulated world, and check every word of it
    Run(RunArgs),
    /// Run a cluster on this machine, for kubectl or any client library
    Up(UpArgs),
    /// The clocks of a cluster that `up` runs: show them, set them
    Clock(clock::ClockArgs),
    /// Make a folder for KUBEBUILDER_ASSETS, so that Go's envtest starts this program
    Envtest(envtest::EnvtestArgs),
    /// Learn how a cluster comes to be and stays alive: chapters that play what they tell, and ask before they show
    Teach(teach::TeachArgs),
    /// List the stories
    List {
        /// Only their ids, one a line
        #[arg(long, conflicts_with = "output")]
        ids: bool,
        /// With --ids: only those of the stories that are told in this gear
        #[arg(long, value_enum, requires = "ids", default_value_t = InGear::Simulated)]
        gear: InGear,
        /// How to print them
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Find the stories that show an error text: paste it as one argument
    Explain {
        /// The text, as a log, a terminal or a bug report has it
        text: String,
        /// How to print what was found
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Let things go wrong in many simulated worlds, and see whether what must hold holds
    Chaos(chaos::ChaosArgs),
    /// Suspend clusters or switch them off for months or years, wake them, and see what heals
    Matrix(matrix::MatrixArgs),
    /// Measure
    Bench(bench::BenchArgs),
    /// Check over raw HTTP whether a server behaves as Kubernetes' clients expect
    Conformance(conformance::ConformanceArgs),
    /// kube-apiserver, with kube-apiserver's own flags
    #[command(disable_help_flag = true)]
    Apiserver(ComponentArgs),
    /// The etcd pod, with etcd's own flags
    #[command(disable_help_flag = true)]
    Etcd(ComponentArgs),
    /// kube-controller-manager, with its own flags
    #[command(disable_help_flag = true)]
    Controllers(ComponentArgs),
    /// kube-scheduler, with its own flags
    #[command(disable_help_flag = true)]
    Scheduler(ComponentArgs),
    /// A simulated kubelet, with the kubelet's own flags
    #[command(disable_help_flag = true)]
    Kubelet(ComponentArgs),
    /// kubeadm, with its own commands and flags, on this host's files or those below --rootfs
    #[command(disable_help_flag = true)]
    Kubeadm(ComponentArgs),
    /// Be a host: kubeadm once, then its kubelet. The first program of a container that is a node
    Machine(machine::MachineArgs),
    /// Balance connections over apiservers, on layer 4
    Balancer(balancer::BalancerArgs),
    /// Look at a store's directory, repair it, write it out, read it in; while no server works in it
    Store(store::StoreArgs),
    /// Serve an admission webhook that changes and judges pods, and make it known to a cluster
    Webhook(pod_webhook::WebhookArgs),
    /// What this machine can do, what each of it is for, and what to do where it cannot
    Doctor(doctor::DoctorArgs),
    /// Write shell completions to standard output: `source <(chronoplane completions bash)`
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Write a man page for each command into a directory, to be read with `man -l`
    Man {
        /// Where to; it is made if it is not there
        directory: PathBuf,
    },
    /// Write the pages of the book that are made from the program and its sources, in a checkout of the repository
    Book(book::BookArgs),
    /// Certificates from JSON requests, with cfssl's own flags: `cfssl gencert …`
    Cfssl(ComponentArgs),
    /// Writes what `cfssl` printed to NAME.pem and NAME-key.pem: `cfssljson -bare NAME`
    Cfssljson(ComponentArgs),
}

#[derive(Args)]
struct RunArgs {
    /// Which story; see `chronoplane list`
    story: String,
    /// Behave as this Kubernetes release, 1.8 to 1.36; default: the newest in the story's range
    #[arg(long, value_parser = profile)]
    kubernetes_version: Option<Profile>,
    /// Decides all chance; in the real gear there is none to decide
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where it happens: in a simulated world, or among processes of this machine, for stories that need no time to pass
    #[arg(long, value_enum, default_value_t = InGear::Simulated)]
    gear: InGear,
    /// How to tell it
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// With --output html: write the page to this file; `-`: to standard output. Default: the story's id and .html
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write everything that happened to this file, one event a line
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Let the apiserver's own client ignore certificate dates: the story must then fail
    #[arg(long, hide = true)]
    ignore_certificate_dates: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Where a story happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InGear {
    /// In a simulated world, where time passes at no cost.
    Simulated,
    /// Among separate processes of this program, whose hosts' clocks are files.
    Real,
}

impl From<InGear> for Gear {
    fn from(gear: InGear) -> Self {
        match gear {
            InGear::Simulated => Self::Simulated,
            InGear::Real => Self::Real,
        }
    }
}

/// How a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// As text, while it happens.
    Text,
    /// For programs.
    Json,
    /// A page with everything that happened, for a browser; see --out.
    Html,
}

#[derive(Args)]
struct UpArgs {
    /// How many workers join the control plane. Default: 1, or as many as the data directory has
    #[arg(long)]
    nodes: Option<usize>,
    /// Keep everything in this directory; a second run goes on from there. Default: a temporary one
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Each component a process of its own, instead of tasks of this one
    #[arg(long)]
    processes: bool,
    /// Serve a page that shows what happens and sets the hosts' clocks, at an address of this machine
    #[arg(long)]
    page: bool,
    /// Behave as this Kubernetes release
    #[arg(long, value_parser = profile)]
    kubernetes_version: Option<Profile>,
    /// Algorithm of all keys: ECDSA-P256, or RSA-2048 as kubeadm's default
    #[arg(long, default_value = "ECDSA-P256")]
    encryption_algorithm: pki::KeyAlgorithm,
    /// Run this command for a shell once every node is Ready, with KUBECONFIG set; the cluster ends with it, and the
    /// exit code is its own
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
    #[command(flatten)]
    etcd: up::EtcdArgs,
    /// How to say that it is ready; as JSON: one document with where it is to be found
    #[arg(long, value_enum, default_value_t = Output::Text, conflicts_with = "exec")]
    output: Output,
}

#[derive(Args)]
struct ComponentArgs {
    /// The component's own flags
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

fn profile(text: &str) -> Result<Profile, String> {
    Profile::parse(text).map_err(|e| e.to_string())
}

/// Why a command was not carried out: one sentence, exit code 2.
#[derive(Debug)]
pub struct Refusal(pub String);

impl<E: std::fmt::Display> From<E> for Refusal {
    fn from(e: E) -> Self {
        Self(e.to_string())
    }
}

/// Parses the arguments of this process and does what they say.
pub fn main() -> ExitCode {
    if let Some((component, args)) = envtest::called_as() {
        return ended(components::run(component, args));
    }
    if std::env::args_os().len() == 1 {
        out::write(format_args!("{SHORT_HELP}"));
        return ExitCode::SUCCESS;
    }
    let command = Cli::parse().command;
    // A typing error must not look like a mutant that nobody noticed.
    if let Err(why) = world::mutants::chosen() {
        eprintln!("error: {why}");
        return ExitCode::from(2);
    }
    let outcome = match command {
        Command::Run(args) => run(args),
        Command::Up(args) => up::run(up::Plan {
            nodes: args.nodes,
            data_dir: args.data_dir,
            processes: args.processes,
            profile: args.kubernetes_version,
            algorithm: args.encryption_algorithm,
            exec: args.exec,
            etcd: args.etcd,
            page: args.page,
            output: args.output,
        }),
        Command::Clock(args) => clock::run(&args),
        Command::Envtest(args) => envtest::run(&args),
        Command::Teach(args) => teach::run(&args),
        Command::List { ids, gear, output } => {
            match output {
                _ if ids => out::write(format_args!("{}", catalogue::ids(gear.into()))),
                Output::Text => out::write(format_args!("{}", catalogue::table())),
                Output::Json => outln!("{}", catalogue::to_json()),
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Explain { text, output } => Ok(explain(&text, output)),
        Command::Chaos(args) => chaos::run(&args),
        Command::Matrix(args) => matrix::run(&args),
        Command::Bench(args) => bench::run(args),
        Command::Conformance(args) => conformance::run(args),
        Command::Apiserver(c) => components::run(components::Component::Apiserver, c.args),
        Command::Etcd(c) => components::run(components::Component::Etcd, c.args),
        Command::Controllers(c) => components::run(components::Component::Controllers, c.args),
        Command::Scheduler(c) => components::run(components::Component::Scheduler, c.args),
        Command::Kubelet(c) => components::run(components::Component::Kubelet, c.args),
        Command::Kubeadm(c) => components::run(components::Component::Kubeadm, c.args),
        Command::Machine(args) => machine::run(args),
        Command::Balancer(args) => balancer::run(&args),
        Command::Store(args) => store::run(args),
        Command::Webhook(args) => pod_webhook::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chronoplane", &mut script);
            out::write(format_args!("{}", String::from_utf8_lossy(&script)));
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { directory } => man(&directory),
        Command::Book(args) => book::run(&args),
        Command::Cfssl(c) => cfssl::main(&c.args),
        Command::Cfssljson(c) => cfssl::main_json(&c.args),
    };
    ended(outcome)
}

fn ended(outcome: Result<ExitCode, Refusal>) -> ExitCode {
    outcome.unwrap_or_else(|Refusal(why)| {
        eprintln!("error: {why}");
        ExitCode::from(2)
    })
}

/// The program's commands, as clap knows them.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Whether these are arguments of the program, whatever they come to.
///
/// # Errors
/// What the program would say.
pub fn parses<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    let args = std::iter::once("chronoplane").chain(args);
    match Cli::try_parse_from(args) {
        Ok(_) => Ok(()),
        Err(e) if !e.use_stderr() => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

fn explain(text: &str, output: Output) -> ExitCode {
    let found = explain::explain(text);
    match output {
        Output::Json => outln!("{}", explain::to_json(&found)),
        Output::Text if found.is_empty() => eprintln!("no story shows this; `chronoplane list` has them all"),
        Output::Text => out::write(format_args!("{}", explain::answer(&found))),
    }
    if found.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn man(directory: &std::path::Path) -> Result<ExitCode, Refusal> {
    let failed = |e: std::io::Error| {
        Refusal(format!(
            "cannot write man pages to {}: {e}; name a directory that can be written",
            directory.display()
        ))
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(command(), directory).map_err(failed)?;
    outln!("man -l {}", directory.join("chronoplane.1").display());
    Ok(ExitCode::SUCCESS)
}

fn run(args: RunArgs) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    let entry = catalogue::find(&args.story).ok_or_else(|| {
        let near = scenarios::nearest(&args.story);
        Refusal(format!(
            "there is no story {:?}; did you mean {near}? `chronoplane list` has them all",
            args.story
        ))
    })?;
    if args.out.is_some() && args.output != Form::Html {
        return Err(out::without_page());
    }
    let gear = args.gear.into();
    if gear == Gear::Real && args.output == Form::Html {
        return Err(Refusal(
            "a page shows a simulated world; leave --gear real away, or take --output json".into(),
        ));
    }
    if gear == Gear::Real && args.ignore_certificate_dates {
        return Err(Refusal("--ignore-certificate-dates is for the simulated gear; leave it away".into()));
    }
    let settings = story::Settings {
        profile: args.kubernetes_version.unwrap_or_else(|| entry.newest()),
        seed: args.seed,
        gear,
        check_certificate_dates: !args.ignore_certificate_dates,
    };
    let live = args.output == Form::Text;
    let progress = (!live).then(|| Progress::of(format!("playing {}", entry.id)));
    let telling = story::tell(entry, &settings, live)?;
    drop(progress);
    if let Some(path) = &args.trace {
        let lines: String = telling.events.iter().map(|e| format!("{e}\n")).collect();
        out::to_file("trace", path, &lines)?;
    }
    match args.output {
        Form::Text => {}
        Form::Json => {
            outln!("{}", telling.to_json(entry, &settings));
        }
        Form::Html => write_story(entry, &settings, &telling, args.out)?,
    }
    Ok(if telling.held() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_story(
    entry: &catalogue::Entry,
    settings: &story::Settings,
    telling: &story::Telling,
    out: Option<PathBuf>,
) -> Result<(), Refusal> {
    let html = timeline::html(&timeline::of_story(entry, settings, telling))?;
    let path = out.unwrap_or_else(|| PathBuf::from(format!("{}.html", entry.id)));
    if out::page(&path, &html)? {
        let (made, held) = (telling.checks.len(), telling.checks.iter().filter(|c| c.held).count());
        outln!("{}: {held} of {made} checks held, {} events", path.display(), telling.events.len());
    }
    Ok(())
}
