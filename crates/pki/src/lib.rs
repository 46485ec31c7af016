//! X.509, tokens and kubeconfigs on a host's clock, in upstream's shapes and words.
//!
//! ```text
//!   Entropy ─┐
//!  KeyAlgorithm ─ PrivateKey ── Authority ─ issue ─ Certificate ─┐
//!                     │                                          ├ CertifiedKey ─ identities ─┬─ ClientTls ─ rustls
//!                     └─────────────────────────────────────────-┘                            └─ ServerTls ─ rustls
//!                                                Roots ─ verify_chain(…, now, …) ─ X509Error ─ Go's words
//! ```
//!
//! * keys and certificates: [`PrivateKey`], [`PublicKey`], [`Certificate`], [`Authority`], [`csr`], [`CertifiedKey`]
//! * judgement: [`Roots`], [`verify_chain`], [`verify_hostname`], [`X509Error`], [`alert`]
//! * TLS: [`ClientTls`], [`ServerTls`], [`ClientIdentity`], [`ServerIdentity`]
//! * files and tokens: [`kubeconfig`], [`token`], [`jwt`], [`loopback`]
//!
//! Nothing here reads the time or chance of the machine, but for the bytes of keys: aws-lc-rs cannot
//! be seeded. Pure functions take `now`; the verifiers in TLS ask the host's clock at each handshake.

mod authority;
mod certificate;
pub mod csr;
mod key;
pub mod loopback;
mod pair;
mod usages;

pub mod alert;
mod hostname;
mod proven;
mod roots;
mod verify;
mod x509_error;

mod client_tls;
mod handshake;
mod identity;
mod server_tls;
mod sni;

pub mod jwt;
pub mod kubeconfig;
pub mod token;

mod der;
mod pem;

pub use authority::{Authority, CertSpec, Grant, IssueError};
pub use certificate::{Certificate, CertificateError, ExtendedUsage, KeyUsage};
pub use client_tls::{ClientTls, InvalidServerName};
pub use handshake::peer_certificates;
pub use hostname::verify_hostname;
pub use identity::{
    ClientIdentity, FileIdentity, FileIdentityError, ServerIdentity, SharedIdentity, StaticIdentity,
};
pub use key::{BadSignature, KeyAlgorithm, KeyError, PrivateKey, PublicKey, UnknownKeyAlgorithm};
pub use pair::{CertifiedKey, PairError};
pub use pem::PemError;
pub use roots::Roots;
pub use server_tls::{ServerTls, UnsupportedTls};
pub use usages::{UnknownUsages, parse_usages};
pub use verify::{Usage, verify_chain};
pub use x509_error::{Hint, X509Error};

/// A Go release as `(1, minor)`: it decides the words of errors.
pub type GoVersion = (u16, u16);
