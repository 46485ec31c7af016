//! certificate-expiry: tells people in time that an authority which this cluster cannot do without ends.
//!
//! The loop is ours: upstream's controller manager signs until its authority's last second and says
//! nothing before. It writes an event of reason `CertificateExpiring` or `CertificateExpired` about the
//! config map `kube-root-ca.crt` of `kube-system`, which is where people find the authority.

use std::{collections::BTreeSet, time::Duration};

use client::Resource;
use jiff::SignedDuration;
use pki::Certificate;
use world::{Wall, rfc3339};

use crate::context::Context;

/// From so long before the end on, people are told.
const AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MAPS: Resource = Resource::core("configmaps");

/// What is said of a certificate, if anything.
fn words(file: &str, certificate: &Certificate, now: Wall) -> Option<(&'static str, String)> {
    let end = certificate.not_after();
    let left = end.duration_since(now);
    let name = certificate.subject_cn();
    if left.is_negative() {
        let words = format!(
            "certificate authority {name:?} in {file} expired at {}; renew it, and all that it has signed",
            rfc3339(end)
        );
        return Some(("CertificateExpired", words));
    }
    let days = left.as_hours() / 24;
    (left <= AHEAD).then(|| {
        let words = format!(
            "certificate authority {name:?} in {file} expires at {}, in {days} days; renew it, and all that it \
             has signed, before",
            rfc3339(end)
        );
        ("CertificateExpiring", words)
    })
}

/// Starts the loop; it looks once a day.
pub(crate) fn run(c: &Context) {
    let options = &c.options;
    let files: BTreeSet<String> = [
        &options.cluster_signing_cert_file,
        &options.cluster_signing_kubelet_serving_cert_file,
        &options.cluster_signing_kubelet_client_cert_file,
        &options.cluster_signing_kube_apiserver_client_cert_file,
        &options.cluster_signing_legacy_unknown_cert_file,
        &options.root_ca_file,
    ]
    .into_iter()
    .flatten()
    .filter(|path| !path.is_empty())
    .cloned()
    .collect();
    let (host, maps) = (c.host.clone(), c.informer(MAPS));
    let recorder = c.recorder(&c.rest("certificate-controller"), "certificate-expiry-controller");
    c.host.spawn(async move {
        maps.synced().await;
        loop {
            for file in &files {
                let read = host.disk().read(file).map_err(|e| e.to_string());
                let parsed = read.and_then(|pem| Certificate::parse_pem(&pem).map_err(|e| e.to_string()));
                let told = match parsed {
                    Ok(all) => all.iter().filter_map(|c| words(file, c, host.clock().wall())).collect(),
                    Err(why) => {
                        tracing::warn!("cannot see when {file} expires: {why}");
                        Vec::new()
                    }
                };
                if let Some(about) = maps.get("kube-system", "kube-root-ca.crt") {
                    told.into_iter().for_each(|(reason, words)| recorder.warning(&about, reason, words));
                }
            }
            // How long a certificate lives knows no pace: a stretched world is told in time too.
            host.clock().sleep(DAY).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use pki::KeyAlgorithm;
    use world::Entropy;

    use super::*;

    #[test]
    fn people_are_told_thirty_days_before() {
        let now: Wall = "2026-01-01T00:00:00Z".parse().expect("a time");
        let entropy = Entropy::seeded(1, "test");
        let made = pki::loopback::self_signed_server("ca", &[], &[], now, &entropy, KeyAlgorithm::EcdsaP256)
            .expect("made");
        let certificate = made.pair.leaf().expect("one");
        let check = |before: i64, expect: &str| {
            let at = certificate.not_after() - SignedDuration::from_secs(before);
            assert_eq!(
                words("ca.crt", certificate, at).map_or("", |(reason, _)| reason),
                expect,
                "{before} s"
            );
        };
        let month = 30 * 24 * 3600;
        check(month + 1, "");
        check(month, "CertificateExpiring");
        check(0, "CertificateExpiring");
        check(-1, "CertificateExpired");
    }
}
