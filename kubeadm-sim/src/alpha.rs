//! `kubeadm alpha`: of what releases tried out there, the way into self-hosting
//! (`cmd/kubeadm/app/cmd/phases/selfhosting.go` of 1.9 to 1.12).

use clap::{Args, Subcommand};

use crate::{
    config::InitConfig,
    paths::ADMIN_CONF,
    self_hosting,
    session::{Failure, Result, Session},
};

/// `kubeadm alpha`.
#[derive(Args)]
pub(crate) struct AlphaArgs {
    #[command(subcommand)]
    command: AlphaCommand,
}

#[derive(Subcommand)]
enum AlphaCommand {
    /// Invoke subsets of kubeadm functions separately for a manual install
    #[command(subcommand)]
    Phase(PhaseCommand),
}

#[derive(Subcommand)]
enum PhaseCommand {
    /// Make a kubeadm cluster self-hosted
    #[command(subcommand)]
    Selfhosting(SelfhostingCommand),
}

#[derive(Subcommand)]
enum SelfhostingCommand {
    /// Convert a static Pod-hosted control plane into a self-hosted one
    ConvertFromStaticpods(ConvertArgs),
}

#[derive(Args)]
struct ConvertArgs {
    /// The path where certificates are stored
    #[arg(long)]
    cert_dir: Option<String>,
    /// kubeadm configuration file
    #[arg(long)]
    config: Option<String>,
    /// kubeadm's own feature gates: A=true,B=false
    #[arg(long)]
    feature_gates: Option<String>,
    /// The kubeconfig file to use for talking to the cluster
    #[arg(long, default_value = ADMIN_CONF)]
    kubeconfig: String,
}

/// Runs the command.
pub(crate) async fn run(s: &mut Session<'_>, args: AlphaArgs) -> Result<()> {
    let AlphaCommand::Phase(PhaseCommand::Selfhosting(SelfhostingCommand::ConvertFromStaticpods(args))) =
        args.command;
    if !s.profile.self_hosting_phase() {
        return Err(Failure::new(format!(
            "unknown command \"selfhosting\" for \"kubeadm alpha phase\": kubeadm {} does not have it; 1.9 to 1.12 do",
            s.profile.git_version()
        )));
    }
    let mut config = InitConfig::new(s.host, s.profile);
    if let Some(path) = &args.config {
        config.apply_file(path, &s.disk().read_to_string(path)?)?;
    }
    if let Some(dir) = args.cert_dir {
        config.cluster.certificates_dir = dir;
    }
    if let Some(gates) = &args.feature_gates {
        config.cluster.feature_gates.read_flag(s.profile, gates)?;
    }
    let rest = s.client(&args.kubeconfig)?;
    self_hosting::convert(s, &rest, &config).await
}
