//! The server's end of TLS: which certificate it serves to whom, and how it asks clients for theirs.

use std::{fmt, net::IpAddr, sync::Arc};

use rustls::{
    CertificateError, DistinguishedName, ServerConfig, SupportedProtocolVersion,
    crypto::CryptoProvider,
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, UnixTime};
use world::Host;

use crate::{
    Certificate, CertifiedKey, Roots, ServerIdentity, StaticIdentity, Usage, X509Error,
    handshake::{HostTime, Opaque, checks_signatures, provider, read_chain},
    pair::PairError,
    sni::{Named, Selection},
    verify::verify_chain,
};

static BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static NEW_ONLY: &[&SupportedProtocolVersion] = &[&TLS13];

#[derive(Clone, Debug, Default)]
enum ClientAuth {
    #[default]
    None,
    Request(Roots),
    Require(Roots),
}

/// What a server serves and asks for. Cheap to clone.
#[derive(Clone)]
pub struct ServerTls {
    host: Host,
    default: Option<Arc<dyn ServerIdentity>>,
    named: Vec<Named>,
    client_auth: ClientAuth,
    alpn: Vec<Vec<u8>>,
    provider: Arc<CryptoProvider>,
    versions: &'static [&'static SupportedProtocolVersion],
}

impl ServerTls {
    /// A server on `host` that serves nothing yet; ALPN `h2`, `http/1.1`; TLS 1.2 and 1.3.
    pub fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            default: None,
            named: Vec::new(),
            client_auth: ClientAuth::None,
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            provider: provider(),
            versions: BOTH,
        }
    }

    /// Serves this to everyone who asks for no better name.
    #[must_use]
    pub fn default_cert(mut self, identity: Arc<dyn ServerIdentity>) -> Self {
        self.default = Some(identity);
        self
    }

    /// Serves this pair to those who ask for `name`. Earlier calls win over later ones.
    ///
    /// # Errors
    /// rustls does not take such a key.
    pub fn sni(self, name: &str, pair: &CertifiedKey) -> Result<Self, PairError> {
        Ok(self.sni_identity(&[name.to_owned()], Arc::new(StaticIdentity::new(pair)?)))
    }

    /// Serves `identity` to those who ask for one of `names` (`--tls-sni-cert-key cert,key:a,*.b`);
    /// without names to those who ask for the certificate's own names. Earlier calls win.
    #[must_use]
    pub fn sni_identity(mut self, names: &[String], identity: Arc<dyn ServerIdentity>) -> Self {
        self.named.push(Named::new(names, identity));
        self
    }

    /// Asks clients for a certificate and takes any whose key they hold: it is verified at each
    /// request, by whoever authenticates it. The names of `hints` are told to the client.
    #[must_use]
    pub fn request_client_cert(mut self, hints: Option<Roots>) -> Self {
        self.client_auth = ClientAuth::Request(hints.unwrap_or_default());
        self
    }

    /// Takes only clients whose certificate `roots` vouch for, at the handshake, as etcd does.
    #[must_use]
    pub fn require_client_cert(mut self, roots: Roots) -> Self {
        self.client_auth = ClientAuth::Require(roots);
        self
    }

    /// The protocols offered, most wanted first.
    #[must_use]
    pub fn alpn(mut self, protocols: &[&[u8]]) -> Self {
        self.alpn = protocols.iter().map(|name| name.to_vec()).collect();
        self
    }

    /// `--tls-min-version`: `VersionTLS12` (the default) or `VersionTLS13`.
    ///
    /// # Errors
    /// Another name; older versions exist upstream but not in rustls, and are refused by name.
    pub fn min_version(mut self, name: &str) -> Result<Self, UnsupportedTls> {
        self.versions = match name {
            "" | "VersionTLS12" => BOTH,
            "VersionTLS13" => NEW_ONLY,
            "VersionTLS10" | "VersionTLS11" => return Err(UnsupportedTls::Version(name.into())),
            _ => return Err(UnsupportedTls::UnknownVersion(name.into())),
        };
        Ok(self)
    }

    /// `--tls-cipher-suites`, by the names of the IANA registry, for TLS 1.2; those of TLS 1.3 are not
    /// configurable, as upstream.
    ///
    /// # Errors
    /// A name that rustls lacks: refused, never ignored.
    pub fn cipher_suites(mut self, names: &[String]) -> Result<Self, UnsupportedTls> {
        if names.is_empty() {
            return Ok(self);
        }
        let all = provider();
        let iana =
            |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
        if let Some(unknown) = names.iter().find(|name| !all.cipher_suites.iter().any(|s| iana(s) == **name))
        {
            return Err(UnsupportedTls::Cipher(unknown.clone()));
        }
        let keep =
            |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some() || names.contains(&iana(suite));
        let cipher_suites = all.cipher_suites.iter().filter(|s| keep(s)).copied().collect();
        self.provider = Arc::new(CryptoProvider { cipher_suites, ..(*all).clone() });
        Ok(self)
    }

    /// The configuration for rustls. Identities are asked at each handshake, so one configuration may
    /// serve for long. No session is ever resumed.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config_at(None)
    }

    /// As [`ServerTls::config`], for connections that arrive at `local`: a certificate configured for
    /// that address is served to clients that send no SNI.
    pub fn config_at(&self, local: Option<IpAddr>) -> Arc<ServerConfig> {
        let builder =
            ServerConfig::builder_with_details(self.provider.clone(), Arc::new(HostTime(self.host.clone())));
        #[expect(
            clippy::expect_used,
            reason = "every choice of versions here has cipher suites in aws-lc-rs"
        )]
        let builder = builder.with_protocol_versions(self.versions).expect("TLS 1.2 or 1.3");
        let builder = match &self.client_auth {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Request(hints) => {
                builder.with_client_cert_verifier(Arc::new(AcceptsAny(names_of(hints))))
            }
            ClientAuth::Require(roots) => builder.with_client_cert_verifier(Arc::new(Requires {
                host: self.host.clone(),
                roots: roots.clone(),
                hints: names_of(roots),
            })),
        };
        let selection =
            Selection { default: self.default.clone().map(Opaque), named: self.named.clone(), local };
        let mut config = builder.with_cert_resolver(Arc::new(selection));
        config.alpn_protocols.clone_from(&self.alpn);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerTls(on {}, {} named certificates)", self.host.name(), self.named.len())
    }
}

