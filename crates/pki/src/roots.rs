//! Trust anchors, dates and all: webpki's anchors carry none, and the oldest loopback certificates
//! are anchors that expire.

use std::sync::Arc;

use crate::{Certificate, certificate::CertificateError};

/// A set of certificates that are trusted as they stand. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Roots(Arc<[Certificate]>);

impl Roots {
    /// These certificates.
    pub fn new(certificates: Vec<Certificate>) -> Self {
        Self(certificates.into())
    }

    /// Every certificate of a bundle, as in `ca.crt` or `certificate-authority-data`.
    ///
    /// # Errors
    /// As [`Certificate::parse_pem`].
    pub fn from_pem(bundle: &[u8]) -> Result<Self, CertificateError> {
        Certificate::parse_pem(bundle).map(Self::new)
    }

    /// The certificates, in the order of the bundle.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bundle as PEM.
    pub fn to_pem(&self) -> String {
        self.0.iter().map(Certificate::to_pem).collect()
    }

    pub(crate) fn contains(&self, certificate: &Certificate) -> bool {
        self.0.contains(certificate)
    }
}

impl From<Certificate> for Roots {
    fn from(certificate: Certificate) -> Self {
        Self::new(vec![certificate])
    }
}
