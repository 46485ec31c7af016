//! Flags of `kubeadm join`, and the configuration that they and a file make.

use std::net::IpAddr;

use api::profile::Profile;
use clap::Args;
use world::Host;

use crate::{
    cli::replace,
    config::{ControlPlaneJoin, JoinConfig, check_node_name, parse_duration},
    documents::{ConfigError, documents},
    paths::{APISERVER_PORT, DISCOVERY_TIMEOUT, TLS_BOOTSTRAP_TIMEOUT},
    schema,
    session::{Failure, Result},
    v1alpha1,
};

/// `kubeadm join`.
#[derive(Args, Default)]
pub(crate) struct JoinArgs {
    /// host:port of an apiserver
    endpoint: Option<String>,
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

/// Defaults and flags, then the file.
pub(crate) fn config(host: &Host, profile: Profile, args: JoinArgs) -> Result<JoinConfig> {
    let control_plane = ControlPlaneJoin {
        advertise_address: args.apiserver_advertise_address.unwrap_or_else(|| host.net().address()),
        bind_port: args.apiserver_bind_port.unwrap_or(APISERVER_PORT),
        certificate_key: args.certificate_key,
    };
    let mut config = JoinConfig {
        profile,
        node_name: args.node_name.unwrap_or_else(|| host.name().to_owned()).to_lowercase(),
        endpoint: args.endpoint.unwrap_or_default(),
        token: args.token.unwrap_or_default(),
        tls_bootstrap_token: None,
        ca_cert_hashes: args.discovery_token_ca_cert_hash,
        unsafe_skip_ca_verification: args.discovery_token_unsafe_skip_ca_verification,
        warnings: Vec::new(),
        control_plane: args.control_plane.then_some(control_plane.clone()),
        ignore_preflight: args.ignore_preflight_errors.iter().map(|e| e.to_lowercase()).collect(),
        discovery_timeout: DISCOVERY_TIMEOUT,
        tls_bootstrap_timeout: TLS_BOOTSTRAP_TIMEOUT,
    };
    if let Some(path) = &args.config {
        apply_file(&mut config, control_plane, path, &host.disk().read_to_string(path)?)?;
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

/// Whether a file alone would do.
pub(crate) fn check_file(host: &Host, profile: Profile, path: &str) -> Result<()> {
    let args = JoinArgs { config: Some(path.to_owned()), ..JoinArgs::default() };
    config(host, profile, args).map(drop)
}

fn apply_file(
    config: &mut JoinConfig,
    control_plane: ControlPlaneJoin,
    path: &str,
    text: &str,
) -> Result<()> {
    if v1alpha1::is_read(config.profile, text) {
        return Ok(v1alpha1::node(config, path, text)?);
    }
    let documents = documents(path, text)?;
    for doc in &documents {
        config.warnings.extend(schema::complaint(doc)?);
    }
    for doc in
        documents.iter().filter(|d| d.get("kind").and_then(|k| k.as_str()) == Some("JoinConfiguration"))
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
        if doc.get("controlPlane").is_some() {
            let join = config.control_plane.get_or_insert_with(|| control_plane.clone());
            join.certificate_key = at("/controlPlane/certificateKey").or(join.certificate_key.take());
            if let Some(address) = at("/controlPlane/localAPIEndpoint/advertiseAddress") {
                join.advertise_address = address.parse().map_err(|_| {
                    ConfigError::invalid(
                        "controlPlane.localAPIEndpoint.advertiseAddress",
                        format!("{address:?} is not an IP address"),
                    )
                })?;
            }
            if let Some(port) =
                doc.pointer("/controlPlane/localAPIEndpoint/bindPort").and_then(|v| v.as_u64())
            {
                join.bind_port = u16::try_from(port).map_err(|_| {
                    ConfigError::invalid(
                        "controlPlane.localAPIEndpoint.bindPort",
                        format!("{port} is not a port"),
                    )
                })?;
            }
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
