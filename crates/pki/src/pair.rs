//! A chain and the key to its leaf: what a server serves and a client shows.

use std::sync::Arc;

use crate::{Certificate, PrivateKey, certificate::CertificateError, key::KeyError};

/// Why a chain and a key are no pair.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The chain.
    #[error("{0}")]
    Certificate(#[from] CertificateError),
    /// The key.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// They do not belong together, in Go's words.
    #[error("tls: private key does not match public key")]
    Mismatch,
}

/// A chain, leaf first, and the leaf's key. Never printed with its key.
#[derive(Clone, Debug)]
pub struct CertifiedKey {
    /// The chain, leaf first.
    pub chain: Vec<Certificate>,
    /// The leaf's key.
    pub key: PrivateKey,
}

impl CertifiedKey {
    /// A pair; checked to be one.
    ///
    /// # Errors
    /// The chain is empty or its leaf is for another key.
    pub fn new(chain: Vec<Certificate>, key: PrivateKey) -> Result<Self, PairError> {
        let leaf = chain.first().ok_or(CertificateError::Malformed)?;
        if leaf.public_key() != key.public() {
            return Err(PairError::Mismatch);
        }
        Ok(Self { chain, key })
    }

    /// From PEM text; both may be the same text, as in `kubelet-client-current.pem`.
    ///
    /// # Errors
    /// Either cannot be read, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, PairError> {
        Self::new(Certificate::parse_pem(chain)?, PrivateKey::from_pem(key)?)
    }

    /// The leaf.
    pub fn leaf(&self) -> Option<&Certificate> {
        self.chain.first()
    }

    /// The chain as PEM, leaf first.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(Certificate::to_pem).collect()
    }

    /// The key as PEM.
    pub fn key_pem(&self) -> String {
        self.key.to_pem()
    }

    /// As rustls uses it.
    ///
    /// # Errors
    /// rustls does not take such keys.
    pub fn to_rustls(&self) -> Result<Arc<rustls::sign::CertifiedKey>, PairError> {
        let chain = self.chain.iter().map(Certificate::to_rustls).collect();
        Ok(Arc::new(rustls::sign::CertifiedKey::new(chain, self.key.to_rustls()?)))
    }
}
