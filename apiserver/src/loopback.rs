//! The server's client of itself: own certificate, own name, own token, through the front door.
//!
//! Made once when the process starts and never renewed: only a restart does. Nothing here looks at
//! the certificate again; its death shows at the next handshake.

use std::sync::Arc;

use api::profile::Shape;
use client::{Auth, Rest, Tally};
use pki::{Certificate, ClientTls, loopback as generator};
use wire::HttpClient;
use world::{Host, Wall};

use crate::Options;

/// Certificate, token and client.
#[derive(Clone)]
pub struct Loopback {
    /// What the listener serves to those who ask for [`generator::LOOPBACK_NAME`].
    pub pair: pki::CertifiedKey,
    /// The client.
    pub rest: Rest,
    /// Counts of its requests.
    pub tally: Arc<Tally>,
    token: String,
}

/// Why there is no loopback client.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// The certificate could not be made.
    #[error("failed to generate self-signed certificate for loopback connection: {0}")]
    Certificate(#[from] generator::SelfSignedError),
    /// The client could not be made.
    #[error("failed to create the loopback client for {url}: {why}")]
    Client {
        /// Where it was to connect.
        url: String,
        /// Why not.
        why: String,
    },
}

impl Loopback {
    /// Makes all of it for a listener at `address`, `now` being the start of the process.
    ///
    /// # Errors
    /// The crypto library failed, or the address is none.
    pub fn new(host: &Host, options: &Options, port: u16, now: Wall) -> Result<Self, LoopbackError> {
        let facts = options.profile.loopback();
        let made = generator::loopback_certificate(
            match facts.shape {
                Shape::SelfSigned => generator::Shape::SelfSigned,
                Shape::CaAndLeaf => generator::Shape::CaAndLeaf,
            },
            facts.backdate,
            facts.max_age,
            now,
            host.entropy(),
            options.key_algorithm,
        )?;
        if let Some(leaf) = made.pair.leaf() {
            record_certificate(host, "made", leaf);
        }
        // Bound to everything, the server reaches itself by the loopback interface.
        let address = match options.bind_address {
            ip if ip.is_unspecified() && ip.is_ipv6() => "[::1]".to_owned(),
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            ip if ip.is_ipv6() => format!("[{ip}]"),
            ip => ip.to_string(),
        };
        let url = format!("https://{address}:{port}");
        let tls = ClientTls::new(host, options.profile.go())
            .roots(made.trust)
            .server_name(generator::LOOPBACK_NAME)
            .check_dates(options.check_certificate_dates);
        let http = HttpClient::new(host, &url, Some(tls))
            .map_err(|e| LoopbackError::Client { url: url.clone(), why: e.to_string() })?;
        let token = host.entropy().uuid();
        let tally = Arc::<Tally>::default();
        let rest = Rest::new(http, Auth::bearer(token.clone()), &options.user_agent()).counted(&tally);
        Ok(Self { pair: made.pair, rest, tally, token })
    }

    /// The token, for the authenticator that comes before all others.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What is served.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.pair.leaf()
    }
}

impl std::fmt::Debug for Loopback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loopback")
    }
}

/// Puts a certificate into the trace.
pub(crate) fn record_certificate(host: &Host, what: &'static str, certificate: &Certificate) {
    if host.trace().is_recording() {
        let named = std::iter::once(("action", what.to_owned()));
        host.record("certificate", named.chain(certificate.evidence()).collect());
    }
}