/// Something that upstream's TLS can do and rustls cannot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedTls {
    /// Known upstream, absent here.
    #[error("TLS version {0} is not supported here: use VersionTLS12 or VersionTLS13")]
    Version(String),
    /// Not a version, in upstream's words.
    #[error("unknown tls version {0:?}")]
    UnknownVersion(String),
    /// Not a suite of ours.
    #[error("cipher suite {0} is not supported here: leave it out of --tls-cipher-suites")]
    Cipher(String),
}

fn names_of(roots: &Roots) -> Vec<DistinguishedName> {
    let contents = |c: &Certificate| crate::der::read(c.subject_der()).map(|e| e.contents.to_vec());
    roots
        .certificates()
        .iter()
        .filter_map(contents)
        .map(|name| DistinguishedName::in_sequence(&name))
        .collect()
}

/// Asks for a certificate and takes what comes.
#[derive(Debug)]
struct AcceptsAny(Vec<DistinguishedName>);

impl ClientCertVerifier for AcceptsAny {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.0
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // Go parses what it is sent even when it does not verify it.
        Certificate::from_der(leaf.as_ref()).map_err(|_| CertificateError::BadEncoding)?;
        Ok(ClientCertVerified::assertion())
    }

    checks_signatures!();
}

/// Verifies the client at the handshake.
#[derive(Debug)]
struct Requires {
    host: Host,
    roots: Roots,
    hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for Requires {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let now = self.host.clock().wall();
        let verdict = read_chain(leaf, intermediates)
            .and_then(|c| verify_chain(&c, &self.roots, now, Usage::ClientAuth, None));
        // rustls' own variants make it send the alerts that a Go server (≥ 1.21) sends here; the
        // client's side is where anybody reads the reason.
        verdict.map(|()| ClientCertVerified::assertion()).map_err(|error| {
            tracing::debug!("client certificate refused: {error}");
            match error {
                X509Error::Expired { .. } | X509Error::NotYetValid { .. } => CertificateError::Expired.into(),
                X509Error::UnknownAuthority { .. } => CertificateError::UnknownIssuer.into(),
                _ => CertificateError::BadEncoding.into(),
            }
        })
    }

    checks_signatures!();
}
