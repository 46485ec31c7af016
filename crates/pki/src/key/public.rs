//! A public key: read from whatever holds one, pinned, and signatures checked with it.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest;
use rustls_pki_types::pem::SectionKind;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

use super::{KeyError, PrivateKey, hex};
use crate::{
    Certificate,
    der::{self, oid},
    handshake::provider as shared_provider,
    pem::{self, PemError},
    proven::{Statement, is_proven, remember},
};

/// A public key of any kind, as its `SubjectPublicKeyInfo`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Arc<[u8]>,
}

impl PublicKey {
    /// From the DER of a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// It is none.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        match SubjectPublicKeyInfo::from_der(der) {
            Ok(([], _)) => Ok(Self { spki: der.into() }),
            _ => Err(KeyError::Unsupported),
        }
    }

    /// Every public key in PEM text: `PUBLIC KEY` (PKIX), or that of a certificate or private key.
    /// This is what `--service-account-key-file` may hold.
    ///
    /// # Errors
    /// No such block, or a damaged one.
    pub fn all_from_pem(text: &[u8]) -> Result<Vec<Self>, KeyError> {
        let mut keys = Vec::new();
        for section in pem::sections(text)? {
            match section.0 {
                SectionKind::PublicKey => keys.push(Self::from_spki_der(&section.1)?),
                SectionKind::Certificate => {
                    let certificate = Certificate::from_der(section.1).map_err(|_| KeyError::Unsupported)?;
                    keys.push(certificate.public_key());
                }
                SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey | SectionKind::PrivateKey => {
                    keys.push(PrivateKey::from_pem(text)?.public());
                }
                _ => {}
            }
        }
        if keys.is_empty() {
            return Err(PemError::Missing { wanted: "\"PUBLIC KEY\" or \"CERTIFICATE\"" }.into());
        }
        Ok(keys)
    }

    /// The first public key in PEM text.
    ///
    /// # Errors
    /// As [`PublicKey::all_from_pem`].
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        Self::all_from_pem(text)?.into_iter().next().ok_or(KeyError::Unsupported)
    }

    /// The key as a `PUBLIC KEY` block (PKIX), as `sa.pub` holds it.
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.spki)
    }

    /// The DER of the `SubjectPublicKeyInfo`.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// kubeadm's pin: `sha256:` and the lower-case hex of the digest of [`PublicKey::spki_der`].
    pub fn pin(&self) -> String {
        format!("sha256:{}", hex(digest::digest(&digest::SHA256, &self.spki).as_ref()))
    }

    /// The algorithm identifier's contents, and the key's own bits.
    pub(crate) fn parts(&self) -> Option<(&[u8], &[u8])> {
        let outer = der::read(&self.spki)?;
        let algorithm = der::read(outer.contents)?;
        let bits = der::read(algorithm.rest)?;
        // The first octet of a BIT STRING counts unused bits: none here.
        Some((algorithm.contents, bits.contents.get(1..)?))
    }

    /// Whether it is an RSA key.
    pub fn is_rsa(&self) -> bool {
        let rsa = yasna::construct_der(|w| der::write_oid(w, oid::RSA_ENCRYPTION));
        self.parts().is_some_and(|(algorithm, _)| algorithm.starts_with(&rsa))
    }

    pub(crate) fn is_ec(&self) -> bool {
        let ec = yasna::construct_der(|w| der::write_oid(w, oid::EC_PUBLIC_KEY));
        self.parts().is_some_and(|(algorithm, _)| algorithm.starts_with(&ec))
    }

    /// Checks `signature` over `message`; `algorithm` is the contents of the `AlgorithmIdentifier`.
    pub(crate) fn verify(
        &self,
        algorithm: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let (kind, bits) = self.parts().ok_or(BadSignature::Unsupported)?;
        let statement = Statement::of([&self.spki, algorithm, message, signature]);
        if is_proven(statement) {
            return Ok(());
        }
        let mut known = BadSignature::Unsupported;
        for candidate in shared_provider().signature_verification_algorithms.all {
            if candidate.public_key_alg_id().as_ref() == kind
                && candidate.signature_alg_id().as_ref() == algorithm
            {
                if candidate.verify_signature(bits, message, signature).is_ok() {
                    remember(statement);
                    return Ok(());
                }
                known = if self.is_rsa() { BadSignature::Rsa } else { BadSignature::Ecdsa };
            }
        }
        Err(known)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.is_rsa(), self.is_ec()) {
            (true, _) => "PublicKey(RSA)",
            (_, true) => "PublicKey(ECDSA)",
            _ => "PublicKey",
        })
    }
}

/// A signature that does not hold, in Go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// An RSA signature of another key, or over other bytes.
    #[error("crypto/rsa: verification error")]
    Rsa,
    /// An ECDSA (or other elliptic curve) signature of another key, or over other bytes.
    #[error("x509: ECDSA verification failure")]
    Ecdsa,
    /// No algorithm of ours fits key and signature.
    #[error("x509: cannot verify signature: algorithm unimplemented")]
    Unsupported,
    /// The signer is not allowed to sign certificates.
    #[error("x509: invalid signature: parent certificate cannot sign this kind of certificate")]
    NotAuthority,
}
