//! `up --etcd`: a cluster on an etcd that runs already.

use std::{net::IpAddr, path::PathBuf};

use clap::Args;
use kubeadm_sim::ExternalEtcd;
use world::Host;

use crate::cli::Refusal;

/// Which etcd, and who the cluster is to it. Read when the cluster is made; a data directory remembers it.
#[derive(Args, Clone, Debug, Default)]
pub struct EtcdArgs {
    /// Keep the cluster in this etcd instead of one of its own: its members' URLs, https://ADDRESS:2379,…
    #[arg(long, value_name = "URL", value_delimiter = ',', requires_all = ["etcd_cafile", "etcd_certfile", "etcd_keyfile"])]
    etcd: Vec<String>,
    /// The authority of that etcd's certificates
    #[arg(long, value_name = "FILE", requires = "etcd")]
    etcd_cafile: Option<PathBuf>,
    /// The certificate to show to it
    #[arg(long, value_name = "FILE", requires = "etcd")]
    etcd_certfile: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "etcd")]
    etcd_keyfile: Option<PathBuf>,
}

/// Where the control plane's host has the files; kubeadm's own names for them.
const CA: &str = "/etc/kubernetes/pki/etcd/ca.crt";
const CERT: &str = "/etc/kubernetes/pki/apiserver-etcd-client.crt";
const KEY: &str = "/etc/kubernetes/pki/apiserver-etcd-client.key";

impl EtcdArgs {
    /// Its members' URLs; none if no etcd was named.
    pub(super) fn urls(&self) -> &[String] {
        &self.etcd
    }

    /// Copies the files to `host` and says where they are; `None` if no etcd was named.
    ///
    /// # Errors
    /// A file cannot be read, or a URL leads elsewhere on `host` than here.
    pub(super) fn hand_over(&self, host: &Host) -> Result<Option<ExternalEtcd>, Refusal> {
        let (Some(ca), Some(cert), Some(key)) = (&self.etcd_cafile, &self.etcd_certfile, &self.etcd_keyfile)
        else {
            return Ok(None);
        };
        for url in &self.etcd {
            reachable(url)?;
        }
        for (from, to, mode) in [(ca, CA, 0o644), (cert, CERT, 0o644), (key, KEY, 0o600)] {
            let contents = std::fs::read(from).map_err(|e| {
                Refusal(format!(
                    "cannot read {}: {e}; name the file that etcd's clients have",
                    from.display()
                ))
            })?;
            host.disk().write(to, contents, mode)?;
        }
        Ok(Some(ExternalEtcd {
            endpoints: self.etcd.clone(),
            http_endpoints: Vec::new(),
            ca_file: CA.into(),
            cert_file: CERT.into(),
            key_file: KEY.into(),
        }))
    }
}

/// Whether the cluster that kubeadm was making on `host` is kept elsewhere: the client's files are there, and no key of an
/// authority of its own.
pub(super) fn is_elsewhere(host: &Host) -> bool {
    host.disk().exists(CERT) && !host.disk().exists("/etc/kubernetes/pki/etcd/ca.key")
}

/// Each host of a cluster has an address of its own, and calls that 127.0.0.1.
fn reachable(url: &str) -> Result<(), Refusal> {
    let uri: http::Uri = url
        .parse()
        .map_err(|e| Refusal(format!("--etcd {url}: {e}; URLs look like https://10.0.0.9:2379")))?;
    let name = uri.host().unwrap_or_default();
    if name == "localhost" || name.parse() == Ok(IpAddr::from([127, 0, 0, 1])) {
        return Err(Refusal(format!(
            "--etcd {url}: on the control plane's host that is the host itself; let etcd listen on another address of \
             this machine (127.0.0.2 will do), with that address in its certificate"
        )));
    }
    Ok(())
}
