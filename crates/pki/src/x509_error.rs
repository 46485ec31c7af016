//! Why a chain does not hold, with the evidence, and Go's words for it by Go version.
//!
//! | since Go | what changed |
//! |---|---|
//! | 1.15 | expired certificates: `: current time … is after …` follows. No Kubernetes minor was built with 1.14, so the words of 1.14 are never needed. |
//! | 1.20 | a handshake says `tls: failed to verify certificate: ` first |
//! | 1.25 | a name list of 100 or more is counted, not printed |

use std::{fmt, net::IpAddr, sync::Arc};

use world::{Wall, rfc3339};

use crate::{GoVersion, key::BadSignature};

/// The words of the newest Go that we know.
pub(crate) const NEWEST_GO: GoVersion = (1, 26);

const DETAIL_OF_EXPIRY: GoVersion = (1, 15);
const HANDSHAKE_PREFIX: GoVersion = (1, 20);
const COUNTED_NAMES: GoVersion = (1, 25);

/// Why a chain of certificates is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum X509Error {
    /// A certificate's time is over.
    Expired {
        /// The clock that was asked.
        now: Wall,
        /// The certificate's last instant.
        not_after: Wall,
    },
    /// A certificate's time has not come: a clock behind, or a certificate from the future.
    NotYetValid {
        /// The clock that was asked.
        now: Wall,
        /// The certificate's first instant.
        not_before: Wall,
    },
    /// No path leads to a trusted certificate.
    UnknownAuthority {
        /// A trusted certificate of the right name that did not fit, and why.
        hint: Option<Hint>,
    },
    /// The certificate is for other names.
    HostMismatch {
        /// The name or address that was asked for.
        wanted: String,
        /// The DNS names in the certificate.
        dns_names: Vec<String>,
        /// The addresses in the certificate.
        ips: Vec<IpAddr>,
        /// The wanted name is only in the subject's common name.
        legacy_common_name: bool,
    },
    /// The certificate is not for this kind of use.
    IncompatibleUsage,
    /// A certificate in the middle is no authority.
    NotAuthorizedToSign,
    /// An authority allows fewer certificates below it.
    TooManyIntermediates,
    /// A critical extension that nobody here understands.
    UnhandledCriticalExtension,
    /// More signatures to check than any honest chain needs.
    TooManySignatures,
    /// What the peer sent is no certificate.
    Malformed,
    /// The peer sent no certificate.
    NoCertificate,
}

/// What Go adds to [`X509Error::UnknownAuthority`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Why the candidate did not fit.
    pub why: BadSignature,
    /// The candidate, by common name, organization or serial number.
    pub candidate: String,
}

impl X509Error {
    /// What `crypto/x509` of that Go version says.
    pub fn words(&self, go: GoVersion) -> String {
        match self {
            Self::Expired { now, not_after } => expiry(go, *now, "after", *not_after),
            Self::NotYetValid { now, not_before } => expiry(go, *now, "before", *not_before),
            Self::UnknownAuthority { hint: None } => "x509: certificate signed by unknown authority".into(),
            Self::UnknownAuthority { hint: Some(hint) } => format!(
                "x509: certificate signed by unknown authority (possibly because of {:?} while trying to verify \
                 candidate authority certificate {:?})",
                hint.why.to_string(),
                hint.candidate
            ),
            Self::HostMismatch { wanted, dns_names, ips, legacy_common_name } => {
                host_mismatch(go, wanted, dns_names, ips, *legacy_common_name)
            }
            Self::IncompatibleUsage => "x509: certificate specifies an incompatible key usage".into(),
            Self::NotAuthorizedToSign => {
                "x509: certificate is not authorized to sign other certificates".into()
            }
            Self::TooManyIntermediates => "x509: too many intermediates for path length constraint".into(),
            Self::UnhandledCriticalExtension => "x509: unhandled critical extension".into(),
            Self::TooManySignatures => {
                "x509: signature check attempts limit reached while verifying certificate chain".into()
            }
            Self::Malformed => "x509: malformed certificate".into(),
            Self::NoCertificate => "tls: no certificates".into(),
        }
    }

    /// What a handshake of that Go version says: from 1.20 on with a prefix.
    pub fn handshake_words(&self, go: GoVersion) -> String {
        let words = self.words(go);
        if *self == Self::Malformed {
            // Never reaches verification.
            return format!("tls: failed to parse certificate from server: {words}");
        }
        if go >= HANDSHAKE_PREFIX { format!("tls: failed to verify certificate: {words}") } else { words }
    }

    /// The verdict that one of our verifiers put into a rustls error.
    pub fn of(error: &rustls::Error) -> Option<&Self> {
        match error {
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
                other.0.downcast_ref()
            }
            _ => None,
        }
    }

    /// The verdict inside the error of a TLS stream, as tokio-rustls hands it out.
    pub fn of_io(error: &std::io::Error) -> Option<&Self> {
        Self::of(error.get_ref()?.downcast_ref()?)
    }

    /// As a verifier returns it. rustls then sends the alert `certificate_unknown` (46), where a Go
    /// client sends `bad_certificate` (42) for every verdict on a server's certificate: rustls picks
    /// the alert by variant and only this variant carries an error of ours. [`crate::alert`] reads
    /// 46 as Go's `bad certificate`, so that a server's log says what it said upstream.
    pub(crate) fn into_rustls(self) -> rustls::Error {
        let inner: Arc<dyn std::error::Error + Send + Sync> = Arc::new(self);
        rustls::CertificateError::Other(rustls::OtherError(inner)).into()
    }
}

impl fmt::Display for X509Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(NEWEST_GO))
    }
}

impl std::error::Error for X509Error {}

fn expiry(go: GoVersion, now: Wall, side: &str, limit: Wall) -> String {
    let words = "x509: certificate has expired or is not yet valid";
    if go < DETAIL_OF_EXPIRY {
        return words.into();
    }
    format!("{words}: current time {} is {side} {}", rfc3339(now), rfc3339(limit))
}

fn host_mismatch(go: GoVersion, wanted: &str, dns_names: &[String], ips: &[IpAddr], legacy: bool) -> String {
    if legacy && go >= DETAIL_OF_EXPIRY {
        return "x509: certificate relies on legacy Common Name field, use SANs instead".into();
    }
    let address = wanted.parse::<IpAddr>().is_ok();
    if address && ips.is_empty() {
        return format!(
            "x509: cannot validate certificate for {wanted} because it doesn't contain any IP SANs"
        );
    }
    let (count, kind) = if address { (ips.len(), "IP SANs") } else { (dns_names.len(), "names") };
    if count >= 100 && go >= COUNTED_NAMES {
        return format!("x509: certificate is valid for {count} {kind}, but none matched {wanted}");
    }
    if count == 0 {
        return format!("x509: certificate is not valid for any names, but wanted to match {wanted}");
    }
    let names: Vec<String> =
        if address { ips.iter().map(ToString::to_string).collect() } else { dns_names.to_vec() };
    format!("x509: certificate is valid for {}, not {wanted}", names.join(", "))
}
