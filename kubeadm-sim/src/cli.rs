//! kubeadm's command line.

use std::{ffi::OsString, io::Write};

use api::profile::Profile;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use world::{Exit, Host};

use crate::{
    alpha::{self, AlphaArgs},
    certs_command::{self, CertsArgs},
    config_command::{self, ConfigArgs},
    init,
    init_args::{self, InitArgs, InitCommand},
    join,
    join_args::{self, JoinArgs, JoinCommand},
    mixed_flags::Given,
    paths::ADMIN_CONF,
    phases::{Plan, Workflow},
    reset::{self, ResetArgs},
    session::{Failure, Result, Session},
    token,
    upgrade::{self, UpgradeArgs},
    user::{self, KubeconfigArgs},
    version::{self, VersionArgs},
};

#[derive(Parser)]
#[command(
    name = "kubeadm",
    disable_help_subcommand = true,
    about = "kubeadm: easily bootstrap a secure Kubernetes cluster, here on simulated hosts"
)]
struct Cli {
    /// Release of this kubeadm, and for init the one to install: 1.8 to 1.36
    #[arg(long, global = true)]
    kubernetes_version: Option<String>,
    /// Number for the log level verbosity: from 1 on a join tells of its discovery
    #[arg(short, long, global = true, default_value_t = 0)]
    v: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Experimental sub-commands of old releases
    Alpha(AlphaArgs),
    /// Manage configuration of kubeadm
    Config(ConfigArgs),
    /// Kubeconfig file utilities
    Kubeconfig(KubeconfigArgs),
    /// Make this host the first control plane of a cluster
    Init(Box<InitArgs>),
    /// Make this host a worker or a control plane of an existing cluster
    Join(Box<JoinArgs>),
    /// Commands related to handling Kubernetes certificates
    #[command(alias = "certificates")]
    Certs(CertsArgs),
    /// Revert what init or join did on this host
    Reset(ResetArgs),
    /// Manage bootstrap tokens
    Token(token::TokenArgs),
    /// Upgrade your cluster smoothly to a newer version with this command
    Upgrade(UpgradeArgs),
    /// Print the version of kubeadm
    Version(VersionArgs),
}

/// Runs `kubeadm <args>` on `host`, printing to `out`. The exit carries the error's words, which
/// are printed too.
pub async fn run(host: Host, args: Vec<String>, out: &mut (dyn Write + Send + Sync)) -> Exit {
    let argv = std::iter::once(OsString::from("kubeadm")).chain(args.into_iter().map(OsString::from));
    let mut command = Cli::command();
    let parsed = command.try_get_matches_from_mut(argv).and_then(|matches| {
        let given = Given::of(&command, &matches);
        Ok((Cli::from_arg_matches(&matches)?, given))
    });
    let (cli, given) = match parsed {
        Ok(parsed) => parsed,
        Err(e) => {
            let _ = write!(out, "{e}");
            return if e.use_stderr() { Exit::Failure(e.to_string()) } else { Exit::Success };
        }
    };
    match execute(&host, cli, given, out).await {
        Ok(()) => Exit::Success,
        Err(e) => {
            let _ = writeln!(out, "error: {e}");
            Exit::Failure(e.to_string())
        }
    }
}

async fn execute(host: &Host, cli: Cli, given: Given, out: &mut (dyn Write + Send + Sync)) -> Result<()> {
    let version = cli.kubernetes_version.as_deref();
    let mut session = Session::new(host, profile(version)?, out);
    session.verbosity = cli.v;
    given.check(session.profile)?;
    match cli.command {
        Command::Init(args) => {
            let flags = match &args.only {
                Some(InitCommand::Phase(phase)) => &phase.flags,
                None => &args.flags,
            };
            let config = init_args::config(host, version, flags)?;
            // Without a flag the release is the one that the file installs.
            if version.is_none() {
                session.profile = config.cluster.profile;
            }
            let plan = match &args.only {
                Some(InitCommand::Phase(only)) => {
                    Plan::single(Workflow::Init, session.profile, &only.phase, only.part.as_deref())?
                }
                None => {
                    let skip = given_or(&args.skip_phases, &config.skip_phases);
                    Plan::whole(Workflow::Init, session.profile, skip)?
                }
            };
            init::run(&mut session, &config, &plan, args.only.is_none()).await
        }
        Command::Join(args) => join_cluster(&mut session, *args).await,
        Command::Alpha(args) => alpha::run(&mut session, args).await,
        Command::Certs(args) => certs_command::run(&mut session, args).await,
        Command::Config(args) => config_command::run(&session, args),
        Command::Kubeconfig(args) => user::run(&mut session, args),
        Command::Reset(args) => reset::run(&mut session, args).await,
        Command::Token(args) => token::run(&mut session, args).await,
        Command::Upgrade(args) => upgrade::run(&mut session, version.is_some(), args).await,
        Command::Version(args) => version::run(&session, &args),
    }
}

async fn join_cluster(s: &mut Session<'_>, args: JoinArgs) -> Result<()> {
    let Some(JoinCommand::Phase(only)) = &args.only else {
        let config = join_args::config(s.host, s.profile, args.endpoint, &args.flags, true)?;
        let plan = Plan::whole(Workflow::Join, s.profile, given_or(&args.skip_phases, &config.skip_phases))?;
        return join::run(s, &config, &plan, true).await;
    };
    let (part, endpoint) = only.split();
    let plan = Plan::single(Workflow::Join, s.profile, &only.phase, part)?;
    let discovers = !s.disk().exists(ADMIN_CONF) && !join::is_local(&only.phase);
    let config = join_args::config(s.host, s.profile, endpoint, &only.flags, discovers)?;
    join::run(s, &config, &plan, false).await
}

/// The phases of the flag, or those of the file when the flag names none.
fn given_or<'a>(flag: &'a [String], file: &'a [String]) -> &'a [String] {
    if flag.is_empty() { file } else { flag }
}

/// The release that `--kubernetes-version` names, or the newest.
pub(crate) fn profile(version: Option<&str>) -> Result<Profile> {
    match version {
        None => Ok(Profile::default()),
        Some(text) => Profile::parse(text).map_err(|e| Failure::new(format!("--kubernetes-version: {e}"))),
    }
}

/// The checks that a flag names, lower case (`ValidateIgnorePreflightErrors`).
pub(crate) fn ignored_checks(given: &[String]) -> Result<Vec<String>> {
    let mut names: Vec<String> = given.iter().map(|name| name.to_lowercase()).collect();
    names.sort();
    names.dedup();
    if names.len() > 1 && names.iter().any(|name| name == "all") {
        return Err(Failure::new(format!(
            "ignore-preflight-errors: Invalid value: {:?}: don't specify individual checks if 'all' is used",
            names.join(",")
        )));
    }
    Ok(names)
}

/// Sets what was given.
pub(crate) fn replace<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}
