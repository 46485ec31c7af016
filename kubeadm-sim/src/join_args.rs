//! Flags of `kubeadm join` and of its phases, and the configuration that they and a file make.

use std::net::IpAddr;

use api::profile::Profile;
use clap::{Args, Subcommand};
use world::Host;

use crate::{
    cli::{ignored_checks, replace},
    config::{ControlPlaneJoin, JoinConfig, check_node_name},
    documents::ConfigError,
    paths::APISERVER_PORT,
    session::Result,
};

/// `kubeadm join`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct JoinArgs {
    /// host:port of an apiserver
    pub endpoint: Option<String>,
    #[command(flatten)]
    pub flags: JoinFlags,
    /// Phases to leave out, as `phase` or `phase/part`
    #[arg(long, value_delimiter = ',')]
    pub skip_phases: Vec<String>,
    #[command(subcommand)]
    pub only: Option<JoinCommand>,
}

#[derive(Subcommand)]
pub(crate) enum JoinCommand {
    /// Run a single phase of the join workflow
    Phase(JoinPhaseArgs),
}

/// `kubeadm join phase`.
#[derive(Args)]
pub(crate) struct JoinPhaseArgs {
    /// The phase
    pub phase: String,
    /// Its part, or all, where it has parts; then host:port of an apiserver
    #[arg(num_args = 0..=2)]
    pub rest: Vec<String>,
    #[command(flatten)]
    pub flags: JoinFlags,
}

impl JoinPhaseArgs {
    /// The part that is named, and the endpoint: what holds a colon is no part.
    pub(crate) fn split(&self) -> (Option<&str>, Option<String>) {
        let part = self.rest.first().map(String::as_str).filter(|text| !text.contains(':'));
        let endpoint = self.rest.iter().find(|text| text.contains(':')).cloned();
        (part, endpoint)
    }
}

#[derive(Args, Default)]
pub(crate) struct JoinFlags {
    /// IP address that the apiserver of a new control plane announces
    #[arg(long)]
    apiserver_advertise_address: Option<IpAddr>,
    /// Port of the apiserver of a new control plane
    #[arg(long)]
    apiserver_bind_port: Option<u16>,
    /// Key that decrypts the uploaded certificates
    #[arg(long)]
    certificate_key: Option<String>,
    /// kubeadm configuration file with a JoinConfiguration
    #[arg(long)]
    config: Option<String>,
    /// Make this host a control plane
    #[arg(long)]
    control_plane: bool,
    /// Where the container runtime listens
    #[arg(long)]
    cri_socket: Option<String>,
    /// A file or https URL with a kubeconfig from which to load cluster information
    #[arg(long)]
    discovery_file: Option<String>,
    /// Token for discovery
    #[arg(long)]
    discovery_token: Option<String>,
    /// sha256:… of the cluster CA's public key
    #[arg(long, value_delimiter = ',')]
    discovery_token_ca_cert_hash: Vec<String>,
    /// Trust whatever CA the apiserver shows
    #[arg(long)]
    discovery_token_unsafe_skip_ca_verification: bool,
    /// Don't apply any changes; just output what would be done
    #[arg(long)]
    dry_run: bool,
    /// Checks whose failure is only a warning
    #[arg(long, value_delimiter = ',')]
    ignore_preflight_errors: Vec<String>,
    /// Name of this node
    #[arg(long)]
    node_name: Option<String>,
    /// Directory with files target[suffix][+patchtype].extension, patches of what is written
    #[arg(long)]
    patches: Option<String>,
    /// Token for the TLS bootstrap
    #[arg(long)]
    tls_bootstrap_token: Option<String>,
    /// Token for both discovery and TLS bootstrap where they have none of their own
    #[arg(long)]
    token: Option<String>,
}

