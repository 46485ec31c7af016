//! TLS of the listener: the loopback certificate first, then the flags' pairs, then the default.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
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
    authn::CaBundle,
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
        .default_cert(Arc::new(default))
        .sni(LOOPBACK_NAME, &loopback.pair)
        .map_err(|e| StartError::Flags(e.to_string()))?;
    for sni in &options.tls_sni {
        let identity = pair(host, "tls-sni-cert-key", &sni.certificate, &sni.key)?;
        tls = tls.sni_identity(&sni.names, Arc::new(identity));
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

/// The configuration for one handshake, at our address `local`. Where there are `authorities`, clients are asked
/// for a certificate, and told whose are known at this moment.
pub(super) fn for_handshake(
    tls: &ServerTls,
    authorities: &[Arc<CaBundle>],
    local: IpAddr,
) -> Arc<rustls::ServerConfig> {
    if authorities.is_empty() {
        return tls.config_at(Some(local));
    }
    let known = authorities.iter().flat_map(|bundle| bundle.roots().certificates().to_vec());
    tls.clone().request_client_cert(Some(Roots::new(known.collect()))).config_at(Some(local))
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

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use pki::{Authority, CertSpec, CertifiedKey, ClientTls, KeyAlgorithm, PrivateKey, StaticIdentity};
    use rustls::{ClientConnection, ServerConnection, SignatureScheme, client::ResolvesClientCert, sign};

    use super::*;

    /// A client that notes whose certificates it is asked for, and shows none.
    #[derive(Debug, Default)]
    struct Asked(Mutex<Vec<Vec<u8>>>);

    impl ResolvesClientCert for Asked {
        fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<sign::CertifiedKey>> {
            *self.0.lock() = hints.iter().map(|hint| hint.to_vec()).collect();
            None
        }

        fn has_certs(&self) -> bool {
            true
        }
    }

    /// The names that a client is told in a handshake.
    fn told(host: &Host, server: Arc<rustls::ServerConfig>) -> Vec<Vec<u8>> {
        let asked = Arc::new(Asked::default());
        let mut config = (*ClientTls::new(host, (1, 26)).insecure().config(&[])).clone();
        config.client_auth_cert_resolver = asked.clone();
        let mut client = ClientConnection::new(Arc::new(config), "cp".try_into().unwrap()).unwrap();
        let mut server = ServerConnection::new(server).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                server.process_new_packets().unwrap();
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        std::mem::take(&mut *asked.0.lock())
    }

    #[test]
    fn clients_are_told_whose_certificates_are_known_now() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let host = sim.host("cp");
            let (now, day) = (host.clock().wall(), Duration::from_secs(86_400));
            let authority = |name: &str| {
                let algorithm = KeyAlgorithm::EcdsaP256;
                Authority::new_root(host.entropy(), algorithm, name, &[], now, now + day).unwrap()
            };
            let [old, new, proxies] = ["old", "new", "front-proxy-ca"].map(authority);
            let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
            let spec = CertSpec {
                common_name: "cp".to_owned(),
                organizations: vec![],
                dns_names: vec!["cp".to_owned()],
                ips: vec![],
                client_auth: false,
                server_auth: true,
                not_before: now,
                not_after: now + day,
            };
            let leaf = old.issue(host.entropy(), &spec, &key.public()).unwrap();
            let identity = StaticIdentity::new(&CertifiedKey::new(vec![leaf], key).unwrap()).unwrap();
            let tls = ServerTls::new(&host).default_cert(Arc::new(identity));
            let write = |authority: &Authority| {
                host.disk().write("/ca.crt", authority.certificate.to_pem(), 0o644).unwrap();
            };
            write(&old);
            let clients = CaBundle::file(host.disk(), "/ca.crt").unwrap();
            let front = CaBundle::fixed(proxies.certificate.clone().into());
            let check = |authorities: &[Arc<CaBundle>], wanted: &[&Authority]| {
                let wanted: Vec<_> = wanted.iter().map(|a| a.certificate.subject_der().to_vec()).collect();
                assert_eq!(told(&host, for_handshake(&tls, authorities, host.net().address())), wanted);
            };
            check(&[], &[]);
            check(&[clients.clone(), front.clone()], &[&old, &proxies]);
            check(std::slice::from_ref(&front), &[&proxies]);
            write(&new);
            assert!(clients.reload().unwrap());
            check(&[clients, front], &[&new, &proxies]);
        })
        .unwrap();
    }
}
