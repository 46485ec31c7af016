//! The DER that X.509 needs: a reader for one element, and writers for names, times and extensions
//! in the very encoding that Go's `crypto/x509` chooses.
//!
//! rcgen is not used to issue certificates: its subject holds one value per attribute type, while a
//! client certificate may carry several groups (`O`), and it writes a subject key identifier into
//! every leaf that has basic constraints, which Go does not. Its own DER writer, yasna, does the work.

use std::net::IpAddr;

use world::Wall;
use yasna::{DERWriter, DERWriterSeq, Tag, models::ObjectIdentifier, tags::TAG_PRINTABLESTRING};

/// Object identifiers.
pub(crate) mod oid {
    pub const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
    pub const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
    pub const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
    pub const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
    pub const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
    pub const SUBJECT_KEY_ID: &[u64] = &[2, 5, 29, 14];
    pub const AUTHORITY_KEY_ID: &[u64] = &[2, 5, 29, 35];
    pub const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
    pub const EXTENSION_REQUEST: &[u64] = &[1, 2, 840, 113_549, 1, 9, 14];
    pub const RSA_ENCRYPTION: &[u64] = &[1, 2, 840, 113_549, 1, 1, 1];
    pub const SHA256_RSA: &[u64] = &[1, 2, 840, 113_549, 1, 1, 11];
    pub const SHA384_RSA: &[u64] = &[1, 2, 840, 113_549, 1, 1, 12];
    pub const SHA512_RSA: &[u64] = &[1, 2, 840, 113_549, 1, 1, 13];
    pub const EC_PUBLIC_KEY: &[u64] = &[1, 2, 840, 10_045, 2, 1];
    pub const P256: &[u64] = &[1, 2, 840, 10_045, 3, 1, 7];
    pub const P384: &[u64] = &[1, 3, 132, 0, 34];
    pub const ECDSA_SHA256: &[u64] = &[1, 2, 840, 10_045, 4, 3, 2];
    pub const ECDSA_SHA384: &[u64] = &[1, 2, 840, 10_045, 4, 3, 3];
}

/// One element: its contents, its whole encoding, and what follows it.
pub(crate) struct Element<'a> {
    pub contents: &'a [u8],
    pub whole: &'a [u8],
    pub rest: &'a [u8],
}

/// The first element of `input`; `None` if it is cut off or not DER.
pub(crate) fn read(input: &[u8]) -> Option<Element<'_>> {
    let (_tag, after_tag) = input.split_first()?;
    let (&first, mut body) = after_tag.split_first()?;
    let mut len = usize::from(first);
    if first & 0x80 != 0 {
        let digits = usize::from(first & 0x7f);
        if digits == 0 || digits > 4 || body.len() < digits {
            return None;
        }
        let (length, tail) = body.split_at(digits);
        len = length.iter().fold(0, |n, b| (n << 8) | usize::from(*b));
        body = tail;
    }
    if body.len() < len {
        return None;
    }
    let (contents, rest) = body.split_at(len);
    let whole = input.get(..input.len() - rest.len())?;
    Some(Element { contents, whole, rest })
}

/// Writes an object identifier.
pub(crate) fn write_oid(writer: DERWriter<'_>, oid: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(oid));
}

/// A distinguished name as Go encodes `pkix.Name`: all organizations in one set, then the common
/// name; a `PrintableString` where the alphabet allows, else UTF-8.
pub(crate) fn name(common_name: &str, organizations: &[String]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            if !organizations.is_empty() {
                writer.next().write_set_of(|writer| {
                    for organization in organizations {
                        write_attribute(writer.next(), oid::ORGANIZATION, organization);
                    }
                });
            }
            if !common_name.is_empty() {
                writer.next().write_set_of(|writer| {
                    write_attribute(writer.next(), oid::COMMON_NAME, common_name);
                });
            }
        });
    })
}

fn write_attribute(writer: DERWriter<'_>, oid: &[u64], value: &str) {
    writer.write_sequence(|writer| {
        write_oid(writer.next(), oid);
        if value.bytes().all(is_printable) {
            writer.next().write_tagged_implicit(TAG_PRINTABLESTRING, |w| w.write_bytes(value.as_bytes()));
        } else {
            writer.next().write_utf8_string(value);
        }
    });
}

fn is_printable(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b)
}

/// A date as RFC 5280 wants it: `UTCTime` up to 2049, `GeneralizedTime` from 2050 on, whole seconds.
pub(crate) fn write_time(writer: DERWriter<'_>, at: Wall) {
    let four_digits = at.strftime("%Y%m%d%H%M%SZ").to_string();
    let (tag, text) = match four_digits.get(..4) {
        Some(year) if ("1950".."2050").contains(&year) => (23, four_digits.get(2..).unwrap_or_default()),
        _ => (24, four_digits.as_str()),
    };
    let tag = Tag { tag_class: yasna::TagClass::Universal, tag_number: tag };
    writer.write_tagged_implicit(tag, |w| w.write_bytes(text.as_bytes()));
}

/// One extension; its value is what `value` writes.
pub(crate) fn write_extension(
    writer: &mut DERWriterSeq<'_>,
    oid: &[u64],
    critical: bool,
    value: impl FnOnce(DERWriter<'_>),
) {
    writer.next().write_sequence(|writer| {
        write_oid(writer.next(), oid);
        if critical {
            writer.next().write_bool(true);
        }
        writer.next().write_bytes(&yasna::construct_der(value));
    });
}

/// Names of a subject alternative name extension, in Go's order: DNS, e-mail, IP, URI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AltNames {
    pub dns: Vec<String>,
    pub emails: Vec<String>,
    pub ips: Vec<IpAddr>,
    pub uris: Vec<String>,
}

impl AltNames {
    pub fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.emails.is_empty() && self.ips.is_empty() && self.uris.is_empty()
    }

    /// Writes the extension, critical when the subject is empty; nothing when there is no name.
    pub fn write_extension(&self, writer: &mut DERWriterSeq<'_>, empty_subject: bool) {
        if self.is_empty() {
            return;
        }
        write_extension(writer, oid::SUBJECT_ALT_NAME, empty_subject, |writer| {
            writer.write_sequence(|writer| {
                let mut put = |tag, bytes: &[u8]| {
                    writer.next().write_tagged_implicit(Tag::context(tag), |w| w.write_bytes(bytes));
                };
                self.dns.iter().for_each(|name| put(2, name.as_bytes()));
                self.emails.iter().for_each(|email| put(1, email.as_bytes()));
                for ip in &self.ips {
                    match ip {
                        IpAddr::V4(ip) => put(7, &ip.octets()),
                        IpAddr::V6(ip) => put(7, &ip.octets()),
                    }
                }
                self.uris.iter().for_each(|uri| put(6, uri.as_bytes()));
            });
        });
    }
}

/// A signed structure: `{ body, algorithm, signature }`, the outer shape of certificates and CSRs.
pub(crate) fn signed(body: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(body);
            writer.next().write_der(algorithm);
            writer.next().write_bitvec_bytes(signature, signature.len() * 8);
        });
    })
}
