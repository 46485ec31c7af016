//! Keys: the private ones that sign, the public ones that certificates and pins are about.

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::{
    digest,
    encoding::{AsBigEndian, AsDer, EcPrivateKeyBin},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaKeyPair,
    },
};
use rustls::crypto::aws_lc_rs as provider;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, pem::SectionKind};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};
use yasna::Tag;

use crate::{
    Certificate,
    der::{self, oid},
    handshake::provider as shared_provider,
    pem::{self, PemError},
    proven::{Statement, is_proven, remember},
};

/// The algorithms that kubeadm offers, by its names (`RSA-2048`, `ECDSA-P256`, …).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    /// kubeadm's default.
    #[default]
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
    /// ECDSA over P-256: kubelets, and the simulated gear's default.
    EcdsaP256,
    /// ECDSA over P-384.
    EcdsaP384,
}

impl KeyAlgorithm {
    const ALL: [(&'static str, Self); 5] = [
        ("RSA-2048", Self::Rsa2048),
        ("RSA-3072", Self::Rsa3072),
        ("RSA-4096", Self::Rsa4096),
        ("ECDSA-P256", Self::EcdsaP256),
        ("ECDSA-P384", Self::EcdsaP384),
    ];

    /// Whether it is one of the RSA kind.
    pub fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, a)| a == self).map_or("", |(name, _)| name))
    }
}

/// A name that is no [`KeyAlgorithm`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown key algorithm {0:?}: use one of RSA-2048, RSA-3072, RSA-4096, ECDSA-P256, ECDSA-P384")]
pub struct UnknownKeyAlgorithm(pub String);

impl FromStr for KeyAlgorithm {
    type Err = UnknownKeyAlgorithm;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|(n, _)| *n == name);
        found.map(|(_, a)| *a).ok_or_else(|| UnknownKeyAlgorithm(name.to_owned()))
    }
}

/// Why a key could not be made, read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not PEM, or not a key in it.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The block is there, the key in it is not one that we can use.
    #[error(
        "the key is malformed or of a kind that is not supported (RSA from 2048 bits, ECDSA P-256 and P-384)"
    )]
    Unsupported,
    /// The crypto library failed.
    #[error("the crypto library could not {0}")]
    Crypto(&'static str),
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
}

struct Secret {
    pair: Pair,
    pkcs8: Vec<u8>,
    public: PublicKey,
}

/// A private key. Clones share it. Never printed.
#[derive(Clone)]
pub struct PrivateKey(Arc<Secret>);

