//! Flags of `kubeadm init` and of its phases, and the configuration that they and a file make.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use world::Host;

use crate::{
    cli::{profile, replace},
    config::{InitConfig, check_node_name, parse_algorithm, parse_duration},
    session::Result,
};

/// `kubeadm init`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub flags: InitFlags,
    /// Phases to leave out, as `phase` or `phase/part`
    #[arg(long, value_delimiter = ',')]
    pub skip_phases: Vec<String>,
    #[command(subcommand)]
    pub only: Option<InitCommand>,
}

#[derive(Subcommand)]
pub(crate) enum InitCommand {
    /// Run a single phase of the init workflow
    Phase(PhaseArgs),
}

/// `kubeadm init phase`.
#[derive(Args)]
pub(crate) struct PhaseArgs {
    /// The phase
    pub phase: String,
    /// Its part, or all, where it has parts
    pub part: Option<String>,
    #[command(flatten)]
    pub flags: InitFlags,
}

#[derive(Args)]
pub(crate) struct InitFlags {
    /// kubeadm configuration file (kubeadm.k8s.io/v1beta4 or v1beta3)
    #[arg(long)]
    config: Option<String>,
    /// IP address that the apiserver announces
    #[arg(long)]
    apiserver_advertise_address: Option<IpAddr>,
    /// Port of the apiserver
    #[arg(long)]
    apiserver_bind_port: Option<u16>,
    /// Further names and addresses for the apiserver's certificate
    #[arg(long, value_delimiter = ',')]
    apiserver_cert_extra_sans: Vec<String>,
    /// Where certificates are kept
    #[arg(long)]
    cert_dir: Option<String>,
    /// Key that encrypts the uploaded certificates; a random one when absent
    #[arg(long)]
    pub certificate_key: Option<String>,
    /// Stable address of the control plane
    #[arg(long)]
    control_plane_endpoint: Option<String>,
    /// Name of this node
    #[arg(long)]
    node_name: Option<String>,
    /// Addresses for pods
    #[arg(long)]
    pod_network_cidr: Option<String>,
    /// Addresses for services
    #[arg(long)]
    service_cidr: Option<String>,
    /// DNS domain of services
    #[arg(long)]
    service_dns_domain: Option<String>,
    /// Do not print the key that encrypts the uploaded certificates
    #[arg(long)]
    pub skip_certificate_key_print: bool,
    /// Bootstrap token to create
    #[arg(long)]
    token: Option<String>,
    /// How long the token lives; 0 for ever
    #[arg(long)]
    token_ttl: Option<String>,
    /// Upload the control plane's certificates, encrypted, for two hours
    #[arg(long)]
    pub upload_certs: bool,
    /// kubeadm's own feature gates, where the release has any: A=true,B=false
    #[arg(long)]
    feature_gates: Option<String>,
    /// Algorithm of all keys: RSA-2048, RSA-3072, RSA-4096, ECDSA-P256, ECDSA-P384
    #[arg(long)]
    encryption_algorithm: Option<String>,
    /// Checks whose failure is only a warning
    #[arg(long, value_delimiter = ',')]
    ignore_preflight_errors: Vec<String>,
}

/// Defaults, then the file, then the flags.
pub(crate) fn config(host: &Host, version: Option<&str>, args: &InitFlags) -> Result<InitConfig> {
    let mut config = InitConfig::new(host, profile(version)?);
    if let Some(path) = &args.config {
        config.apply_file(path, &host.disk().read_to_string(path)?)?;
    }
    if version.is_some() {
        config.cluster.profile = profile(version)?;
    }
    let cluster = &mut config.cluster;
    replace(&mut cluster.certificates_dir, args.cert_dir.clone());
    replace(&mut cluster.pod_subnet, args.pod_network_cidr.clone());
    replace(&mut cluster.service_subnet, args.service_cidr.clone());
    replace(&mut cluster.dns_domain, args.service_dns_domain.clone());
    cluster.cert_sans.extend(args.apiserver_cert_extra_sans.iter().cloned());
    cluster.control_plane_endpoint =
        args.control_plane_endpoint.clone().or(cluster.control_plane_endpoint.take());
    if let Some(name) = &args.encryption_algorithm {
        cluster.algorithm = parse_algorithm(name)?;
    }
    replace(&mut config.advertise_address, args.apiserver_advertise_address);
    replace(&mut config.bind_port, args.apiserver_bind_port);
    replace(&mut config.node_name, args.node_name.as_ref().map(|n| n.to_lowercase()));
    config.token = args.token.clone().or(config.token);
    if let Some(ttl) = &args.token_ttl {
        config.token_ttl = parse_duration("--token-ttl", ttl)?;
    }
    config.certificate_key = args.certificate_key.clone().or(config.certificate_key);
    config.upload_certs = args.upload_certs;
    config.hide_certificate_key = args.skip_certificate_key_print;
    config.ignore_preflight.extend(args.ignore_preflight_errors.iter().map(|e| e.to_lowercase()));
    if let Some(gates) = &args.feature_gates {
        config.master.feature_gates.read_flag(config.cluster.profile, gates)?;
    }
    check_node_name(&config.node_name)?;
    Ok(config)
}
