//! What both ends of a handshake share: one crypto provider, the host's clock, and the check that the
//! peer holds the key of the certificate it shows.

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use rustls::{
    CipherSuite,
    crypto::{CryptoProvider, aws_lc_rs},
    time_provider::TimeProvider,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use world::Host;

use crate::{Certificate, X509Error};

/// aws-lc-rs, shared by every configuration; nothing is installed for the whole process. As in Go, where
/// the processor has AES, TLS 1.3 begins with AES-128 (`crypto/tls` `defaultCipherSuitesTLS13`).
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        Arc::new(provider)
    });
    PROVIDER.clone()
}

/// rustls' clock is the host's.
#[derive(Debug)]
pub(crate) struct HostTime(pub Host);

impl TimeProvider for HostTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.clock().wall().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// What a verifier of either side's certificate says of signatures in the handshake: what the library says.
macro_rules! checks_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &rustls_pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let algorithms = $crate::handshake::provider().signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &rustls_pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let algorithms = $crate::handshake::provider().signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            $crate::handshake::provider().signature_verification_algorithms.supported_schemes()
        }
    };
}
pub(crate) use checks_signatures;

/// What the peer sent, leaf first.
pub(crate) fn read_chain(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<Vec<Certificate>, X509Error> {
    let all = std::iter::once(leaf).chain(intermediates);
    all.map(|der| Certificate::from_der(der.as_ref()))
        .collect::<Result<_, _>>()
        .map_err(|_| X509Error::Malformed)
}

/// The certificates of an established connection, leaf first; unreadable ones are left out.
pub fn peer_certificates(der: Option<&[CertificateDer<'_>]>) -> Vec<Certificate> {
    der.unwrap_or_default().iter().filter_map(|der| Certificate::from_der(der.as_ref()).ok()).collect()
}

/// Stands in for the innards of types that hold identities.
#[derive(Clone)]
pub(crate) struct Opaque<T>(pub T);

impl<T> fmt::Debug for Opaque<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}
