//! One certificate, read once: what TLS, authentication and people want to know of it.

use std::{fmt, net::IpAddr, sync::Arc};

use aws_lc_rs::digest;
use parking_lot::Mutex;
use rustls_pki_types::{CertificateDer, pem::SectionKind};
use world::Wall;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate, X509Extension, X509Name};

use crate::{
    der::{self, AltNames},
    key::{BadSignature, PublicKey, hex},
    pem::{self, PemError},
};

/// Why bytes are not a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not PEM, or no certificate in it.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Not a certificate.
    #[error("x509: malformed certificate")]
    Malformed,
}

/// What a certificate may be used for, beyond signing certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtendedUsage {
    /// Everything.
    Any,
    /// To show that one is a server.
    ServerAuth,
    /// To show that one is a client.
    ClientAuth,
    /// Something else, by its object identifier.
    Other(String),
}

/// Bits of the key usage extension, as RFC 5280 numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage(pub(crate) u16);

impl KeyUsage {
    /// `digital signature`
    pub const DIGITAL_SIGNATURE: Self = Self(1);
    /// `content commitment`
    pub const CONTENT_COMMITMENT: Self = Self(1 << 1);
    /// `key encipherment`
    pub const KEY_ENCIPHERMENT: Self = Self(1 << 2);
    /// `data encipherment`
    pub const DATA_ENCIPHERMENT: Self = Self(1 << 3);
    /// `key agreement`
    pub const KEY_AGREEMENT: Self = Self(1 << 4);
    /// `cert sign`
    pub const CERT_SIGN: Self = Self(1 << 5);
    /// `crl sign`
    pub const CRL_SIGN: Self = Self(1 << 6);
    /// `encipher only`
    pub const ENCIPHER_ONLY: Self = Self(1 << 7);
    /// `decipher only`
    pub const DECIPHER_ONLY: Self = Self(1 << 8);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An X.509 certificate. Clones share it.
#[derive(Clone)]
pub struct Certificate(Arc<Parsed>);

struct Parsed {
    der: CertificateDer<'static>,
    tbs: Vec<u8>,
    signature_algorithm: Vec<u8>,
    signature: Vec<u8>,
    version: u32,
    serial: Vec<u8>,
    subject: Name,
    issuer: Name,
    not_before: Wall,
    not_after: Wall,
    public_key: PublicKey,
    names: AltNames,
    has_names: bool,
    constraints: Option<Constraints>,
    key_usage: Option<KeyUsage>,
    extended: Vec<ExtendedUsage>,
    subject_key_id: Vec<u8>,
    authority_key_id: Vec<u8>,
    unhandled: bool,
    /// The key that this certificate's signature was last found to hold under. A signature does not
    /// age, so a connection's certificate is checked once, not at each request.
    signed_by: Mutex<Option<PublicKey>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Constraints {
    pub ca: bool,
    pub path_len: Option<u32>,
}

#[derive(Clone, Debug, Default)]
struct Name {
    raw: Vec<u8>,
    common_name: String,
    organizations: Vec<String>,
    uid: Option<String>,
}

/// `authentication.kubernetes.io` user id in a subject.
const KUBERNETES_UID: &str = "1.3.6.1.4.1.57683.2";

impl Name {
    fn read(name: &X509Name<'_>) -> Self {
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| match attribute.as_str() {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(attribute.as_slice()).into_owned(),
        };
        Self {
            raw: name.as_raw().to_vec(),
            // Of several common names the last one counts, as in Go.
            common_name: name.iter_common_name().last().map(text).unwrap_or_default(),
            organizations: name.iter_organization().map(text).collect(),
            uid: name.iter_attributes().find(|a| a.attr_type().to_id_string() == KUBERNETES_UID).map(text),
        }
    }
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// The bytes are not exactly one certificate.
    pub fn from_der(der: impl Into<Vec<u8>>) -> Result<Self, CertificateError> {
        let der: Vec<u8> = der.into();
        let parsed = Parsed::read(&der).ok_or(CertificateError::Malformed)?;
        Ok(Self(Arc::new(parsed)))
    }

    /// Every certificate in PEM text, in order; other blocks are passed over.
    ///
    /// # Errors
    /// No certificate is there, a block is damaged, or what is in it is no certificate.
    pub fn parse_pem(text: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let mut found = Vec::new();
        for section in pem::sections(text)? {
            if section.0 == SectionKind::Certificate {
                found.push(Self::from_der(section.1)?);
            }
        }
        if found.is_empty() {
            return Err(PemError::Missing { wanted: "\"CERTIFICATE\"" }.into());
        }
        Ok(found)
    }

    /// The certificate as a `CERTIFICATE` block.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", self.der())
    }

    /// The encoding.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The encoding as rustls passes it.
    pub fn to_rustls(&self) -> CertificateDer<'static> {
        self.0.der.clone()
    }

    /// The common name of the subject; empty when there is none.
    pub fn subject_cn(&self) -> &str {
        &self.0.subject.common_name
    }

