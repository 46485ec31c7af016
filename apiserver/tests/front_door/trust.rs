//! Certificates for the hosts of a test.

use std::{sync::Arc, time::Duration};

use pki::{Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey, ServerTls, StaticIdentity};
use wire::ServeOptions;
use world::Host;

pub const DAY: Duration = Duration::from_secs(86_400);

pub fn authority(host: &Host, name: &str) -> Authority {
    let now = host.clock().wall();
    let entropy = host.entropy();
    Authority::new_root(entropy, KeyAlgorithm::EcdsaP256, name, &[], now, now + 3650 * DAY).unwrap()
}

/// A pair for a client or server called `name`, from now on.
pub fn issue(ca: &Authority, host: &Host, name: &str, lasts: Duration) -> CertifiedKey {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let now = host.clock().wall();
    let spec = CertSpec {
        common_name: name.to_owned(),
        organizations: vec![],
        dns_names: if name.parse::<std::net::IpAddr>().is_ok() { vec![] } else { vec![name.to_owned()] },
        ips: name.parse().into_iter().collect(),
        client_auth: true,
        server_auth: true,
        not_before: now,
        not_after: now + lasts,
    };
    let leaf = ca.issue(host.entropy(), &spec, &key.public()).unwrap();
    CertifiedKey::new(vec![leaf], key).unwrap()
}

pub fn serving(host: &Host, pair: &CertifiedKey) -> ServeOptions {
    let identity = Arc::new(StaticIdentity::new(pair).unwrap());
    let config = ServerTls::new(host).default_cert(identity).request_client_cert(None).config();
    ServeOptions::tls(move || config.clone())
}
