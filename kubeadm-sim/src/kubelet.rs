//! The kubelet's files and its unit: `kubelet-start` and `kubelet-finalize`.

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
    s.host.services().stop(UNIT).await;
    s.say(format!("[kubelet-start] Writing kubelet environment file with flags to file {KUBELET_FLAGS:?}"));
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
    s.say(format!("[kubelet-start] Writing kubelet configuration to file {KUBELET_CONFIG:?}"));
    s.disk().write(KUBELET_CONFIG, yaml("the kubelet's configuration", config)?, 0o644)?;
    s.say("[kubelet-start] Starting the kubelet");
    s.host.services().start(s.host, UNIT);
    Ok(())
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