    /// The organizations of the subject, which are a user's groups.
    pub fn organizations(&self) -> &[String] {
        &self.0.subject.organizations
    }

    /// The user id in the subject (attribute 1.3.6.1.4.1.57683.2), read by apiservers from 1.33 on.
    pub fn subject_uid(&self) -> Option<&str> {
        self.0.subject.uid.as_deref()
    }

    /// The DER of the subject.
    pub fn subject_der(&self) -> &[u8] {
        &self.0.subject.raw
    }

    /// The common name of the issuer.
    pub fn issuer_cn(&self) -> &str {
        &self.0.issuer.common_name
    }

    /// The DER of the issuer.
    pub fn issuer_der(&self) -> &[u8] {
        &self.0.issuer.raw
    }

    /// The serial number in lower-case hex, without leading zeros.
    pub fn serial_hex(&self) -> String {
        let text = hex(&self.0.serial);
        match text.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        }
    }

    /// The serial number in decimal, as Go prints it.
    pub fn serial_decimal(&self) -> String {
        let mut digits = vec![0u8];
        for byte in &self.0.serial {
            let mut carry = u32::from(*byte);
            for digit in &mut digits {
                carry += u32::from(*digit) * 256;
                *digit = (carry % 10) as u8;
                carry /= 10;
            }
            while carry > 0 {
                digits.push((carry % 10) as u8);
                carry /= 10;
            }
        }
        digits.iter().rev().map(|d| char::from(b'0' + d)).collect()
    }

    /// The first instant of validity.
    pub fn not_before(&self) -> Wall {
        self.0.not_before
    }

    /// The last instant of validity, itself included.
    pub fn not_after(&self) -> Wall {
        self.0.not_after
    }

    /// DNS names.
    pub fn dns_names(&self) -> &[String] {
        &self.0.names.dns
    }

    /// IP addresses.
    pub fn ip_addresses(&self) -> &[IpAddr] {
        &self.0.names.ips
    }

    /// E-mail addresses.
    pub fn emails(&self) -> &[String] {
        &self.0.names.emails
    }

    /// URIs.
    pub fn uris(&self) -> &[String] {
        &self.0.names.uris
    }

    /// Whether it has a subject alternative name extension at all, even one without names.
    pub fn has_alt_names(&self) -> bool {
        self.0.has_names
    }

    /// Whether basic constraints say that it is an authority.
    pub fn is_ca(&self) -> bool {
        self.0.constraints.is_some_and(|c| c.ca)
    }

    /// Key usage; `None` without the extension.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.key_usage
    }

    /// Extended key usages; empty (everything) without the extension.
    pub fn usages(&self) -> &[ExtendedUsage] {
        &self.0.extended
    }

    /// The public key.
    pub fn public_key(&self) -> PublicKey {
        self.0.public_key.clone()
    }

    /// The subject key identifier; empty without the extension.
    pub fn subject_key_id(&self) -> &[u8] {
        &self.0.subject_key_id
    }

    /// The authority key identifier; empty without the extension.
    pub fn authority_key_id(&self) -> &[u8] {
        &self.0.authority_key_id
    }

    /// The lower-case hex of SHA-256 over the DER, as in the user extra
    /// `authentication.kubernetes.io/credential-id` (`X509SHA256=<this>`).
    pub fn sha256(&self) -> String {
        hex(digest::digest(&digest::SHA256, self.der()).as_ref())
    }

    /// What a record of this certificate holds: subject, serial number, dates, issuer, names and usages. No key, no
    /// signature, and nothing that hangs on them.
    pub fn evidence(&self) -> Vec<(&'static str, String)> {
        let names = self.dns_names().iter().cloned().chain(self.ip_addresses().iter().map(IpAddr::to_string));
        let usage = |usage: &ExtendedUsage| match usage {
            ExtendedUsage::Any => "any".to_owned(),
            ExtendedUsage::ServerAuth => "server auth".to_owned(),
            ExtendedUsage::ClientAuth => "client auth".to_owned(),
            ExtendedUsage::Other(oid) => oid.clone(),
        };
        let mut fields = vec![
            ("cn", self.subject_cn().to_owned()),
            ("serial", self.serial_hex()),
            ("not_before", world::rfc3339(self.not_before())),
            ("not_after", world::rfc3339(self.not_after())),
            ("issuer", self.issuer_cn().to_owned()),
        ];
        let more = [
            ("o", self.organizations().join(", ")),
            ("names", names.collect::<Vec<_>>().join(", ")),
            ("usage", self.usages().iter().map(usage).collect::<Vec<_>>().join(", ")),
            ("ca", if self.is_ca() { "true".to_owned() } else { String::new() }),
        ];
        fields.extend(more.into_iter().filter(|(_, text)| !text.is_empty()));
        fields
    }

    pub(crate) fn constraints(&self) -> Option<Constraints> {
        self.0.constraints
    }

    pub(crate) fn has_unhandled_critical_extension(&self) -> bool {
        self.0.unhandled
    }

    pub(crate) fn public_key_ref(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// Whether `parent` is allowed to have signed this certificate and did sign it.
    pub(crate) fn check_signature_from(&self, parent: &Certificate) -> Result<(), BadSignature> {
        let constraints = parent.0.constraints;
        let no_authority = match constraints {
            Some(constraints) => !constraints.ca,
            None => parent.0.version == 3,
        };
        let no_signing = parent.0.key_usage.is_some_and(|usage| !usage.has(KeyUsage::CERT_SIGN));
        if no_authority || no_signing {
            return Err(BadSignature::NotAuthority);
        }
        let key = &parent.0.public_key;
        if self.0.signed_by.lock().as_ref() == Some(key) {
            return Ok(());
        }
        key.verify(&self.0.signature_algorithm, &self.0.tbs, &self.0.signature)?;
        *self.0.signed_by.lock() = Some(key.clone());
        Ok(())
    }
}