impl PrivateKey {
    /// A new key from the operating system's chance: aws-lc-rs cannot be seeded, so keys are the one
    /// thing that differs between two runs of the same seed.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Crypto("make a key");
        let rsa =
            |size| RsaKeyPair::generate(size).map_err(failed).and_then(|pair| Self::new(Pair::Rsa(pair)));
        let ec = |curve| EcdsaKeyPair::generate(curve).map_err(failed);
        match algorithm {
            KeyAlgorithm::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyAlgorithm::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyAlgorithm::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyAlgorithm::EcdsaP256 => Self::new(Pair::P256(ec(&ECDSA_P256_SHA256_ASN1_SIGNING)?)),
            KeyAlgorithm::EcdsaP384 => Self::new(Pair::P384(ec(&ECDSA_P384_SHA384_ASN1_SIGNING)?)),
        }
    }

    /// The first private key in PEM text: `RSA PRIVATE KEY` (PKCS#1), `EC PRIVATE KEY` (SEC1) or
    /// `PRIVATE KEY` (PKCS#8).
    ///
    /// # Errors
    /// No such block, a damaged block, or a key that we cannot use.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        for section in pem::sections(text)? {
            return match section.0 {
                SectionKind::RsaPrivateKey => RsaKeyPair::from_der(&section.1)
                    .map_err(|_| KeyError::Unsupported)
                    .and_then(|p| Self::new(Pair::Rsa(p))),
                SectionKind::EcPrivateKey => Self::ec_from_der(&section.1),
                SectionKind::PrivateKey => match RsaKeyPair::from_pkcs8(&section.1) {
                    Ok(pair) => Self::new(Pair::Rsa(pair)),
                    Err(_) => Self::ec_from_der(&section.1),
                },
                _ => continue,
            };
        }
        Err(PemError::Missing { wanted: "\"RSA PRIVATE KEY\", \"EC PRIVATE KEY\" or \"PRIVATE KEY\"" }.into())
    }

    fn ec_from_der(der: &[u8]) -> Result<Self, KeyError> {
        let on = |curve| EcdsaKeyPair::from_private_key_der(curve, der).map_err(|_| KeyError::Unsupported);
        match on(&ECDSA_P256_SHA256_ASN1_SIGNING) {
            Ok(pair) => Self::new(Pair::P256(pair)),
            Err(_) => Self::new(Pair::P384(on(&ECDSA_P384_SHA384_ASN1_SIGNING)?)),
        }
    }

    fn new(pair: Pair) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Crypto("encode a key");
        let (pkcs8, spki) = match &pair {
            Pair::Rsa(pair) => {
                let spki = pair.public_key().as_der().map_err(failed)?;
                (pair.as_der().map_err(failed)?.as_ref().to_vec(), spki.as_ref().to_vec())
            }
            Pair::P256(pair) | Pair::P384(pair) => {
                let spki = pair.public_key().as_der().map_err(failed)?;
                (pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(), spki.as_ref().to_vec())
            }
        };
        let public = PublicKey::from_spki_der(&spki)?;
        Ok(Self(Arc::new(Secret { pair, pkcs8, public })))
    }

    /// The key as upstream writes it: `RSA PRIVATE KEY` (PKCS#1) or `EC PRIVATE KEY` (SEC1).
    pub fn to_pem(&self) -> String {
        match &self.0.pair {
            Pair::Rsa(_) => pem::encode("RSA PRIVATE KEY", &self.pkcs1_der()),
            Pair::P256(_) | Pair::P384(_) => pem::encode("EC PRIVATE KEY", &self.sec1_der()),
        }
    }

    /// The PKCS#1 structure, which PKCS#8 wraps: `{ version, algorithm, OCTET STRING { PKCS#1 } }`.
    pub(crate) fn pkcs1_der(&self) -> Vec<u8> {
        let inner = || {
            let outer = der::read(&self.0.pkcs8)?;
            let version = der::read(outer.contents)?;
            let algorithm = der::read(version.rest)?;
            Some(der::read(algorithm.rest)?.contents.to_vec())
        };
        inner().unwrap_or_default()
    }

    fn sec1_der(&self) -> Vec<u8> {
        let (pair, curve) = match &self.0.pair {
            Pair::Rsa(_) => return Vec::new(),
            Pair::P256(pair) => (pair, oid::P256),
            Pair::P384(pair) => (pair, oid::P384),
        };
        let Ok(scalar) = AsBigEndian::<EcPrivateKeyBin<'_>>::as_be_bytes(&pair.private_key()) else {
            return Vec::new();
        };
        let point = pair.public_key().as_ref();
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_u8(1);
                writer.next().write_bytes(scalar.as_ref());
                writer.next().write_tagged(Tag::context(0), |w| der::write_oid(w, curve));
                writer.next().write_tagged(Tag::context(1), |w| w.write_bitvec_bytes(point, point.len() * 8));
            });
        })
    }

    /// PKCS #8, as other libraries read it.
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.0.pkcs8
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.0.public.clone()
    }

    /// Whether it is an RSA key.
    pub fn is_rsa(&self) -> bool {
        matches!(self.0.pair, Pair::Rsa(_))
    }

    fn rsa_bits(&self) -> Option<usize> {
        match &self.0.pair {
            Pair::Rsa(pair) => Some(pair.public_modulus_len() * 8),
            Pair::P256(_) | Pair::P384(_) => None,
        }
    }

    /// How a certificate is signed with this key: Go takes SHA-256 for any RSA key, and for ECDSA the
    /// hash that fits the curve.
    pub(crate) fn certificate_scheme(&self) -> Scheme {
        match &self.0.pair {
            Pair::Rsa(_) => Scheme::RsaSha256,
            Pair::P256(_) => Scheme::EcdsaSha256,
            Pair::P384(_) => Scheme::EcdsaSha384,
        }
    }

    /// How client-go signs a CSR: for RSA the hash grows with the key.
    pub(crate) fn request_scheme(&self) -> Scheme {
        match self.rsa_bits() {
            Some(4096..) => Scheme::RsaSha512,
            Some(3072..) => Scheme::RsaSha384,
            _ => self.certificate_scheme(),
        }
    }

    pub(crate) fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Crypto("sign");
        let chance = SystemRandom::new();
        match &self.0.pair {
            Pair::Rsa(pair) => {
                let encoding = match scheme {
                    Scheme::RsaSha384 => &RSA_PKCS1_SHA384,
                    Scheme::RsaSha512 => &RSA_PKCS1_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &chance, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Pair::P256(pair) | Pair::P384(pair) => {
                Ok(pair.sign(&chance, message).map_err(failed)?.as_ref().to_vec())
            }
        }
    }

    /// The key as rustls signs with it.
    pub(crate) fn to_rustls(&self) -> Result<Arc<dyn rustls::sign::SigningKey>, KeyError> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.pkcs8.clone()));
        provider::sign::any_supported_type(&der).map_err(|_| KeyError::Unsupported)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_rsa() { "PrivateKey(RSA)" } else { "PrivateKey(ECDSA)" })
    }
}

/// A signature algorithm of certificates and CSRs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    RsaSha256,
    RsaSha384,
    RsaSha512,
    EcdsaSha256,
    EcdsaSha384,
}

impl Scheme {
    /// The `AlgorithmIdentifier`.
    pub(crate) fn der(self) -> Vec<u8> {
        let (oid, null) = match self {
            Self::RsaSha256 => (oid::SHA256_RSA, true),
            Self::RsaSha384 => (oid::SHA384_RSA, true),
            Self::RsaSha512 => (oid::SHA512_RSA, true),
            Self::EcdsaSha256 => (oid::ECDSA_SHA256, false),
            Self::EcdsaSha384 => (oid::ECDSA_SHA384, false),
        };
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                der::write_oid(writer.next(), oid);
                if null {
                    writer.next().write_null();
                }
            });
        })
    }
}

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

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}
