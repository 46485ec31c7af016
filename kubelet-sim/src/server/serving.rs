//! What the kubelet's own port is served with (`pkg/kubelet/kubelet.go`, `cmd/kubelet/app/server.go`).
//!
//! | configuration | certificate |
//! |---|---|
//! | tlsCertFile and tlsPrivateKeyFile | these files, read again when they change (from 1.31 on) |
//! | serverTLSBootstrap | requested from kubernetes.io/kubelet-serving for the node's addresses; until somebody approves, handshakes fail |
//! | neither | self-signed for a year, made once and kept in the certificate directory |

use std::sync::Arc;

use pki::{CertifiedKey, FileIdentity, ServerIdentity, StaticIdentity};
use world::Host;

use crate::{
    certificates::{FileStore, Manager, Purpose, Settings, Wanted, words_of_pair},
    node::Addresses,
    options::Options,
};

/// Where the certificate comes from.
pub(crate) struct Serving {
    identity: Arc<dyn ServerIdentity>,
    /// Requests and renews it, if that is how it is had.
    pub(crate) manager: Option<Arc<Manager>>,
}

impl Serving {
    /// As the options say.
    ///
    /// # Errors
    /// Files that are there cannot be used, or none can be written.
    pub(crate) fn new(host: &Host, options: &Options, addresses: &Arc<Addresses>) -> Result<Self, String> {
        if let Some((certificate, key)) = &options.serving_files {
            return files(host, options, certificate, key);
        }
        if options.server_tls_bootstrap {
            return bootstrapped(host, options, addresses);
        }
        let pair = self_signed(host, options)?;
        let identity = StaticIdentity::new(&pair).map_err(|e| e.to_string())?;
        Ok(Self { identity: Arc::new(identity), manager: None })
    }

    /// What a handshake serves.
    pub(super) fn identity(&self) -> Arc<dyn ServerIdentity> {
        self.identity.clone()
    }
}

fn files(host: &Host, options: &Options, certificate: &str, key: &str) -> Result<Serving, String> {
    let files = FileIdentity::new(host.disk(), certificate, key);
    files.refresh().map_err(|e| format!("failed to initialize file based certificate manager: {e}"))?;
    let identity: Arc<dyn ServerIdentity> = match files.pair() {
        Some(pair) if !options.profile.kubelet_reloads_serving_files() => {
            Arc::new(StaticIdentity::new(&pair).map_err(|e| e.to_string())?)
        }
        _ => Arc::new(files),
    };
    Ok(Serving { identity, manager: None })
}

fn bootstrapped(host: &Host, options: &Options, addresses: &Arc<Addresses>) -> Result<Serving, String> {
    let syncs = options.profile.certificate_store_syncs();
    let store = FileStore::open(host, &options.cert_dir, Purpose::Serving, None, syncs)
        .map_err(|e| format!("failed to initialize server certificate store: {e}"))?;
    let wanted = Wanted::Names {
        node: options.node_name.clone(),
        addresses: addresses.clone(),
        dns_will_do: options.profile.dns_only_serving_csr(),
    };
    let settings =
        Settings { purpose: Purpose::Serving, profile: options.profile, store, wanted, embedded: None };
    let manager = Manager::new(host, settings)?;
    Ok(Serving { identity: manager.clone(), manager: Some(manager) })
}

fn self_signed(host: &Host, options: &Options) -> Result<CertifiedKey, String> {
    let (certificate, key) =
        (format!("{}/kubelet.crt", options.cert_dir), format!("{}/kubelet.key", options.cert_dir));
    match (host.disk().read(&certificate), host.disk().read(&key)) {
        (Ok(chain), Ok(key)) => {
            return CertifiedKey::from_pem(&chain, &key).map_err(|e| {
                format!("{certificate}: {}; remove both files to get new ones", words_of_pair(&e))
            });
        }
        (Ok(_), Err(_)) => return Err(half(&key)),
        (Err(_), Ok(_)) => return Err(half(&certificate)),
        (Err(_), Err(_)) => {}
    }
    let now = host.clock().wall();
    let algorithm = pki::KeyAlgorithm::EcdsaP256;
    let made =
        pki::loopback::self_signed_server(&options.node_name, &[], &[], now, host.entropy(), algorithm);
    let pair = made.map_err(|e| format!("unable to generate self signed cert: {e}"))?.pair;
    host.disk().write_contents(&certificate, pair.chain_pem(), 0o644).map_err(|e| e.to_string())?;
    host.disk().write_contents(&key, pair.key_pem(), 0o600).map_err(|e| e.to_string())?;
    tracing::info!(certFile = certificate, keyFile = key, "Using self-signed cert");
    Ok(pair)
}

fn half(missing: &str) -> String {
    format!("error reading {missing}, certificate and key must be supplied as a pair")
}
