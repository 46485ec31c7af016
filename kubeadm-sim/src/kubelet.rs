//! The kubelet's files and its unit: `kubelet-start` and `kubelet-finalize`.

use api::profile::console;
use pki::kubeconfig::{Kubeconfig, User};
use serde_json::{Value, json};

use crate::{
    node_registration::NodeRegistration,
    patches::patched,
    paths::{KUBELET_CONF, KUBELET_CONFIG, KUBELET_CURRENT, KUBELET_FLAGS, KUBELET_INSTANCE_CONFIG},
    session::{Failure, Result, Session, yaml},
};

/// Name of the kubelet's unit in the host's init system.
pub(crate) const UNIT: &str = "kubelet";

/// What the kubelet is to be told.
pub(crate) struct Told<'a> {
    pub config: &'a Value,
    pub node_name: &'a str,
    pub node: &'a NodeRegistration,
    /// Whether the configuration is written before the flags, as a join does.
    pub config_first: bool,
    /// Whether the kubelet registers the node with its taints; a control plane's are put on it later.
    pub registers_taints: bool,
}

/// Writes the kubelet's files and starts it; it must not run while they change.
pub(crate) async fn start(s: &Session<'_>, told: &Told<'_>) -> Result<()> {
    let dry = s.dry_run().is_some();
    if !dry && !s.host.services().is_installed(UNIT) {
        return Err(Failure::new(
            "no kubelet service on this host: install the unit \"kubelet\" in its init system first",
        ));
    }
    if s.profile.kubelet_unit_flags_only() {
        if !dry {
            try_start(s);
        }
        return Ok(());
    }
    if dry {
        s.say("[kubelet-start] Would stop the kubelet");
    } else {
        stop(s).await;
    }
    let socket = &told.node.cri_socket;
    if told.config_first {
        write_configs(s, told.config, socket)?;
        write_flags(s, told)?;
    } else {
        write_flags(s, told)?;
        write_configs(s, told.config, socket)?;
    }
    if dry {
        s.say("[kubelet-start] Would start the kubelet");
        return Ok(());
    }
    start_unit(s);
    Ok(())
}

/// Stops the kubelet.
pub(crate) async fn stop(s: &Session<'_>) {
    s.host.services().stop(UNIT).await;
}

/// Starts the kubelet with what lies there now.
pub(crate) fn start_unit(s: &Session<'_>) {
    s.tell(&console::KUBELET_STARTS, &[]);
    s.host.services().start(s.host, UNIT);
}

/// Writes the configuration of all kubelets, and before it this host's own where the release has one.
pub(crate) fn write_configs(s: &Session<'_>, config: &Value, socket: &str) -> Result<()> {
    if !s.profile.node_local_cri_socket() {
        return write_config(s, config, None);
    }
    write_instance_config(s, socket)?;
    write_config(s, config, Some(socket))
}

/// Writes what concerns this host only.
pub(crate) fn write_instance_config(s: &Session<'_>, socket: &str) -> Result<()> {
    s.tell(&console::INSTANCE_CONFIG, &[KUBELET_INSTANCE_CONFIG]);
    let instance = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "containerRuntimeEndpoint": socket,
        "kind": "KubeletConfiguration",
    });
    let text = yaml("the kubelet's configuration of this host", &instance)?;
    Ok(s.disk().write(KUBELET_INSTANCE_CONFIG, text, 0o644)?)
}

/// Writes KubeletConfiguration: people's patches, then what concerns this host only.
pub(crate) fn write_config(s: &Session<'_>, config: &Value, socket: Option<&str>) -> Result<()> {
    let mut config = patched(s, "kubeletconfiguration", config.clone())?;
    if let Some(socket) = socket {
        config["containerRuntimeEndpoint"] = socket.into();
        s.tell(&console::INSTANCE_APPLIED, &[]);
    }
    s.tell(&console::KUBELET_CONFIG, &[KUBELET_CONFIG]);
    s.disk().write(KUBELET_CONFIG, yaml("the kubelet's configuration", &config)?, 0o644)?;
    Ok(())
}

/// Writes the flags that belong to this host.
pub(crate) fn write_flags(s: &Session<'_>, told: &Told<'_>) -> Result<()> {
    s.tell(&console::KUBELET_FLAGS, &[KUBELET_FLAGS]);
    let flags = flags(s, told)?;
    s.disk().write(KUBELET_FLAGS, format!("KUBELET_KUBEADM_ARGS=\"{}\"\n", flags.join(" ")), 0o644)?;
    Ok(())
}

/// The flags of the environment file; what concerns this host only goes to a file of its own where the release
/// has one. Flags of the configuration win over kubeadm's.
fn flags(s: &Session<'_>, told: &Told<'_>) -> Result<Vec<String>> {
    let socket = &told.node.cri_socket;
    let mut own = Vec::new();
    if !s.profile.node_local_cri_socket() {
        own.push(("container-runtime-endpoint", socket.clone()));
    }
    if told.node_name != s.host.name() {
        own.push(("hostname-override", told.node_name.to_owned()));
    }
    if told.registers_taints
        && let Some(taints) = told.node.taints_flag()
    {
        own.push(("register-with-taints", taints));
    }
    let extra = &told.node.kubelet_extra_args;
    own.retain(|(name, _)| !extra.iter().any(|(given, _)| given == name));
    let mut all: Vec<(&str, &str)> = own
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain(extra.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .collect();
    all.sort_unstable();
    Ok(all.into_iter().map(|(name, value)| format!("--{name}={value}")).collect())
}

/// Starts a kubelet that does not run, with the flags of its package. What it needs is not there yet: it ends,
/// and its unit starts it again until it is (`cmd/kubeadm/app/preflight`, TryStartKubelet).
pub(crate) fn try_start(s: &Session<'_>) {
    if !s.host.services().is_active(UNIT) {
        s.tell(&console::KUBELET_STARTS, &[]);
        s.host.services().start(s.host, UNIT);
    }
}

/// Makes the control plane's kubelet.conf name the rotating certificate instead of embedding one.
pub(crate) async fn finalize(s: &Session<'_>) -> Result<()> {
    if !s.disk().exists(KUBELET_CURRENT) {
        return Ok(());
    }
    s.say(format!(
        "[kubelet-finalize] Updating {KUBELET_CONF:?} to point to a rotatable kubelet client certificate and key"
    ));
    let mut config = Kubeconfig::load(s.disk(), KUBELET_CONF)?;
    for named in &mut config.users {
        named.user = User::with_files(KUBELET_CURRENT, KUBELET_CURRENT);
    }
    s.disk().write(KUBELET_CONF, config.to_yaml(), 0o600)?;
    if s.dry_run().is_none() {
        s.host.services().restart(s.host, UNIT).await;
    }
    Ok(())
}
