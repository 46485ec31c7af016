//! TLS of the listener: the loopback certificate first, then the flags' pairs, then the default.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use api::profile::Shape;
use pki::{
    FileIdentity, Roots, ServerTls,
    loopback::{self as generator, LOOPBACK_NAME, SelfSigned},
};
use world::Host;

use super::StartError;
use crate::{
    allocate::Subnet,
    loopback::{Loopback, record_certificate},
    options::Options,
};

/// How long a certificate counts that the server makes for itself.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn failed(flag: &'static str, path: &Path, why: impl std::fmt::Display) -> StartError {
    StartError::File { flag, path: path.to_owned(), why: why.to_string() }
}

/// Puts it together from files.
///
/// # Errors
/// A file that cannot be used.
pub(super) fn serving(host: &Host, options: &Options, loopback: &Loopback) -> Result<ServerTls, StartError> {
    let (certificate, key) = match (&options.tls_cert_file, &options.tls_private_key_file) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ => self_signed(host, options)?,
    };
    let default = pair(host, "tls-cert-file", &certificate, &key)?;
    if let Some(leaf) = default.pair().and_then(|p| p.leaf().cloned()) {
        record_certificate(host, "loaded", &leaf);
    }
    let mut tls = ServerTls::new(host)
        .default_cert(std::sync::Arc::new(default))
        .sni(LOOPBACK_NAME, &loopback.pair)
        .map_err(|e| StartError::Flags(e.to_string()))?;
    for sni in &options.tls_sni {
        let identity = pair(host, "tls-sni-cert-key", &sni.certificate, &sni.key)?;
        tls = tls.sni_identity(&sni.names, std::sync::Arc::new(identity));
    }
    // A front proxy shows a certificate too, of an authority of its own.
    let mut authorities = Vec::new();
    for (flag, path) in [
        ("client-ca-file", &options.client_ca_file),
        ("requestheader-client-ca-file", &options.request_header.client_ca_file),
    ] {
        if let Some(path) = path {
            authorities.extend(roots(host, flag, path)?.certificates().iter().cloned());
        }
    }
    if !authorities.is_empty() {
        tls = tls.request_client_cert(Some(Roots::new(authorities)));
    }
    if options.disable_http2 {
        tls = tls.alpn(&[b"http/1.1"]);
    }
    let unsupported = |e: pki::UnsupportedTls| StartError::Flags(e.to_string());
    tls.min_version(&options.tls_min_version)
        .and_then(|tls| tls.cipher_suites(&options.tls_cipher_suites))
        .map_err(unsupported)
}

fn pair(host: &Host, flag: &'static str, certificate: &Path, key: &Path) -> Result<FileIdentity, StartError> {
    let identity = FileIdentity::new(host.disk(), certificate, key);
    match identity.refresh() {
        Ok(()) => Ok(identity),
        Err(error) => Err(failed(flag, certificate, error)),
    }
}

fn roots(host: &Host, flag: &'static str, path: &Path) -> Result<Roots, StartError> {
    let bytes = host.disk().read(path).map_err(|e| failed(flag, path, e))?;
    Roots::from_pem(&bytes).map_err(|e| failed(flag, path, e))
}

/// Where the server's own key is, once [`serving`] has run.
pub(super) fn key_file(options: &Options) -> PathBuf {
    options.tls_private_key_file.clone().unwrap_or_else(|| options.cert_dir.join("apiserver.key"))
}

/// The pair in `--cert-dir`, made if it is not there.
fn self_signed(host: &Host, options: &Options) -> Result<(PathBuf, PathBuf), StartError> {
    const FLAG: &str = "cert-dir";
    let certificate = options.cert_dir.join("apiserver.crt");
    let key = key_file(options);
    let disk = host.disk();
    let alone = |path: &Path| {
        Err(failed(FLAG, path, "is there without the other half of the pair: give both files or neither"))
    };
    match (disk.exists(&certificate), disk.exists(&key)) {
        (true, true) => return Ok((certificate, key)),
        (true, false) => return alone(&certificate),
        (false, true) => return alone(&key),
        (false, false) => {}
    }
    let advertised = options.advertised(host.net().address());
    let mut dns = ["kubernetes.default.svc", "kubernetes.default", "kubernetes"].map(str::to_owned).to_vec();
    let mut ips = Vec::new();
    ips.extend(options.service_cluster_ip_ranges.first().and_then(|r| Subnet::parse(r)?.address(0)));
    if options.bind_address.is_unspecified() {
        dns.push("localhost".to_owned());
    } else {
        ips.push(options.bind_address);
    }
    let (now, entropy) = (host.clock().wall(), host.entropy());
    let facts = options.profile.loopback();
    let spec = SelfSigned {
        host: advertised.to_string(),
        ips,
        dns_names: dns,
        // One generator upstream; but a year it stayed here when the loopback's became three.
        shape: match facts.shape {
            Shape::SelfSigned => generator::Shape::SelfSigned,
            Shape::CaAndLeaf => generator::Shape::CaAndLeaf,
        },
        backdate: facts.backdate,
        max_age: YEAR,
        algorithm: options.key_algorithm,
    };
    let made = generator::self_signed(&spec, now, entropy).map_err(|e| failed(FLAG, &certificate, e))?;
    disk.create_dir_all(&options.cert_dir).map_err(|e| failed(FLAG, &options.cert_dir, e))?;
    disk.write(&certificate, made.pair.chain_pem(), 0o644).map_err(|e| failed(FLAG, &certificate, e))?;
    disk.write(&key, made.pair.key_pem(), 0o600).map_err(|e| failed(FLAG, &key, e))?;
    tracing::info!("Generated self-signed cert ({}, {})", certificate.display(), key.display());
    if let Some(leaf) = made.pair.leaf() {
        record_certificate(host, "made", leaf);
    }
    Ok((certificate, key))
}
