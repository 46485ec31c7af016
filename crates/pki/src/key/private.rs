//! A private key: made, read, written as upstream writes it, and signed with.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
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
use yasna::Tag;

use super::{KeyAlgorithm, KeyError, PublicKey, Scheme};
use crate::{
    der::{self, oid},
    pem::{self, PemError},
};

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