/// Defaults, then the file, then the flags. `discovers` is whether the configuration must say how the cluster is
/// found; phases that come later find it by the administrator's kubeconfig.
pub(crate) fn config(
    host: &Host,
    profile: Profile,
    endpoint: Option<String>,
    flags: &JoinFlags,
    discovers: bool,
) -> Result<JoinConfig> {
    let mut config = JoinConfig::new(host, profile);
    if let Some(path) = &flags.config {
        config.apply_file(host, path, &host.disk().read_to_string(path)?)?;
    }
    replace(&mut config.endpoint, endpoint);
    replace(&mut config.token, flags.discovery_token.clone().or(flags.token.clone()));
    let own_tls = flags.tls_bootstrap_token.clone().or(flags.token.clone());
    config.tls_bootstrap_token = own_tls.or(config.tls_bootstrap_token);
    config.discovery_file = flags.discovery_file.clone().or(config.discovery_file);
    config.ca_cert_hashes.extend(flags.discovery_token_ca_cert_hash.iter().cloned());
    config.unsafe_skip_ca_verification |= flags.discovery_token_unsafe_skip_ca_verification;
    config.patches = flags.patches.clone().or(config.patches);
    config.dry_run |= flags.dry_run;
    replace(&mut config.node_name, flags.node_name.as_ref().map(|name| name.to_lowercase()));
    replace(&mut config.node.cri_socket, flags.cri_socket.clone());
    config.ignore_preflight.extend(ignored_checks(&flags.ignore_preflight_errors)?);
    apply_control_plane(host, &mut config, flags);
    check(&config, discovers)?;
    Ok(config)
}

fn apply_control_plane(host: &Host, config: &mut JoinConfig, flags: &JoinFlags) {
    if flags.control_plane && config.control_plane.is_none() {
        config.control_plane = Some(ControlPlaneJoin {
            advertise_address: host.net().address(),
            bind_port: APISERVER_PORT,
            certificate_key: None,
        });
    }
    let given = flags.apiserver_advertise_address.is_some()
        || flags.apiserver_bind_port.is_some()
        || flags.certificate_key.is_some();
    match &mut config.control_plane {
        Some(join) => {
            replace(&mut join.advertise_address, flags.apiserver_advertise_address);
            replace(&mut join.bind_port, flags.apiserver_bind_port);
            join.certificate_key = flags.certificate_key.clone().or(join.certificate_key.take());
        }
        None if given => config.warnings.push(
            "[preflight] WARNING: --control-plane is also required when passing control-plane related flags such as \
             [certificate-key, apiserver-advertise-address, apiserver-bind-port]"
                .into(),
        ),
        None => {}
    }
}

/// Refuses what upstream's validation refuses (`cmd/kubeadm/app/apis/kubeadm/validation`).
pub(crate) fn check(config: &JoinConfig, discovers: bool) -> Result<()> {
    check_node_name(&config.node_name)?;
    if !discovers {
        return Ok(());
    }
    if let Some(file) = &config.discovery_file {
        if file.starts_with("http://") {
            return Err(ConfigError::invalid(
                "discovery.file.kubeConfigPath",
                format!("{file:?}: if a URL is used, the scheme must be https"),
            )
            .into());
        }
        return Ok(());
    }
    let required = |field: &str, value: &str| match value {
        "" => Err(ConfigError::invalid(field, "required; see kubeadm token create --print-join-command")),
        _ => Ok(()),
    };
    required("discovery.bootstrapToken.apiServerEndpoint", &config.endpoint)?;
    required("discovery.bootstrapToken.token", &config.token)?;
    if config.ca_cert_hashes.is_empty()
        && !config.unsafe_skip_ca_verification
        && config.profile.join_demands_pins()
    {
        return Err(ConfigError::Refused(
            "discovery.bootstrapToken: Invalid value: \"\": using token-based discovery without caCertHashes can be \
             unsafe. Set unsafeSkipCAVerification as true in your kubeadm config file or pass \
             --discovery-token-unsafe-skip-ca-verification flag to continue"
                .into(),
        )
        .into());
    }
    Ok(())
}
