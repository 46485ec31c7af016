//! The authorities of the signers, read from files and read again every minute
//! (`cmd/kube-controller-manager/app/certificates.go`).

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use pki::Authority;
use world::Host;

use super::rules;
use crate::options::ManagerOptions;

/// Which signers there are, and with which authority each signs.
#[derive(Clone)]
pub(crate) struct Signing(BTreeMap<&'static str, Arc<Files>>);

/// A certificate and its key.
pub(super) struct Files {
    host: Host,
    certificate: String,
    key: String,
    authority: Mutex<Arc<Authority>>,
}

fn given(path: &Option<String>) -> &str {
    path.as_deref().unwrap_or_default()
}

impl Signing {
    /// From the flags; `None` when no files are given for anything.
    ///
    /// # Errors
    /// Files for all signers and for single ones, or a pair that is not whole or not readable.
    pub(crate) fn load(host: &Host, options: &ManagerOptions) -> Result<Option<Self>, String> {
        let of_each = [
            (
                rules::KUBELET_SERVING,
                given(&options.cluster_signing_kubelet_serving_cert_file),
                given(&options.cluster_signing_kubelet_serving_key_file),
            ),
            (
                rules::KUBELET_CLIENT,
                given(&options.cluster_signing_kubelet_client_cert_file),
                given(&options.cluster_signing_kubelet_client_key_file),
            ),
            (
                rules::CLIENT,
                given(&options.cluster_signing_kube_apiserver_client_cert_file),
                given(&options.cluster_signing_kube_apiserver_client_key_file),
            ),
            (
                rules::LEGACY_UNKNOWN,
                given(&options.cluster_signing_legacy_unknown_cert_file),
                given(&options.cluster_signing_legacy_unknown_key_file),
            ),
        ];
        let (certificate, key) =
            (given(&options.cluster_signing_cert_file), given(&options.cluster_signing_key_file));
        let for_all = !certificate.is_empty() && !key.is_empty();
        let specific = of_each.iter().any(|(_, certificate, key)| !certificate.is_empty() || !key.is_empty());
        if for_all && specific {
            return Err("cannot specify default and per controller certs at the same time".into());
        }
        if !for_all && !specific {
            return Ok(None);
        }
        let mut signers = BTreeMap::new();
        for (signer, own_certificate, own_key) in of_each {
            let (certificate, key) = if specific { (own_certificate, own_key) } else { (certificate, key) };
            if certificate.is_empty() && key.is_empty() {
                tracing::info!(
                    controller = signer,
                    "Skipping CSR signer controller because specific files were specified for other signers and not this one"
                );
                continue;
            }
            let files = Files::read(host, certificate, key)
                .map_err(|e| format!("failed to start {signer} certificate controller: {e}"))?;
            signers.insert(signer, Arc::new(files));
        }
        Ok(Some(Self(signers)))
    }

    pub(super) fn signers(&self) -> impl Iterator<Item = (&'static str, &Arc<Files>)> {
        self.0.iter().map(|(signer, files)| (*signer, files))
    }
}

impl Files {
    fn read(host: &Host, certificate: &str, key: &str) -> Result<Self, String> {
        let authority = Mutex::new(Arc::new(read(host, certificate, key)?));
        Ok(Self { host: host.clone(), certificate: certificate.to_owned(), key: key.to_owned(), authority })
    }

    pub(super) fn authority(&self) -> Arc<Authority> {
        self.authority.lock().clone()
    }

    /// Reads the files anew; keeps the old pair when the new one does not fit.
    pub(super) fn reload(&self) {
        match read(&self.host, &self.certificate, &self.key) {
            Ok(authority) => *self.authority.lock() = Arc::new(authority),
            Err(e) => tracing::error!("keeping the CSR signing authority in use: {e}"),
        }
    }
}

fn read(host: &Host, certificate: &str, key: &str) -> Result<Authority, String> {
    let pem = |path: &str| {
        host.disk().read(path).map_err(|e| format!("error reading CA cert file {certificate:?}: {e}"))
    };
    Authority::from_pem(&pem(certificate)?, &pem(key)?)
        .map_err(|e| format!("error reading CA cert file {certificate:?} and key file {key:?}: {e}"))
}
