//! Certificate authorities, and the certificates that they issue in kubeadm's and client-go's shape.

use std::{fmt, net::IpAddr};

use aws_lc_rs::digest;
use world::{Entropy, Wall};
use yasna::Tag;

use crate::{
    Certificate, ExtendedUsage, KeyUsage, PrivateKey, PublicKey,
    certificate::CertificateError,
    csr::Csr,
    der::{self, AltNames, oid},
    key::{KeyAlgorithm, KeyError},
};

/// Why a certificate could not be issued, or an authority not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Certificate and key do not belong together.
    #[error("private key does not match public key")]
    Mismatch,
    /// A name that no certificate can hold.
    #[error("{0:?} cannot be a name in a certificate: only ASCII characters are possible")]
    Name(String),
}

/// A certificate to be issued. `KeyUsage` is always digital signature and key encipherment.
#[derive(Clone, Debug)]
pub struct CertSpec {
    /// Subject common name: the user.
    pub common_name: String,
    /// Subject organizations: the groups.
    pub organizations: Vec<String>,
    /// DNS names.
    pub dns_names: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// For use as a client.
    pub client_auth: bool,
    /// For use as a server.
    pub server_auth: bool,
    /// First instant of validity (whole seconds; the rest is cut off).
    pub not_before: Wall,
    /// Last instant of validity (whole seconds; the rest is cut off).
    pub not_after: Wall,
}

/// What a signer grants to a CSR: its uses and dates. Subject, names and key are the request's.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Key usage.
    pub key_usage: KeyUsage,
    /// Extended key usages.
    pub extended: Vec<ExtendedUsage>,
    /// First instant of validity.
    pub not_before: Wall,
    /// Last instant of validity.
    pub not_after: Wall,
}

/// A certificate authority: its certificate and its key.
#[derive(Clone)]
pub struct Authority {
    /// The certificate.
    pub certificate: Certificate,
    key: PrivateKey,
}

impl Authority {
    /// A new self-signed authority, as client-go's `NewSelfSignedCACert` makes it: kubeadm puts the
    /// common name into the DNS names, the loopback generator puts nothing there.
    ///
    /// # Errors
    /// The crypto library failed, or a name is not ASCII.
    pub fn new_root(
        entropy: &Entropy,
        algorithm: KeyAlgorithm,
        common_name: &str,
        dns_names: &[String],
        not_before: Wall,
        not_after: Wall,
    ) -> Result<Self, IssueError> {
        Self::with_key(
            entropy,
            PrivateKey::generate(algorithm)?,
            common_name,
            dns_names,
            not_before,
            not_after,
        )
    }

    /// As [`Authority::new_root`] with the serial number 0, as client-go numbered authorities up to 1.27.
    ///
    /// # Errors
    /// As [`Authority::new_root`].
    pub fn new_root_numbered_zero(
        algorithm: KeyAlgorithm,
        common_name: &str,
        dns_names: &[String],
        not_before: Wall,
        not_after: Wall,
    ) -> Result<Self, IssueError> {
        let key = PrivateKey::generate(algorithm)?;
        Self::numbered(vec![0], key, common_name, dns_names, (not_before, not_after))
    }

    /// As [`Authority::new_root`], with a key that is there already (`kubeadm certs renew`, CA rotation).
    ///
    /// # Errors
    /// As [`Authority::new_root`].
    pub fn with_key(
        entropy: &Entropy,
        key: PrivateKey,
        common_name: &str,
        dns_names: &[String],
        not_before: Wall,
        not_after: Wall,
    ) -> Result<Self, IssueError> {
        Self::numbered(serial(entropy), key, common_name, dns_names, (not_before, not_after))
    }

    fn numbered(
        serial: Vec<u8>,
        key: PrivateKey,
        common_name: &str,
        dns_names: &[String],
        dates: (Wall, Wall),
    ) -> Result<Self, IssueError> {
        let public = key.public();
        let template = Template {
            serial,
            subject: &der::name(common_name, &[]),
            names: AltNames { dns: dns_names.to_vec(), ..AltNames::default() },
            dates,
            key_usage: LEAF_USAGE.and(KeyUsage::CERT_SIGN),
            extended: &[],
            ca: true,
            public: &public,
        };
        let certificate = template.sign(None, &key)?;
        Ok(Self { certificate, key })
    }

