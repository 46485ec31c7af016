//! Preflight checks: what would make the bootstrap fail later, found before anything is written.
//!
//! A simulated host has no CPUs, kernel or container runtime of its own to look at: of kubeadm's
//! checks these ask what the host really has (ports, files, directories, the kubelet's unit).

use std::net::{Ipv4Addr, SocketAddr};

use crate::{
    config::{InitConfig, JoinConfig},
    kubelet::UNIT,
    paths::{
        BOOTSTRAP_KUBELET_CONF, CONTROLLER_MANAGER_PORT, ETCD_DIR, KUBELET_CONF, KUBELET_PORT, MANIFESTS_DIR,
        PKI_DIR, SCHEDULER_PORT,
    },
    session::{Failure, Result, Session},
};

/// What a check found wrong.
pub(crate) struct Finding {
    pub check: String,
    pub words: String,
}

/// The checks of `kubeadm init`.
pub(crate) async fn init(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    s.say("[preflight] Running pre-flight checks");
    let mut found = Vec::new();
    let local_etcd = config.cluster.external_etcd.is_none();
    control_plane(s, config.bind_port, &mut found).await;
    port_free(s, KUBELET_PORT, &mut found).await;
    if let Some(external) = &config.cluster.external_etcd {
        for (_, path) in external.files() {
            if !s.disk().exists(path) {
                let words = format!("{path} doesn't exist");
                found.push(Finding { check: "ExternalEtcdClientCertificates".into(), words });
            }
        }
    } else {
        for port in [2379, 2380] {
            port_free(s, port, &mut found).await;
        }
    }
    if local_etcd && s.disk().list(ETCD_DIR).is_ok_and(|names| !names.is_empty()) {
        found.push(Finding {
            check: "DirAvailable--var-lib-etcd".into(),
            words: format!("{ETCD_DIR} is not empty"),
        });
    }
    service(s, &mut found);
    conclude(s, found, &config.ignore_preflight)
}

/// The checks of `kubeadm join`.
pub(crate) async fn join(s: &mut Session<'_>, config: &JoinConfig) -> Result<()> {
    s.say("[preflight] Running pre-flight checks");
    let mut found = Vec::new();
    for path in [KUBELET_CONF, BOOTSTRAP_KUBELET_CONF] {
        file_absent(s, path, &mut found);
    }
    match &config.control_plane {
        Some(join) => control_plane(s, join.bind_port, &mut found).await,
        None => file_absent(s, &format!("{PKI_DIR}/ca.crt"), &mut found),
    }
    port_free(s, KUBELET_PORT, &mut found).await;
    service(s, &mut found);
    conclude(s, found, &config.ignore_preflight)
}

/// What no host may have that is to become a control plane.
async fn control_plane(s: &Session<'_>, bind_port: u16, found: &mut Vec<Finding>) {
    for port in [bind_port, SCHEDULER_PORT, CONTROLLER_MANAGER_PORT] {
        port_free(s, port, found).await;
    }
    for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"] {
        file_absent(s, &format!("{MANIFESTS_DIR}/{name}.yaml"), found);
    }
}

/// Whether somebody on this host serves on a port.
pub(crate) async fn in_use(s: &Session<'_>, port: u16) -> bool {
    s.host.net().listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await.is_err_and(|e| e.in_use)
}

async fn port_free(s: &Session<'_>, port: u16, found: &mut Vec<Finding>) {
    if in_use(s, port).await {
        found.push(Finding { check: format!("Port-{port}"), words: format!("Port {port} is in use") });
    }
}

fn file_absent(s: &Session<'_>, path: &str, found: &mut Vec<Finding>) {
    if s.disk().exists(path) {
        let check = format!("FileAvailable-{}", path.replace('/', "-"));
        found.push(Finding { check, words: format!("{path} already exists") });
    }
}

fn service(s: &Session<'_>, found: &mut Vec<Finding>) {
    if !s.host.services().is_installed(UNIT) {
        found.push(Finding {
            check: "Service-kubelet".into(),
            words: "the kubelet service does not exist on this host".into(),
        });
    }
}

/// Warns of what is ignored, by lower-case name, and refuses to go on with the rest.
pub(crate) fn conclude(s: &mut Session<'_>, found: Vec<Finding>, ignore: &[String]) -> Result<()> {
    let ignored = |f: &Finding| ignore.iter().any(|i| i == "all" || *i == f.check.to_lowercase());
    for f in found.iter().filter(|f| ignored(f)) {
        s.say(format!("\t[WARNING {}]: {}", f.check, f.words));
    }
    let fatal: Vec<String> = found
        .iter()
        .filter(|f| !ignored(f))
        .map(|f| format!("\t[ERROR {}]: {}\n", f.check, f.words))
        .collect();
    if fatal.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "[preflight] Some fatal errors occurred:\n{}[preflight] If you know what you are doing, you can make a check \
         non-fatal with `--ignore-preflight-errors=...`",
        fatal.concat()
    )))
}
