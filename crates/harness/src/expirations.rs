//! What in a cluster ends by the clock: certificates on disk and in kubeconfigs, the certificate by which an apiserver
//! talks to itself, bootstrap tokens.

use client::{ListParams, Resource};
use jiff::SignedDuration;
use pki::{Certificate, kubeconfig::Kubeconfig, token::TokenSecret};
use world::{Host, Wall};

use crate::{
    Cluster, HarnessError,
    cluster::{CONTROL_PLANE, WORKSTATION},
    peek,
};

/// The name by which an apiserver's own client asks for its certificate (SNI).
pub const LOOPBACK: &str = "apiserver-loopback-client";
const PORT: u16 = 6443;
const DIRECTORIES: &[&str] = &["/etc/kubernetes/pki", "/etc/kubernetes/pki/etcd", "/var/lib/kubelet/pki"];

/// What kind of thing ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Credential {
    /// A certificate in a file of its own.
    Certificate,
    /// A client certificate within a kubeconfig.
    Kubeconfig,
    /// The apiserver's for itself, in no file.
    Loopback,
    /// A bootstrap token.
    Token,
}

/// One thing that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiration {
    /// On which host it is; for a token the control plane's.
    pub host: String,
    /// A path; [`LOOPBACK`]; the name of a token's secret in kube-system.
    pub name: String,
    /// What it is.
    pub credential: Credential,
    /// From when on it holds; nothing for a token.
    pub not_before: Option<Wall>,
    /// The last instant at which it holds.
    pub not_after: Wall,
}

impl Cluster {
    /// Everything that ends, the next first. A file that is on several hosts is told for each. What a test has put
    /// elsewhere is not found, and neither is what only lives in a component's memory, but for the loopback certificate.
    ///
    /// # Errors
    /// The apiserver does not answer, or refuses the administrator.
    pub async fn expirations(&self) -> Result<Vec<Expiration>, HarnessError> {
        let mut found = self.certificates();
        found.extend(self.loopback().await?);
        found.extend(self.tokens().await?);
        found.sort_by(|a, b| (a.not_after, &a.host, &a.name).cmp(&(b.not_after, &b.host, &b.name)));
        Ok(found)
    }

    /// Certificates on the disks of the cluster's hosts, by host and path; what cannot be read is left out.
    pub fn certificates(&self) -> Vec<Expiration> {
        self.members().iter().flat_map(|name| on_host(&self.sim().host(name))).collect()
    }

    /// The certificate of that path on that host.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn certificate(&self, host: &str, path: &str) -> Result<Certificate, HarnessError> {
        certificate(&self.sim().host(host), path)
    }

    /// Time passes until a second before `expiration`, by the clock of its host.
    ///
    /// # Errors
    /// It is over.
    pub async fn elapse_to_just_before(&self, expiration: &Expiration) -> Result<(), HarnessError> {
        self.until_clock(&expiration.host, expiration.not_after - SignedDuration::from_secs(1)).await
    }

    async fn loopback(&self) -> Result<Option<Expiration>, HarnessError> {
        let (from, server) = (self.sim().host(WORKSTATION), self.sim().host(CONTROL_PLANE));
        let chain = peek::served_chain(
            &from,
            self.options().profile,
            &server.net().address().to_string(),
            PORT,
            LOOPBACK,
        )
        .await
        .map_err(HarnessError::new)?;
        // Who asks for a name that the server does not know is shown its serving certificate.
        let own = chain.into_iter().next().filter(|c| c.subject_cn().starts_with(LOOPBACK));
        Ok(own.map(|c| told(&server, LOOPBACK, Credential::Loopback, &c)))
    }

    async fn tokens(&self) -> Result<Vec<Expiration>, HarnessError> {
        let only = ListParams {
            field_selector: Some("type=bootstrap.kubernetes.io/token".into()),
            ..ListParams::default()
        };
        let secrets = self.admin().list(&Resource::core("secrets"), Some("kube-system"), &only).await;
        let tokens = secrets.map_err(HarnessError::new)?;
        let tokens = tokens.items.iter().filter_map(|secret| TokenSecret::from_object(secret).ok());
        Ok(tokens
            .filter_map(|found| {
                Some(Expiration {
                    host: CONTROL_PLANE.to_owned(),
                    name: found.token.secret_name(),
                    credential: Credential::Token,
                    not_before: None,
                    // It is over at that very second.
                    not_after: found.expiration? - SignedDuration::from_secs(1),
                })
            })
            .collect())
    }
}

fn told(host: &Host, name: &str, credential: Credential, certificate: &Certificate) -> Expiration {
    Expiration {
        host: host.name().to_owned(),
        name: name.to_owned(),
        credential,
        not_before: Some(certificate.not_before()),
        not_after: certificate.not_after(),
    }
}

/// Certificates in kubeadm's and the kubelet's directories on a host, in whatever cluster; what cannot be read is left
/// out.
pub fn on_host(host: &Host) -> Vec<Expiration> {
    let disk = host.disk();
    let listed = |dir: &str| {
        let mut names = disk.list(dir).unwrap_or_default();
        names.sort();
        names.into_iter().map(move |name| format!("{dir}/{name}")).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for path in DIRECTORIES.iter().flat_map(|dir| listed(dir)) {
        // The kubelet's store: the link is the certificate, the dated files are its past.
        if !(path.ends_with(".crt") || path.ends_with("-current.pem")) {
            continue;
        }
        let certificates = disk.read(&path).ok().and_then(|text| Certificate::parse_pem(&text).ok());
        if let Some(certificate) = certificates.as_ref().and_then(|all| all.first()) {
            found.push(told(host, &path, Credential::Certificate, certificate));
        }
    }
    for path in listed("/etc/kubernetes").into_iter().filter(|path| path.ends_with(".conf")) {
        let Ok(config) = Kubeconfig::load(disk, &path) else { continue };
        let embedded =
            config.user().ok().flatten().and_then(|(_, user)| user.client_certificate_data.clone());
        let Some(pair) = embedded.and_then(|_| config.client_pair(disk).ok().flatten()) else { continue };
        if let Some(certificate) = pair.chain.first() {
            found.push(told(host, &path, Credential::Kubeconfig, certificate));
        }
    }
    found
}

/// The first certificate in a PEM file or a kubeconfig of a host, in either gear.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn certificate(host: &Host, path: &str) -> Result<Certificate, HarnessError> {
    let missing = || HarnessError::new(format!("{path} on {} holds no certificate", host.name()));
    if path.ends_with(".conf") {
        let config = Kubeconfig::load(host.disk(), path).map_err(HarnessError::new)?;
        let pair = config.client_pair(host.disk()).map_err(HarnessError::new)?;
        return pair.and_then(|pair| pair.chain.into_iter().next()).ok_or_else(missing);
    }
    let text = host.disk().read(path).map_err(HarnessError::new)?;
    Certificate::parse_pem(&text).map_err(HarnessError::new)?.into_iter().next().ok_or_else(missing)
}
