//! Keys: the private ones that sign, the public ones that certificates and pins are about.

mod private;
mod public;

use std::{fmt, str::FromStr};

use crate::{
    der::{self, oid},
    pem::PemError,
};
pub use private::PrivateKey;
pub use public::{BadSignature, PublicKey};

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

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}