    /// A pair that exists: the first certificate of the text and its key.
    ///
    /// # Errors
    /// Either is unreadable, or they do not belong together.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, IssueError> {
        let certificate =
            Certificate::parse_pem(certificate)?.into_iter().next().ok_or(CertificateError::Malformed)?;
        let key = PrivateKey::from_pem(key)?;
        if certificate.public_key() != key.public() {
            return Err(IssueError::Mismatch);
        }
        Ok(Self { certificate, key })
    }

    /// The authority's key, to be written to `ca.key`.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Issues a certificate for `public`, with a serial number uniform in `[1, 2^63)`.
    ///
    /// # Errors
    /// The crypto library failed, or a name is not ASCII.
    pub fn issue(
        &self,
        entropy: &Entropy,
        spec: &CertSpec,
        public: &PublicKey,
    ) -> Result<Certificate, IssueError> {
        let mut extended = Vec::new();
        // kubeadm's and the generator's order.
        if spec.server_auth {
            extended.push(ExtendedUsage::ServerAuth);
        }
        if spec.client_auth {
            extended.push(ExtendedUsage::ClientAuth);
        }
        let template = Template {
            serial: serial(entropy),
            subject: &der::name(&spec.common_name, &spec.organizations),
            names: AltNames { dns: spec.dns_names.clone(), ips: spec.ips.clone(), ..AltNames::default() },
            dates: (spec.not_before, spec.not_after),
            key_usage: LEAF_USAGE,
            extended: &extended,
            ca: false,
            public,
        };
        template.sign(Some(&self.certificate), &self.key)
    }

    /// Signs a CSR as kube-controller-manager does: a random 128-bit serial number, subject, names
    /// and key copied, uses and dates from `grant`, requested extensions dropped.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn sign_csr(&self, entropy: &Entropy, csr: &Csr, grant: &Grant) -> Result<Certificate, IssueError> {
        let mut serial = vec![0; 16];
        entropy.fill(&mut serial);
        let template = Template {
            serial,
            subject: csr.subject_der(),
            names: csr.names().clone(),
            dates: (grant.not_before, grant.not_after),
            key_usage: grant.key_usage,
            extended: &grant.extended,
            ca: false,
            public: csr.public_key(),
        };
        template.sign(Some(&self.certificate), &self.key)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({:?})", self.certificate)
    }
}

const LEAF_USAGE: KeyUsage = KeyUsage::DIGITAL_SIGNATURE.and(KeyUsage::KEY_ENCIPHERMENT);

/// Uniform in `[1, 2^63)`: decided by the seed.
fn serial(entropy: &Entropy) -> Vec<u8> {
    (entropy.below((1 << 63) - 1) + 1).to_be_bytes().to_vec()
}

/// A self-signed certificate that serves at once. With `entropy` it is numbered by chance and its own authority, the
/// loopback shape up to 1.9; without, it has the number 1 and is nobody's authority, as in 2015.
pub(crate) fn self_signed_serving(
    entropy: Option<&Entropy>,
    key: &PrivateKey,
    common_name: &str,
    dns_names: &[String],
    ips: &[IpAddr],
    dates: (Wall, Wall),
) -> Result<Certificate, IssueError> {
    let public = key.public();
    let template = Template {
        serial: entropy.map_or(vec![1], serial),
        subject: &der::name(common_name, &[]),
        names: AltNames { dns: dns_names.to_vec(), ips: ips.to_vec(), ..AltNames::default() },
        dates,
        key_usage: if entropy.is_some() { LEAF_USAGE.and(KeyUsage::CERT_SIGN) } else { LEAF_USAGE },
        extended: &[ExtendedUsage::ServerAuth],
        ca: entropy.is_some(),
        public: &public,
    };
    template.sign(None, key)
}

struct Template<'a> {
    serial: Vec<u8>,
    subject: &'a [u8],
    names: AltNames,
    dates: (Wall, Wall),
    key_usage: KeyUsage,
    extended: &'a [ExtendedUsage],
    ca: bool,
    public: &'a PublicKey,
}

