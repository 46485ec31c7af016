//! The usages of a CertificateSigningRequest (`client auth`, `digital signature`, …) as X.509 has them.

use crate::{ExtendedUsage, KeyUsage};

/// Names that are no usages, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unrecognized usage values: {0:?}")]
pub struct UnknownUsages(pub Vec<String>);

const KEY: &[(&str, KeyUsage)] = &[
    ("signing", KeyUsage::DIGITAL_SIGNATURE),
    ("digital signature", KeyUsage::DIGITAL_SIGNATURE),
    ("content commitment", KeyUsage::CONTENT_COMMITMENT),
    ("key encipherment", KeyUsage::KEY_ENCIPHERMENT),
    ("key agreement", KeyUsage::KEY_AGREEMENT),
    ("data encipherment", KeyUsage::DATA_ENCIPHERMENT),
    ("cert sign", KeyUsage::CERT_SIGN),
    ("crl sign", KeyUsage::CRL_SIGN),
    ("encipher only", KeyUsage::ENCIPHER_ONLY),
    ("decipher only", KeyUsage::DECIPHER_ONLY),
];

/// In the order in which Go numbers them, and so writes them.
const EXTENDED: &[(&str, &str)] = &[
    ("any", ""),
    ("server auth", ""),
    ("client auth", ""),
    ("code signing", "1.3.6.1.5.5.7.3.3"),
    ("email protection", "1.3.6.1.5.5.7.3.4"),
    ("s/mime", "1.3.6.1.5.5.7.3.4"),
    ("ipsec end system", "1.3.6.1.5.5.7.3.5"),
    ("ipsec tunnel", "1.3.6.1.5.5.7.3.6"),
    ("ipsec user", "1.3.6.1.5.5.7.3.7"),
    ("timestamping", "1.3.6.1.5.5.7.3.8"),
    ("ocsp signing", "1.3.6.1.5.5.7.3.9"),
    ("microsoft sgc", "1.3.6.1.4.1.311.10.3.3"),
    ("netscape sgc", "2.16.840.1.113730.4.1"),
];

/// The two extensions that `usages` stand for.
///
/// # Errors
/// Some names are no usages.
pub fn parse_usages<'a>(
    usages: impl IntoIterator<Item = &'a str> + Clone,
) -> Result<(KeyUsage, Vec<ExtendedUsage>), UnknownUsages> {
    let known =
        |usage: &str| KEY.iter().any(|(n, _)| *n == usage) || EXTENDED.iter().any(|(n, _)| *n == usage);
    let unknown: Vec<String> = usages.clone().into_iter().filter(|u| !known(u)).map(str::to_owned).collect();
    if !unknown.is_empty() {
        return Err(UnknownUsages(unknown));
    }
    let wanted = |name: &str| usages.clone().into_iter().any(|usage| usage == name);
    let key =
        KEY.iter().filter(|(name, _)| wanted(name)).fold(KeyUsage::default(), |all, (_, bit)| all.and(*bit));
    let mut extended = Vec::new();
    for (name, oid) in EXTENDED.iter().filter(|(name, _)| wanted(name)) {
        let usage = match *name {
            "any" => ExtendedUsage::Any,
            "server auth" => ExtendedUsage::ServerAuth,
            "client auth" => ExtendedUsage::ClientAuth,
            _ => ExtendedUsage::Other((*oid).to_owned()),
        };
        if !extended.contains(&usage) {
            extended.push(usage);
        }
    }
    Ok((key, extended))
}
