//! The kubelet's files and its unit: `kubelet-start` and `kubelet-finalize`.

use api::profile::console;
use pki::kubeconfig::{Kubeconfig, User};
use serde_json::{Value, json};

use crate::{
    config::ClusterConfig,
    paths::{
        CRI_SOCKET, KUBELET_CONF, KUBELET_CONFIG, KUBELET_CURRENT, KUBELET_FLAGS, KUBELET_HEALTH_PORT,
        KUBELET_INSTANCE_CONFIG, MANIFESTS_DIR,
    },
    session::{Failure, Result, Session, yaml},
};

/// Name of the kubelet's unit in the host's init system.
pub(crate) const UNIT: &str = "kubelet";

/// KubeletConfiguration as kubeadm fills it for a cluster.
pub(crate) fn configuration(cluster: &ClusterConfig) -> Result<Value> {
    Ok(json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"cacheTTL": "0s", "enabled": true},
            "x509": {"clientCAFile": format!("{}/ca.crt", cluster.certificates_dir)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "systemd",
        "clusterDNS": [cluster.service_ip(10)?.to_string()],
        "clusterDomain": cluster.dns_domain,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": KUBELET_HEALTH_PORT,
        "kind": "KubeletConfiguration",
        "rotateCertificates": true,
        "staticPodPath": MANIFESTS_DIR,
    }))
}

/// Writes the kubelet's files and starts it; it must not run while they change.
pub(crate) async fn start(s: &mut Session<'_>, config: &Value, node_name: &str) -> Result<()> {
    if !s.host.services().is_installed(UNIT) {
        return Err(Failure::new(
            "no kubelet service on this host: install the unit \"kubelet\" in its init system first",
        ));
    }
    if s.profile.kubelet_unit_flags_only() {
        try_start(s);
        return Ok(());
    }
    stop(s).await;
    write_flags(s, node_name)?;
    write_config(s, config)?;
    start_unit(s);
    Ok(())
}

/// Stops the kubelet.
pub(crate) async fn stop(s: &Session<'_>) {
    s.host.services().stop(UNIT).await;
}

/// Starts the kubelet with what lies there now.
pub(crate) fn start_unit(s: &mut Session<'_>) {
    s.tell(&console::KUBELET_STARTS, &[]);
    s.host.services().start(s.host, UNIT);
}

/// Writes KubeletConfiguration.
pub(crate) fn write_config(s: &mut Session<'_>, config: &Value) -> Result<()> {
    s.tell(&console::KUBELET_CONFIG, &[KUBELET_CONFIG]);
    s.disk().write(KUBELET_CONFIG, yaml("the kubelet's configuration", config)?, 0o644)?;
    Ok(())
}

/// Writes the flags that belong to this host.
pub(crate) fn write_flags(s: &mut Session<'_>, node_name: &str) -> Result<()> {
    s.tell(&console::KUBELET_FLAGS, &[KUBELET_FLAGS]);
    let mut flags = Vec::new();
    if s.profile.node_local_cri_socket() {
        let instance = json!({"apiVersion": "kubelet.config.k8s.io/v1beta1", "containerRuntimeEndpoint": CRI_SOCKET, "kind": "KubeletConfiguration"});
        s.disk().write(
            KUBELET_INSTANCE_CONFIG,
            yaml("the kubelet's configuration of this host", &instance)?,
            0o644,
        )?;
    } else {
        flags.push(format!("--container-runtime-endpoint={CRI_SOCKET}"));
    }
    if node_name != s.host.name() {
        flags.push(format!("--hostname-override={node_name}"));
    }
    s.disk().write(KUBELET_FLAGS, format!("KUBELET_KUBEADM_ARGS=\"{}\"\n", flags.join(" ")), 0o644)?;
    Ok(())
}

/// Starts a kubelet that does not run, with the flags of its package. What it needs is not there yet: it ends,
/// and its unit starts it again until it is (`cmd/kubeadm/app/preflight`, TryStartKubelet).
pub(crate) fn try_start(s: &mut Session<'_>) {
    if !s.host.services().is_active(UNIT) {
        s.tell(&console::KUBELET_STARTS, &[]);
        s.host.services().start(s.host, UNIT);
    }
}

/// Makes the control plane's kubelet.conf name the rotating certificate instead of embedding one.
pub(crate) async fn finalize(s: &mut Session<'_>) -> Result<()> {
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
    s.host.services().restart(s.host, UNIT).await;
    Ok(())
}
