//! The client's end of TLS: whom it trusts, what it shows, and by which clock it judges.

use std::{fmt, net::IpAddr, sync::Arc};

use rustls::{
    ClientConfig, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption,
        danger::{ServerCertVerified, ServerCertVerifier},
    },
    sign,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use world::Host;

use crate::{
    ClientIdentity, GoVersion, Roots, Usage,
    handshake::{HostTime, Opaque, checks_signatures, provider, read_chain},
    verify::Verification,
};

#[derive(Clone, Debug)]
enum Trust {
    Roots(Roots),
    Anyone,
}

/// What a client presents and trusts. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls {
    host: Host,
    go: GoVersion,
    trust: Trust,
    identity: Option<Arc<dyn ClientIdentity>>,
    server_name: Option<String>,
    dates: bool,
}

/// A name that no server can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a DNS name nor an IP address, so no server can be asked for by it")]
pub struct InvalidServerName(pub String);

impl ClientTls {
    /// A client on `host` that trusts nobody yet and presents nothing; `go` decides its words.
    pub fn new(host: &Host, go: GoVersion) -> Self {
        Self {
            host: host.clone(),
            go,
            trust: Trust::Roots(Roots::default()),
            identity: None,
            server_name: None,
            dates: true,
        }
    }

    /// Trusts these.
    #[must_use]
    pub fn roots(mut self, roots: Roots) -> Self {
        self.trust = Trust::Roots(roots);
        self
    }

    /// Trusts anyone (`insecure-skip-tls-verify`, and the first request of token discovery).
    #[must_use]
    pub fn insecure(mut self) -> Self {
        self.trust = Trust::Anyone;
        self
    }

    /// Presents what `identity` holds at each handshake. It is presented whichever authorities the
    /// server hints at, as client-go does.
    #[must_use]
    pub fn identity(mut self, identity: Arc<dyn ClientIdentity>) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Asks for this name (SNI) and expects it, whatever was dialled.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// With `false` no date is looked at. For tests only: it shows that a story about expiry turns
    /// red when nobody checks.
    #[must_use]
    pub fn check_dates(mut self, check: bool) -> Self {
        self.dates = check;
        self
    }

    /// The Go version whose words this client speaks.
    pub fn go(&self) -> GoVersion {
        self.go
    }

    /// The name to hand to rustls for a connection to `dialled`. As in Go an address is sent as no SNI.
    ///
    /// # Errors
    /// It is no name.
    pub fn name_for(&self, dialled: &str) -> Result<ServerName<'static>, InvalidServerName> {
        let name = self.server_name.as_deref().unwrap_or(dialled);
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        ServerName::try_from(bare.to_owned()).map_err(|_| InvalidServerName(name.to_owned()))
    }

    /// The SNI that a connection to `dialled` sends; `None` for an address.
    pub fn sni_for<'a>(&'a self, dialled: &'a str) -> Option<&'a str> {
        let name = self.server_name.as_deref().unwrap_or(dialled);
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        bare.parse::<IpAddr>().is_err().then_some(name)
    }

    /// The configuration for rustls. No session is ever resumed: rustls would resume past NotAfter.
    pub fn config(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let verifier = Verifier { host: self.host.clone(), trust: self.trust.clone(), dates: self.dates };
        let builder = ClientConfig::builder_with_details(provider(), Arc::new(HostTime(self.host.clone())));
        #[expect(clippy::expect_used, reason = "aws-lc-rs has cipher suites for both TLS versions")]
        let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(Presents(Opaque(identity.clone())))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trust = match &self.trust {
            Trust::Roots(roots) => format!("{} roots", roots.certificates().len()),
            Trust::Anyone => "anyone".to_owned(),
        };
        write!(f, "ClientTls(on {}, trusts {trust}, identity: {})", self.host.name(), self.identity.is_some())
    }
}

#[derive(Debug)]
struct Verifier {
    host: Host,
    trust: Trust,
    dates: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp: &[u8],
        // Whole seconds only; the host's clock is asked instead.
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Trust::Roots(roots) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        let name = server_name.to_str();
        let verification = Verification {
            roots,
            now: self.host.clock().wall(),
            usage: Usage::ServerAuth,
            server_name: Some(&name),
            dates: self.dates,
        };
        let verdict = read_chain(leaf, intermediates).and_then(|chain| verification.run(&chain));
        verdict.map(|()| ServerCertVerified::assertion()).map_err(crate::X509Error::into_rustls)
    }

    checks_signatures!();
}

#[derive(Debug)]
struct Presents(Opaque<Arc<dyn ClientIdentity>>);

impl ResolvesClientCert for Presents {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<sign::CertifiedKey>> {
        self.0.0.current()
    }

    fn has_certs(&self) -> bool {
        true
    }
}
