//! The `kubeconfig` phase: the files by which people and components reach the apiserver.

use api::profile::{Profile, console};
use pki::{
    Authority, CertSpec, Certificate, CertifiedKey,
    kubeconfig::{Cluster, Kubeconfig, User},
};

use crate::{
    cert_rows::{Name, no_group, organizations},
    certs::{after, first_certificate, issue, load_authority},
    config::InitConfig,
    external_ca,
    paths::KUBERNETES_DIR,
    phases::Parts,
    session::{Failure, Result, Session},
};

struct Row {
    file: &'static str,
    user: Name,
    /// Empty for none.
    group: fn(Profile) -> &'static str,
    /// Talks to the apiserver of its own host instead of the control plane endpoint.
    local: bool,
    /// Whether a release has it.
    exists: fn(Profile) -> bool,
}

/// In kubeadm's order.
const ROWS: &[Row] = &[
    Row {
        file: "admin.conf",
        user: Name::Fixed("kubernetes-admin"),
        group: Profile::admin_group,
        local: false,
        exists: |_| true,
    },
    Row {
        file: "super-admin.conf",
        user: Name::Fixed("kubernetes-super-admin"),
        group: |_| "system:masters",
        local: false,
        exists: Profile::super_admin_conf,
    },
    Row {
        file: "kubelet.conf",
        user: Name::Node("system:node:"),
        group: |_| "system:nodes",
        local: false,
        exists: |_| true,
    },
    Row {
        file: "controller-manager.conf",
        user: Name::Fixed("system:kube-controller-manager"),
        group: no_group,
        local: true,
        exists: |_| true,
    },
    Row {
        file: "scheduler.conf",
        user: Name::Fixed("system:kube-scheduler"),
        group: no_group,
        local: true,
        exists: |_| true,
    },
];

impl Row {
    /// What the phase calls it.
    fn part(&self) -> &'static str {
        self.file.strip_suffix(".conf").unwrap_or(self.file)
    }
}

/// The phase's parts in their order.
pub(crate) fn parts(profile: Profile) -> Vec<&'static str> {
    ROWS.iter().filter(|row| (row.exists)(profile)).map(Row::part).collect()
}

/// Runs the phase.
pub(crate) fn run(s: &mut Session<'_>, config: &InitConfig, parts: &Parts) -> Result<()> {
    let dir = &config.cluster.certificates_dir;
    if external_ca::is_used(s, dir) {
        return Ok(());
    }
    s.tell(&console::KUBECONFIG_FOLDER, &[KUBERNETES_DIR]);
    if !s.disk().exists(format!("{dir}/ca.key")) {
        let authority = first_certificate(s, &format!("{dir}/ca.crt"))?;
        for row in ROWS.iter().filter(|row| parts.has(row.part())) {
            provided(s, &authority, row)?;
        }
        return Ok(());
    }
    let authority = load_authority(s, dir, "ca")?;
    for row in ROWS.iter().filter(|row| parts.has(row.part())) {
        write(s, config, &authority, row)?;
    }
    Ok(())
}

/// A kubeconfig before anybody signed its certificate.
pub(crate) struct Wanted {
    pub file: &'static str,
    pub user: String,
    pub organizations: Vec<String>,
    pub server: String,
}

/// Every kubeconfig of a release, for a signer elsewhere.
pub(crate) fn wanted(profile: Profile, config: &InitConfig) -> Vec<Wanted> {
    let rows = ROWS.iter().filter(|row| (row.exists)(profile));
    rows.map(|row| Wanted {
        file: row.file,
        user: row.user.on(&config.node_name),
        organizations: organizations((row.group)(profile)),
        server: row.server(config),
    })
    .collect()
}

impl Row {
    /// The apiserver that its user talks to.
    fn server(&self, config: &InitConfig) -> String {
        let endpoint = if self.local { config.local_endpoint() } else { config.endpoint() };
        format!("https://{endpoint}")
    }
}

fn write(s: &mut Session<'_>, config: &InitConfig, authority: &Authority, row: &Row) -> Result<()> {
    let path = format!("{KUBERNETES_DIR}/{}", row.file);
    if s.disk().exists(&path) {
        let existing = Kubeconfig::load(s.disk(), &path)?;
        return keep(s, &existing, &authority.certificate, &path);
    }
    s.tell(&console::KUBECONFIG_BEGUN, &[row.file]);
    let user = row.user.on(&config.node_name);
    let spec = CertSpec {
        common_name: user.clone(),
        organizations: organizations((row.group)(s.profile)),
        dns_names: Vec::new(),
        ips: Vec::new(),
        client_auth: true,
        server_auth: false,
        // No backdate is asked for here, so kubeadm's signer falls back to the CA's own beginning.
        not_before: authority.certificate.not_before(),
        not_after: after(s.started, config.cluster.leaf_validity),
    };
    let (certificate, key) = issue(s, config, authority, row.file, &spec)?;
    let pair = CertifiedKey::new(vec![certificate], key)
        .map_err(|e| Failure::new(format!("unable to use the client certificate of {}: {e}", row.file)))?;
    let cluster = Cluster::new(&row.server(config), &authority.certificate.to_pem());
    let written =
        Kubeconfig::new(&config.cluster.cluster_name, cluster, &user, User::with_certificate(&pair));
    s.disk().write(&path, written.to_yaml(), 0o600)?;
    s.tell(&console::KUBECONFIG_MADE, &[row.file, &path]);
    Ok(())
}

/// A kubeconfig that must be there, as its certificate cannot be signed here.
fn provided(s: &mut Session<'_>, authority: &Certificate, row: &Row) -> Result<()> {
    let path = format!("{KUBERNETES_DIR}/{}", row.file);
    let existing = Kubeconfig::load(s.disk(), &path).map_err(|e| {
        Failure::new(format!("the {} file does not exists or it is not valid: {e}", row.file))
    })?;
    keep(s, &existing, authority, &path)
}

/// Keeps a kubeconfig whose cluster trusts our authority. Its user and dates are not looked at.
fn keep(s: &mut Session<'_>, existing: &Kubeconfig, authority: &Certificate, path: &str) -> Result<()> {
    let trusted = existing.roots(s.disk())?;
    if !trusted.is_some_and(|roots| roots.certificates().iter().any(|c| c.der() == authority.der())) {
        return Err(Failure::new(format!(
            "a kubeconfig file {path:?} exists but does not contain a trusted CA in its current context's cluster; \
             move it away to have a new one written"
        )));
    }
    s.tell(&console::KUBECONFIG_KEPT, &[path]);
    Ok(())
}

/// CA certificates of the cluster as they lie in ca.crt.
pub(crate) fn cluster_ca(s: &Session<'_>, config: &InitConfig) -> Result<String> {
    Ok(s.disk().read_to_string(format!("{}/ca.crt", config.cluster.certificates_dir))?)
}
