//! The `kubeconfig` phase: the files by which people and components reach the apiserver.

use pki::{
    Authority, CertSpec, CertifiedKey, PrivateKey,
    kubeconfig::{Cluster, Kubeconfig, User},
};

use crate::{
    certs::{after, load_authority, record},
    config::InitConfig,
    paths::{KUBERNETES_DIR, PKI_DIR},
    session::{Failure, Result, Session},
};

struct Row {
    file: &'static str,
    user: Name,
    organizations: &'static [&'static str],
    /// Talks to the apiserver of its own host instead of the control plane endpoint.
    local: bool,
}

enum Name {
    Fixed(&'static str),
    Node,
}

/// In kubeadm's order.
fn rows(minor: u16) -> Vec<Row> {
    let admins: &[&str] = if minor >= 29 { &["kubeadm:cluster-admins"] } else { &["system:masters"] };
    let mut rows = vec![Row {
        file: "admin.conf",
        user: Name::Fixed("kubernetes-admin"),
        organizations: admins,
        local: false,
    }];
    if minor >= 29 {
        rows.push(Row {
            file: "super-admin.conf",
            user: Name::Fixed("kubernetes-super-admin"),
            organizations: &["system:masters"],
            local: false,
        });
    }
    rows.extend([
        Row { file: "kubelet.conf", user: Name::Node, organizations: &["system:nodes"], local: false },
        Row {
            file: "controller-manager.conf",
            user: Name::Fixed("system:kube-controller-manager"),
            organizations: &[],
            local: true,
        },
        Row {
            file: "scheduler.conf",
            user: Name::Fixed("system:kube-scheduler"),
            organizations: &[],
            local: true,
        },
    ]);
    rows
}

/// Runs the phase.
pub(crate) fn run(s: &mut Session<'_>, config: &InitConfig) -> Result<()> {
    s.say(format!("[kubeconfig] Using kubeconfig folder {KUBERNETES_DIR:?}"));
    let authority = load_authority(s, &config.cluster.certificates_dir, "ca")?;
    for row in rows(s.profile.minor()) {
        write(s, config, &authority, &row)?;
    }
    Ok(())
}

fn write(s: &mut Session<'_>, config: &InitConfig, authority: &Authority, row: &Row) -> Result<()> {
    let path = format!("{KUBERNETES_DIR}/{}", row.file);
    if s.disk().exists(&path) {
        let existing = Kubeconfig::load(s.disk(), &path)?;
        let trusted = existing.roots(s.disk())?;
        let ours = authority.certificate.der();
        if !trusted.is_some_and(|roots| roots.certificates().iter().any(|c| c.der() == ours)) {
            return Err(Failure::new(format!(
                "a kubeconfig file {path:?} exists but does not contain a trusted CA in its current context's cluster; \
                 move it away to have a new one written"
            )));
        }
        s.say(format!("[kubeconfig] Using existing kubeconfig file: {path:?}"));
        return Ok(());
    }
    s.say(format!("[kubeconfig] Writing {:?} kubeconfig file", row.file));
    let user = match row.user {
        Name::Fixed(name) => name.to_owned(),
        Name::Node => format!("system:node:{}", config.node_name),
    };
    let key = PrivateKey::generate(config.cluster.algorithm)
        .map_err(|e| Failure::new(format!("unable to create the private key of {}: {e}", row.file)))?;
    let spec = CertSpec {
        common_name: user.clone(),
        organizations: row.organizations.iter().map(|o| (*o).to_owned()).collect(),
        dns_names: Vec::new(),
        ips: Vec::new(),
        client_auth: true,
        server_auth: false,
        // No backdate is asked for here, so kubeadm's signer falls back to the CA's own beginning.
        not_before: authority.certificate.not_before(),
        not_after: after(s.started, config.cluster.leaf_validity),
    };
    let certificate = authority
        .issue(s.host.entropy(), &spec, &key.public())
        .map_err(|e| Failure::new(format!("unable to sign the client certificate of {}: {e}", row.file)))?;
    record(s, row.file, &certificate);
    let endpoint = if row.local { config.local_endpoint() } else { config.endpoint() };
    let pair = CertifiedKey::new(vec![certificate], key)
        .map_err(|e| Failure::new(format!("unable to use the client certificate of {}: {e}", row.file)))?;
    let cluster = Cluster::new(&format!("https://{endpoint}"), &authority.certificate.to_pem());
    let written =
        Kubeconfig::new(&config.cluster.cluster_name, cluster, &user, User::with_certificate(&pair));
    s.disk().write(&path, written.to_yaml(), 0o600)?;
    Ok(())
}

/// CA certificates of the cluster as they lie in /etc/kubernetes/pki/ca.crt.
pub(crate) fn cluster_ca(s: &Session<'_>) -> Result<String> {
    Ok(s.disk().read_to_string(format!("{PKI_DIR}/ca.crt"))?)
}
