//! Certificate signing requests (PKCS#10), as kubelets make them and signers read them.

use std::net::IpAddr;

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls_pki_types::pem::SectionKind;
use x509_parser::prelude::{FromDer, ParsedExtension, X509CertificationRequest};
use yasna::Tag;

use crate::{
    PrivateKey, PublicKey,
    certificate::alt_names,
    der::{self, AltNames, oid},
    key::{BadSignature, KeyError},
    pem::{self, PemError},
};

/// Why a request cannot be read, in the apiserver's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Not PEM, or another block first.
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Type,
    /// The block is damaged.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Not a request.
    #[error("asn1: structure error: not a certificate request")]
    Malformed,
    /// Signed by another key than the one in it, or changed since.
    #[error("{0}")]
    Signature(BadSignature),
}

/// The name of a request that is found again after a restart: `node-csr-` and a digest of what it is
/// about, each part in base64 with a delimiter that base64 lacks (kubelet `bootstrap.go`, digestedName).
/// `key` is the public key's PKIX encoding; kubelets before 1.13 took the private key's PEM text.
pub fn digested_name(key: &[u8], common_name: &str, organizations: &[String], usages: &[&str]) -> String {
    let mut digest = digest::Context::new(&digest::SHA512_256);
    let mut write = |part: &[u8]| {
        digest.update(URL_SAFE_NO_PAD.encode(part).as_bytes());
        digest.update(b"|");
    };
    write(key);
    write(common_name.as_bytes());
    organizations.iter().for_each(|o| write(o.as_bytes()));
    usages.iter().for_each(|u| write(u.as_bytes()));
    format!("node-csr-{}", URL_SAFE_NO_PAD.encode(digest.finish()))
}

/// A request whose own signature holds.
#[derive(Clone, Debug)]
pub struct Csr {
    subject: Vec<u8>,
    common_name: String,
    organizations: Vec<String>,
    names: AltNames,
    public_key: PublicKey,
}

impl Csr {
    /// A new request as client-go's `cert.MakeCSR` makes it, as PEM.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn create(
        key: &PrivateKey,
        common_name: &str,
        organizations: &[String],
        dns_names: &[String],
        ips: &[IpAddr],
    ) -> Result<String, KeyError> {
        let names = AltNames { dns: dns_names.to_vec(), ips: ips.to_vec(), ..AltNames::default() };
        let body = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_u8(0);
                writer.next().write_der(&der::name(common_name, organizations));
                writer.next().write_der(key.public().spki_der());
                writer.next().write_tagged_implicit(Tag::context(0), |writer| {
                    writer.write_set_of(|writer| {
                        if !names.is_empty() {
                            writer.next().write_sequence(|writer| {
                                der::write_oid(writer.next(), oid::EXTENSION_REQUEST);
                                writer.next().write_set_of(|writer| {
                                    writer
                                        .next()
                                        .write_sequence(|writer| names.write_extension(writer, false));
                                });
                            });
                        }
                    });
                });
            });
        });
        let scheme = key.request_scheme();
        let signature = key.sign(scheme, &body)?;
        Ok(pem::encode("CERTIFICATE REQUEST", &der::signed(&body, &scheme.der(), &signature)))
    }

    /// Reads PEM whose first block must be `CERTIFICATE REQUEST`, and checks its signature.
    ///
    /// # Errors
    /// See [`CsrError`].
    pub fn parse(text: &[u8]) -> Result<Self, CsrError> {
        let section = pem::sections(text)?.into_iter().next().ok_or(CsrError::Type)?;
        if section.0 != SectionKind::Csr {
            return Err(CsrError::Type);
        }
        Self::from_der(&section.1)
    }

    /// Reads DER and checks its signature.
    ///
    /// # Errors
    /// See [`CsrError`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, CsrError> {
        let Ok(([], request)) = X509CertificationRequest::from_der(bytes) else {
            return Err(CsrError::Malformed);
        };
        let info = &request.certification_request_info;
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| match attribute.as_str() {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(attribute.as_slice()).into_owned(),
        };
        let mut names = AltNames::default();
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(san) = extension {
                names = alt_names(&san.general_names).ok_or(CsrError::Malformed)?;
            }
        }
        let this = Self {
            subject: info.subject.as_raw().to_vec(),
            common_name: info.subject.iter_common_name().last().map(text).unwrap_or_default(),
            organizations: info.subject.iter_organization().map(text).collect(),
            names,
            public_key: PublicKey::from_spki_der(info.subject_pki.raw).map_err(|_| CsrError::Malformed)?,
        };
        this.check_signature(bytes)?;
        Ok(this)
    }

    fn check_signature(&self, bytes: &[u8]) -> Result<(), CsrError> {
        let parts = || {
            let outer = der::read(bytes)?;
            let body = der::read(outer.contents)?;
            let algorithm = der::read(body.rest)?;
            let signature = der::read(algorithm.rest)?;
            Some((body.whole, algorithm.contents, signature.contents.get(1..)?))
        };
        let (body, algorithm, signature) = parts().ok_or(CsrError::Malformed)?;
        self.public_key.verify(algorithm, body, signature).map_err(CsrError::Signature)
    }

    /// The subject's common name.
    pub fn common_name(&self) -> &str {
        &self.common_name
    }

    /// The subject's organizations.
    pub fn organizations(&self) -> &[String] {
        &self.organizations
    }

    /// The DER of the subject.
    pub fn subject_der(&self) -> &[u8] {
        &self.subject
    }

    /// DNS names asked for.
    pub fn dns_names(&self) -> &[String] {
        &self.names.dns
    }

    /// Addresses asked for.
    pub fn ips(&self) -> &[IpAddr] {
        &self.names.ips
    }

    /// E-mail addresses asked for.
    pub fn emails(&self) -> &[String] {
        &self.names.emails
    }

    /// URIs asked for.
    pub fn uris(&self) -> &[String] {
        &self.names.uris
    }

    /// The key to be certified.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    pub(crate) fn names(&self) -> &AltNames {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digested_names_are_upstreams() {
        let name = digested_name(
            b"key",
            "system:node:n1",
            &["system:nodes".to_owned()],
            &["digital signature", "client auth"],
        );
        // By another implementation of SHA-512/256 over the same parts.
        assert_eq!(name, "node-csr-qHrZoGmz7n4QzFn42jbwGhrcJU9T-zkJb_IhDRCXqmo");
    }
}
