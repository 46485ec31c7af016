//! `kubeadm join` before 1.13: nothing was read of kubeadm's own configuration
//! (`cmd/kubeadm/app/cmd/join.go` of 1.8 to 1.12).
//!
//! Up to 1.10 kubeadm only tried to start the kubelet, left bootstrap-kubelet.conf for it and was done: the
//! kubelet, started again and again by its unit, obtained kubelet.conf by itself. 1.11 and 1.12 write its
//! configuration, start it and wait.

use api::profile::console;
use client::Rest;
use serde_json::Value;

use crate::{
    config::JoinConfig,
    discovery,
    kubelet::{self, Told},
    paths::{BOOTSTRAP_KUBELET_CONF, KUBELET_CONF},
    preflight,
    session::{Failure, Result, Session},
    stored::read_map,
    upload::annotate_cri_socket,
    wait,
};

/// Makes this host a worker of an existing cluster.
pub(crate) async fn run(s: &Session<'_>, config: &JoinConfig) -> Result<()> {
    if config.control_plane.is_some() {
        return Err(Failure::new(format!(
            "unknown flag: --control-plane: kubeadm {} joins workers; further masters are made with init and \
             the certificates of the first",
            s.profile.git_version()
        )));
    }
    if config.dry_run {
        return Err(Failure::new(format!(
            "unknown flag: --dry-run: kubeadm {} joins for good",
            s.profile.git_version()
        )));
    }
    let unpinned = config.ca_cert_hashes.is_empty() && !config.unsafe_skip_ca_verification;
    if unpinned && config.discovery_file.is_none() {
        s.tell(&console::UNPINNED, &[]);
    }
    s.tell(&console::BETA, &[]);
    s.tell(&console::PREFLIGHT, &[]);
    preflight::join(s, config).await?;
    if s.profile.kubelet_unit_flags_only() {
        kubelet::try_start(s);
    }
    let bootstrap = discovery::run(s, config).await?;
    let rest = s.client_of(&bootstrap)?;
    let kubelet_config = match s.profile.kubelet_config_name() {
        Some(name) => {
            s.tell(&console::KUBELET_CONFIG_ASKED, &[&name]);
            Some(downloaded(&rest, &name).await?)
        }
        None => None,
    };
    s.disk().write(BOOTSTRAP_KUBELET_CONF, bootstrap.to_yaml(), 0o600)?;
    s.disk().write(&config.ca_cert_path, bootstrap.roots(s.disk())?.unwrap_or_default().to_pem(), 0o644)?;
    match kubelet_config {
        Some(document) => start_and_wait(s, config, &document).await?,
        None => detect_server(s, &rest).await?,
    }
    s.tell(&console::JOIN_DONE, &[]);
    Ok(())
}

async fn downloaded(rest: &Rest, name: &str) -> Result<Value> {
    serde_saphyr::from_str(&read_map(rest, name, "kubelet").await?)
        .map_err(|e| Failure::new(format!("the uploaded kubelet configuration is not YAML: {e}")))
}

/// Once it was not certain that a server could sign certificates.
async fn detect_server(s: &Session<'_>, rest: &Rest) -> Result<()> {
    if console::SERVER_DETECTED.fill(s.profile, &[]).is_none() {
        return Ok(());
    }
    let (_, body) = rest.raw(http::Method::GET, "/version", None).await?;
    let version: Value = serde_json::from_slice(&body)
        .map_err(|e| Failure::new(format!("failed to check server version: {e}")))?;
    let version = version.get("gitVersion").and_then(Value::as_str).unwrap_or_default();
    s.tell(&console::SERVER_DETECTED, &[version]);
    Ok(())
}

async fn start_and_wait(s: &Session<'_>, config: &JoinConfig, document: &Value) -> Result<()> {
    kubelet::stop(s).await;
    kubelet::write_config(s, document, None)?;
    let told = Told {
        config: document,
        node_name: &config.node_name,
        node: &config.node,
        config_first: true,
        registers_taints: true,
    };
    kubelet::write_flags(s, &told)?;
    kubelet::start_unit(s);
    wait::tls_bootstrap(s, &config.timeouts).await?;
    let node = s.client(KUBELET_CONF)?;
    annotate_cri_socket(s, &node, &config.node_name, &config.node.cri_socket).await
}
