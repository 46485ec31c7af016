//! The TLS of one side: its files, read again at each handshake, as etcd does.

use std::sync::Arc;

use pki::{FileIdentity, Roots, ServerTls};
use wire::{ServeOptions, TlsSource};
use world::Host;

use super::{Options, StartError, Tls};

/// `None` without a certificate.
pub(super) fn source(host: &Host, tls: &Tls, options: &Options) -> Result<Option<TlsSource>, StartError> {
    let (Some(cert), Some(key)) = (&tls.cert, &tls.key) else { return Ok(None) };
    let identity = FileIdentity::new(host.disk(), cert, key);
    identity.refresh().map_err(|e| match e {
        pki::FileIdentityError::Pair { path, why } => {
            StartError::File { file: path.display().to_string(), why: why.to_string() }
        }
        pki::FileIdentityError::Disk(e) => {
            StartError::File { file: e.path.display().to_string(), why: kind(&e) }
        }
    })?;
    let mut server = ServerTls::new(host)
        .default_cert(Arc::new(identity))
        .cipher_suites(&options.cipher_suites)?
        .min_version(options.min_tls)?;
    // The CA alone suffices to ask for certificates, with or without --client-cert-auth.
    if let Some(ca) = &tls.trusted_ca {
        let file = || ca.display().to_string();
        let pem = host.disk().read(ca).map_err(|e| StartError::File { file: file(), why: kind(&e) })?;
        let roots =
            Roots::from_pem(&pem).map_err(|e| StartError::File { file: file(), why: e.to_string() })?;
        server = server.require_client_cert(roots);
    }
    // One configuration for all: the identity in it reads its files at each handshake.
    let config = server.config();
    Ok(ServeOptions::tls(move || config.clone()).tls)
}

/// What the disk says, without the path that the caller names anyway.
fn kind(e: &world::DiskError) -> String {
    let text = e.to_string();
    text.rsplit_once(": ").map_or(text.clone(), |(_, why)| why.to_owned())
}