impl Parsed {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(bytes).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let outer = der::read(bytes)?;
        let tbs = der::read(outer.contents)?;
        let algorithm = der::read(tbs.rest)?;
        let signature = der::read(algorithm.rest)?;
        let mut this = Self {
            der: CertificateDer::from(bytes.to_vec()),
            tbs: tbs.whole.to_vec(),
            signature_algorithm: algorithm.contents.to_vec(),
            signature: signature.contents.get(1..)?.to_vec(),
            version: certificate.version().0 + 1,
            serial: certificate.raw_serial().to_vec(),
            subject: Name::read(certificate.subject()),
            issuer: Name::read(certificate.issuer()),
            not_before: Wall::from_second(certificate.validity().not_before.timestamp()).ok()?,
            not_after: Wall::from_second(certificate.validity().not_after.timestamp()).ok()?,
            public_key: PublicKey::from_spki_der(certificate.public_key().raw).ok()?,
            names: AltNames::default(),
            has_names: false,
            constraints: None,
            key_usage: None,
            extended: Vec::new(),
            subject_key_id: Vec::new(),
            authority_key_id: Vec::new(),
            unhandled: false,
            signed_by: Mutex::default(),
        };
        for extension in certificate.extensions() {
            this.extension(extension)?;
        }
        Some(this)
    }

    fn extension(&mut self, extension: &X509Extension<'_>) -> Option<()> {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(c) => {
                self.constraints = Some(Constraints { ca: c.ca, path_len: c.path_len_constraint });
            }
            ParsedExtension::KeyUsage(usage) => self.key_usage = Some(KeyUsage(usage.flags)),
            ParsedExtension::ExtendedKeyUsage(usage) => self.extended = extended_usages(usage),
            ParsedExtension::SubjectAlternativeName(san) => {
                self.has_names = true;
                self.names = alt_names(&san.general_names)?;
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.subject_key_id = id.0.to_vec(),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.authority_key_id =
                    id.key_identifier.as_ref().map(|id| id.0.to_vec()).unwrap_or_default();
            }
            // We enforce no name constraints, so a certificate that has them is refused, critical or not.
            ParsedExtension::NameConstraints(_) => self.unhandled = true,
            ParsedExtension::ParseError { .. } => return None,
            _ => self.unhandled |= extension.critical,
        }
        Some(())
    }
}

pub(crate) fn extended_usages(usage: &x509_parser::extensions::ExtendedKeyUsage<'_>) -> Vec<ExtendedUsage> {
    let known = [
        (usage.any, ExtendedUsage::Any),
        (usage.server_auth, ExtendedUsage::ServerAuth),
        (usage.client_auth, ExtendedUsage::ClientAuth),
        (usage.code_signing, ExtendedUsage::Other("1.3.6.1.5.5.7.3.3".into())),
        (usage.email_protection, ExtendedUsage::Other("1.3.6.1.5.5.7.3.4".into())),
        (usage.time_stamping, ExtendedUsage::Other("1.3.6.1.5.5.7.3.8".into())),
        (usage.ocsp_signing, ExtendedUsage::Other("1.3.6.1.5.5.7.3.9".into())),
    ];
    let known = known.into_iter().filter(|(set, _)| *set).map(|(_, usage)| usage);
    known.chain(usage.other.iter().map(|oid| ExtendedUsage::Other(oid.to_id_string()))).collect()
}

/// The names that we know; `None` when an IP address has neither 4 nor 16 bytes.
pub(crate) fn alt_names(names: &[GeneralName<'_>]) -> Option<AltNames> {
    let mut out = AltNames::default();
    for name in names {
        match name {
            GeneralName::DNSName(name) => out.dns.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => out.emails.push((*name).to_owned()),
            GeneralName::URI(uri) => out.uris.push((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => out.ips.push(match bytes.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?),
                16 => IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
                _ => return None,
            }),
            _ => {}
        }
    }
    Some(out)
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Certificate({:?} by {:?}, {} to {})",
            self.subject_cn(),
            self.issuer_cn(),
            world::rfc3339(self.not_before()),
            world::rfc3339(self.not_after()),
        )
    }
}
