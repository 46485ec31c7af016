//! kubeadm's command line.

use std::{ffi::OsString, io::Write};

use api::profile::Profile;
use clap::{Args, Parser, Subcommand};
use world::{Exit, Host};

use crate::{
    certs_command::{self, CertsArgs},
    config::{ConfigError, JoinConfig, check_node_name, documents, parse_duration},
    init,
    init_args::{self, InitArgs, InitCommand},
    join,
    paths::{DISCOVERY_TIMEOUT, TLS_BOOTSTRAP_TIMEOUT},
    phases::Plan,
    reset::{self, ResetArgs},
    session::{Failure, Result, Session},
    token,
};

#[derive(Parser)]
#[command(
    name = "kubeadm",
    disable_help_subcommand = true,
    about = "Bootstraps a Kubernetes cluster on simulated hosts"
)]
struct Cli {
    /// Release of this kubeadm, and for init the one to install: 1.8 to 1.36
    #[arg(long, global = true)]
    kubernetes_version: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make this host the first control plane of a cluster
    Init(Box<InitArgs>),
    /// Make this host a worker of an existing cluster
    Join(JoinArgs),
    /// Commands related to handling Kubernetes certificates
    #[command(alias = "certificates")]
    Certs(CertsArgs),
    /// Revert what init or join did on this host
    Reset(ResetArgs),
    /// Manage bootstrap tokens
    Token(token::TokenArgs),
}

#[derive(Args)]
struct JoinArgs {
    /// host:port of an apiserver
    endpoint: Option<String>,
    /// kubeadm configuration file with a JoinConfiguration
    #[arg(long)]
    config: Option<String>,
    /// Token for discovery and TLS bootstrap
    #[arg(long)]
    token: Option<String>,
    /// sha256:… of the cluster CA's public key
    #[arg(long, value_delimiter = ',')]
    discovery_token_ca_cert_hash: Vec<String>,
    /// Trust whatever CA the apiserver shows
    #[arg(long)]
    discovery_token_unsafe_skip_ca_verification: bool,
    /// Name of this node
    #[arg(long)]
    node_name: Option<String>,
    /// Checks whose failure is only a warning
    #[arg(long, value_delimiter = ',')]
    ignore_preflight_errors: Vec<String>,
}

/// Runs `kubeadm <args>` on `host`, printing to `out`. The exit carries the error's words, which
/// are printed too.
pub async fn run(host: Host, args: Vec<String>, out: &mut (dyn Write + Send + Sync)) -> Exit {
    let argv = std::iter::once(OsString::from("kubeadm")).chain(args.into_iter().map(OsString::from));
    let cli = match Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        Err(e) => {
            let _ = write!(out, "{e}");
            return if e.use_stderr() { Exit::Failure(e.to_string()) } else { Exit::Success };
        }
    };
    match execute(&host, cli, out).await {
        Ok(()) => Exit::Success,
        Err(e) => {
            let _ = writeln!(out, "error: {e}");
            Exit::Failure(e.to_string())
        }
    }
}

async fn execute(host: &Host, cli: Cli, out: &mut (dyn Write + Send + Sync)) -> Result<()> {
    let version = cli.kubernetes_version.as_deref();
    let mut session = Session { host, started: host.clock().wall(), profile: profile(version)?, out };
    match cli.command {
        Command::Init(args) => {
            let flags = match &args.only {
                Some(InitCommand::Phase(phase)) => &phase.flags,
                None => &args.flags,
            };
            let config = init_args::config(host, version, flags)?;
            session.profile = config.cluster.profile;
            let plan = match &args.only {
                Some(InitCommand::Phase(only)) => {
                    Plan::single(session.profile, &only.phase, only.part.as_deref())?
                }
                None => Plan::whole(
                    session.profile,
                    &[config.skip_phases.as_slice(), &args.skip_phases].concat(),
                )?,
            };
            init::run(&mut session, &config, &plan, args.only.is_none()).await
        }
        Command::Join(args) => {
            let config = join_config(host, session.profile, args)?;
            join::run(&mut session, &config).await
        }
        Command::Certs(args) => certs_command::run(&mut session, args).await,
        Command::Reset(args) => reset::run(&mut session, args).await,
        Command::Token(args) => token::run(&mut session, args).await,
    }
}

/// The release that `--kubernetes-version` names, or the newest.
pub(crate) fn profile(version: Option<&str>) -> Result<Profile> {
    match version {
        None => Ok(Profile::default()),
        Some(text) => Profile::parse(text).map_err(|e| Failure::new(format!("--kubernetes-version: {e}"))),
    }
}

fn join_config(host: &Host, profile: Profile, args: JoinArgs) -> Result<JoinConfig> {
    let mut config = JoinConfig {
        profile,
        node_name: args.node_name.unwrap_or_else(|| host.name().to_owned()).to_lowercase(),
        endpoint: args.endpoint.unwrap_or_default(),
        token: args.token.unwrap_or_default(),
        ca_cert_hashes: args.discovery_token_ca_cert_hash,
        unsafe_skip_ca_verification: args.discovery_token_unsafe_skip_ca_verification,
        ignore_preflight: args.ignore_preflight_errors.iter().map(|e| e.to_lowercase()).collect(),
        discovery_timeout: DISCOVERY_TIMEOUT,
        tls_bootstrap_timeout: TLS_BOOTSTRAP_TIMEOUT,
    };
    if let Some(path) = &args.config {
        apply_join_file(&mut config, path, &host.disk().read_to_string(path)?)?;
    }
    let required = |field: &str, value: &str| match value {
        "" => Err(Failure::from(ConfigError::invalid(
            field,
            "required; see kubeadm token create --print-join-command",
        ))),
        _ => Ok(()),
    };
    required("discovery.bootstrapToken.apiServerEndpoint", &config.endpoint)?;
    required("discovery.bootstrapToken.token", &config.token)?;
    check_node_name(&config.node_name)?;
    Ok(config)
}

fn apply_join_file(config: &mut JoinConfig, path: &str, text: &str) -> Result<()> {
    for doc in documents(path, text)?
        .iter()
        .filter(|d| d.get("kind").and_then(|k| k.as_str()) == Some("JoinConfiguration"))
    {
        let at = |pointer: &str| doc.pointer(pointer).and_then(|v| v.as_str()).map(str::to_owned);
        replace(&mut config.endpoint, at("/discovery/bootstrapToken/apiServerEndpoint"));
        replace(&mut config.token, at("/discovery/bootstrapToken/token"));
        replace(&mut config.node_name, at("/nodeRegistration/name").map(|n| n.to_lowercase()));
        if let Some(hashes) = doc.pointer("/discovery/bootstrapToken/caCertHashes").and_then(|v| v.as_array())
        {
            config.ca_cert_hashes.extend(hashes.iter().filter_map(|h| h.as_str()).map(str::to_owned));
        }
        if let Some(skip) =
            doc.pointer("/discovery/bootstrapToken/unsafeSkipCAVerification").and_then(|v| v.as_bool())
        {
            config.unsafe_skip_ca_verification |= skip;
        }
        if let Some(timeout) = at("/timeouts/discovery") {
            config.discovery_timeout = parse_duration("timeouts.discovery", &timeout)?;
        }
        if let Some(timeout) = at("/timeouts/tlsBootstrap") {
            config.tls_bootstrap_timeout = parse_duration("timeouts.tlsBootstrap", &timeout)?;
        }
    }
    Ok(())
}

pub(crate) fn replace<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}