impl Template<'_> {
    /// Signs; without `issuer` it is self-signed.
    fn sign(&self, issuer: Option<&Certificate>, key: &PrivateKey) -> Result<Certificate, IssueError> {
        let texts = [&self.names.dns, &self.names.emails, &self.names.uris];
        if let Some(bad) = texts.into_iter().flatten().find(|name| !name.is_ascii()) {
            return Err(IssueError::Name(bad.clone()));
        }
        let scheme = key.certificate_scheme();
        let algorithm = scheme.der();
        let body = self.body(issuer, &algorithm);
        let signature = key.sign(scheme, &body)?;
        Ok(Certificate::from_der(der::signed(&body, &algorithm, &signature))?)
    }

    fn body(&self, issuer: Option<&Certificate>, algorithm: &[u8]) -> Vec<u8> {
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_tagged(Tag::context(0), |w| w.write_u8(2));
                writer.next().write_bigint_bytes(&self.serial, true);
                writer.next().write_der(algorithm);
                writer.next().write_der(issuer.map_or(self.subject, Certificate::subject_der));
                writer.next().write_sequence(|writer| {
                    der::write_time(writer.next(), self.dates.0);
                    der::write_time(writer.next(), self.dates.1);
                });
                writer.next().write_der(self.subject);
                writer.next().write_der(self.public.spki_der());
                writer.next().write_tagged(Tag::context(3), |writer| {
                    writer.write_sequence(|writer| self.extensions(writer, issuer));
                });
            });
        })
    }

    /// In Go's order: key usage, extended key usage, basic constraints, key identifiers, names.
    fn extensions(&self, writer: &mut yasna::DERWriterSeq<'_>, issuer: Option<&Certificate>) {
        if self.key_usage != KeyUsage::default() {
            der::write_extension(writer, oid::KEY_USAGE, true, |w| write_key_usage(w, self.key_usage));
        }
        if !self.extended.is_empty() {
            der::write_extension(writer, oid::EXTENDED_KEY_USAGE, false, |w| {
                write_extended(w, self.extended)
            });
        }
        der::write_extension(writer, oid::BASIC_CONSTRAINTS, true, |w| {
            w.write_sequence(|w| {
                if self.ca {
                    w.next().write_bool(true);
                }
            });
        });
        if self.ca {
            der::write_extension(writer, oid::SUBJECT_KEY_ID, false, |w| w.write_bytes(&key_id(self.public)));
        }
        let authority = issuer.map_or(&[][..], Certificate::subject_key_id);
        if !authority.is_empty() {
            der::write_extension(writer, oid::AUTHORITY_KEY_ID, false, |w| {
                w.write_sequence(|w| {
                    w.next().write_tagged_implicit(Tag::context(0), |w| w.write_bytes(authority));
                });
            });
        }
        // An empty SEQUENCE takes two bytes.
        self.names.write_extension(writer, self.subject.len() <= 2);
    }
}

pub(crate) fn write_key_usage(writer: yasna::DERWriter<'_>, usage: KeyUsage) {
    let bits = 16 - usage.0.leading_zeros() as usize;
    let bytes = usage.0.reverse_bits().to_be_bytes();
    writer.write_bitvec_bytes(bytes.get(..bits.div_ceil(8)).unwrap_or(&bytes), bits);
}

pub(crate) fn write_extended(writer: yasna::DERWriter<'_>, usages: &[ExtendedUsage]) {
    writer.write_sequence(|writer| {
        for usage in usages {
            match usage {
                ExtendedUsage::Any => der::write_oid(writer.next(), &[2, 5, 29, 37, 0]),
                ExtendedUsage::ServerAuth => der::write_oid(writer.next(), &[1, 3, 6, 1, 5, 5, 7, 3, 1]),
                ExtendedUsage::ClientAuth => der::write_oid(writer.next(), &[1, 3, 6, 1, 5, 5, 7, 3, 2]),
                ExtendedUsage::Other(text) => {
                    let parts: Vec<u64> = text.split('.').filter_map(|part| part.parse().ok()).collect();
                    if parts.len() > 2 {
                        der::write_oid(writer.next(), &parts);
                    }
                }
            }
        }
    });
}

/// The first 20 bytes of SHA-256 over the key's bits (RFC 7093 method 1), as Go ≥ 1.25 makes it.
fn key_id(key: &PublicKey) -> Vec<u8> {
    let bits = key.parts().map_or(key.spki_der(), |(_, bits)| bits);
    digest::digest(&digest::SHA256, bits).as_ref().iter().take(20).copied().collect()
}
