//! `kubeadm certs`: what can be done with the certificates of a cluster after its making.

use clap::{Args, Subcommand};

use crate::{
    certificate_key,
    expiration::{self, ExpirationArgs},
    generate_csr::{self, GenerateCsrArgs},
    renew::{self, RenewArgs},
    session::{Result, Session},
};

#[derive(Args)]
pub(crate) struct CertsArgs {
    #[command(subcommand)]
    command: CertsCommand,
}

#[derive(Subcommand)]
enum CertsCommand {
    /// Generate certificate keys
    CertificateKey,
    /// Check certificates expiration for a Kubernetes cluster
    CheckExpiration(ExpirationArgs),
    /// Generate keys and certificate signing requests
    GenerateCsr(GenerateCsrArgs),
    /// Renew certificates for a Kubernetes cluster
    Renew(RenewArgs),
}

/// Runs the command.
pub(crate) async fn run(s: &mut Session<'_>, args: CertsArgs) -> Result<()> {
    match args.command {
        CertsCommand::CertificateKey => {
            s.say(certificate_key::CertificateKey::generate(s.host.entropy()).reveal());
            Ok(())
        }
        CertsCommand::CheckExpiration(args) => expiration::run(s, args).await,
        CertsCommand::GenerateCsr(args) => generate_csr::run(s, &args),
        CertsCommand::Renew(args) => renew::run(s, args).await,
    }
}
