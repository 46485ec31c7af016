//! `kubeadm kubeconfig user`: a kubeconfig for one more user, signed by the cluster's authority and printed.

use clap::{Args, Subcommand};
use pki::{
    CertSpec, CertifiedKey,
    kubeconfig::{Cluster, Kubeconfig, User},
};

use crate::{
    certs::{after, issue, load_authority},
    config::{InitConfig, parse_duration},
    session::{Failure, Result, Session},
};

#[derive(Args)]
pub(crate) struct KubeconfigArgs {
    #[command(subcommand)]
    command: KubeconfigCommand,
}

#[derive(Subcommand)]
enum KubeconfigCommand {
    /// Output a kubeconfig file for an additional user
    User(UserArgs),
}

#[derive(Args)]
struct UserArgs {
    /// The name of the user, which becomes the certificate's common name
    #[arg(long)]
    client_name: String,
    /// kubeadm configuration file
    #[arg(long)]
    config: Option<String>,
    /// The groups of the user, which become the certificate's organizations
    #[arg(long, value_delimiter = ',')]
    org: Vec<String>,
    /// The token of the user, in place of a certificate
    #[arg(long)]
    token: Option<String>,
    /// How long the certificate is valid
    #[arg(long, default_value = "8760h0m0s")]
    validity_period: String,
}

/// Runs the command.
pub(crate) fn run(s: &mut Session<'_>, args: KubeconfigArgs) -> Result<()> {
    let KubeconfigCommand::User(args) = args.command;
    let mut config = InitConfig::new(s.host, s.profile);
    if let Some(path) = &args.config {
        config.apply_file(path, &s.disk().read_to_string(path)?)?;
    }
    let validity = parse_duration("--validity-period", &args.validity_period)?;
    let authority = load_authority(s, &config.cluster.certificates_dir, "ca")?;
    let user = match &args.token {
        Some(token) => User::with_token(token),
        None => {
            let spec = CertSpec {
                common_name: args.client_name.clone(),
                organizations: args.org.clone(),
                dns_names: Vec::new(),
                ips: Vec::new(),
                client_auth: true,
                server_auth: false,
                // As in every kubeconfig of kubeadm: no backdate, so the authority's own beginning.
                not_before: authority.certificate.not_before(),
                not_after: after(s.started, validity),
            };
            let (certificate, key) = issue(s, &config, &authority, "kubeconfig user", &spec)?;
            let pair = CertifiedKey::new(vec![certificate], key)
                .map_err(|e| Failure::new(format!("unable to use the new client certificate: {e}")))?;
            User::with_certificate(&pair)
        }
    };
    let cluster = Cluster::new(&format!("https://{}", config.endpoint()), &authority.certificate.to_pem());
    let written = Kubeconfig::new(&config.cluster.cluster_name, cluster, &args.client_name, user);
    s.say(written.to_yaml().trim_end());
    Ok(())
}
