//! Whether a certificate is for a name: exact or one wildcard label for DNS, exact for addresses.
//! The common name does not count (Go ≥ 1.15).

use std::net::IpAddr;

use crate::{Certificate, X509Error};

/// Checks the name that a client asked for: a DNS name, an address, or an address in brackets.
///
/// # Errors
/// [`X509Error::HostMismatch`].
pub fn verify_hostname(certificate: &Certificate, wanted: &str) -> Result<(), X509Error> {
    let bare = wanted.strip_prefix('[').and_then(|w| w.strip_suffix(']')).unwrap_or(wanted);
    let matches = match bare.parse::<IpAddr>() {
        Ok(ip) => certificate.ip_addresses().contains(&ip),
        Err(_) => certificate.dns_names().iter().any(|pattern| dns_matches(pattern, wanted)),
    };
    if matches {
        return Ok(());
    }
    Err(X509Error::HostMismatch {
        wanted: bare.to_owned(),
        dns_names: certificate.dns_names().to_vec(),
        ips: certificate.ip_addresses().to_vec(),
        legacy_common_name: !certificate.has_alt_names() && dns_matches(certificate.subject_cn(), wanted),
    })
}

/// `*.example.com` stands for exactly one label; everything else is compared without regard to case.
pub(crate) fn dns_matches(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if pattern.is_empty() || host.is_empty() {
        return false;
    }
    let mut patterns = pattern.split('.');
    let mut hosts = host.split('.');
    let mut first = true;
    loop {
        match (patterns.next(), hosts.next()) {
            (None, None) => return true,
            (Some(p), Some(h)) if p.eq_ignore_ascii_case(h) || (first && p == "*" && !h.is_empty()) => {
                first = false
            }
            _ => return false,
        }
    }
}
