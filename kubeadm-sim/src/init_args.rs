//! Flags of `kubeadm init` and of its phases, and the configuration that they and a file make.

use std::net::IpAddr;

use api::profile::Profile;
use clap::{Args, Subcommand};
use world::Host;

use crate::{
    cli::{ignored_checks, profile, replace},
    config::{InitConfig, check_node_name, parse_algorithm, parse_duration},
    documents::ConfigError,
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
    /// kubeadm configuration file
    #[arg(long)]
    config: Option<String>,
    /// Where the container runtime listens
    #[arg(long)]
    cri_socket: Option<String>,
    /// Don't apply any changes; just output what would be done
    #[arg(long)]
    dry_run: bool,
    /// Registry to pull control plane images from
    #[arg(long)]
    image_repository: Option<String>,
    /// Directory with files target[suffix][+patchtype].extension, patches of what is written
    #[arg(long)]
    patches: Option<String>,
    /// Do not print the bootstrap tokens
    #[arg(long)]
    skip_token_print: bool,
    /// kubeadm's own feature gates, as name=true or name=false
    #[arg(long, value_delimiter = ',')]
    feature_gates: Vec<String>,
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
    /// Algorithm of all keys: RSA-2048, RSA-3072, RSA-4096, ECDSA-P256, ECDSA-P384
    #[arg(long)]
    encryption_algorithm: Option<String>,
    /// Validity of leaf certificates, also in releases that cannot be told: ours, for stories in which only one
    /// certificate ends
    #[arg(long, hide = true)]
    chronoplane_leaf_validity: Option<String>,
    /// Checks whose failure is only a warning
    #[arg(long, value_delimiter = ',')]
    ignore_preflight_errors: Vec<String>,
}

/// Defaults, then the file, then the flags.
pub(crate) fn config(host: &Host, version: Option<&str>, args: &InitFlags) -> Result<InitConfig> {
    let release = profile(version)?;
    let mut config = InitConfig::new(host, release);
    if let Some(path) = &args.config {
        config.apply_file(path, &host.disk().read_to_string(path)?)?;
    }
    if version.is_some() {
        check_skew(release, config.cluster.profile)?;
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
    if let Some(validity) = &args.chronoplane_leaf_validity {
        cluster.leaf_validity = parse_duration("--chronoplane-leaf-validity", validity)?;
    }
    cluster.image_repository = args.image_repository.clone().or(cluster.image_repository.take());
    cluster.feature_gates.read_flag(cluster.profile, &args.feature_gates.join(","))?;
    replace(&mut config.advertise_address, args.apiserver_advertise_address);
    replace(&mut config.bind_port, args.apiserver_bind_port);
    replace(&mut config.node_name, args.node_name.as_ref().map(|n| n.to_lowercase()));
    apply_token(&mut config, args)?;
    replace(&mut config.node.cri_socket, args.cri_socket.clone());
    config.patches = args.patches.clone().or(config.patches);
    config.dry_run |= args.dry_run;
    config.hide_tokens = args.skip_token_print;
    config.certificate_key = args.certificate_key.clone().or(config.certificate_key);
    config.upload_certs = args.upload_certs;
    config.hide_certificate_key = args.skip_certificate_key_print;
    config.ignore_preflight.extend(ignored_checks(&args.ignore_preflight_errors)?);
    check_node_name(&config.node_name)?;
    Ok(config)
}

/// The flags of tokens are about the first one, which they describe as upstream does.
fn apply_token(config: &mut InitConfig, args: &InitFlags) -> Result<()> {
    let Some(first) = config.tokens.first_mut() else { return Ok(()) };
    if args.config.is_none() || args.token.is_some() {
        "The default bootstrap token generated by 'kubeadm init'.".clone_into(&mut first.description);
    }
    if let Some(token) = &args.token {
        let token =
            token.parse().map_err(|e| ConfigError::invalid("bootstrapTokens[0].token", format!("{e}")))?;
        first.token = Some(token);
    }
    if let Some(ttl) = &args.token_ttl {
        first.ttl = parse_duration("--token-ttl", ttl)?;
        first.expires = None;
    }
    Ok(())
}

/// A kubeadm installs its own minor and the one before (`NormalizeKubernetesVersion`); of a newer one preflight warns.
fn check_skew(kubeadm: Profile, wanted: Profile) -> Result<()> {
    if wanted.minor() + 1 < kubeadm.minor() {
        return Err(ConfigError::Refused(format!(
            "this version of kubeadm only supports deploying clusters with the control plane version >= 1.{}.0. Current \
             version: {}",
            kubeadm.minor() - 1,
            wanted.git_version()
        ))
        .into());
    }
    Ok(())
}
