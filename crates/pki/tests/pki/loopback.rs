//! Self-made certificates by shape and age, and that their client trusts them until the second they end.

use std::{net::IpAddr, time::Duration};

use pki::{
    ClientTls, ExtendedUsage, KeyUsage, Roots, ServerTls, Usage, X509Error,
    loopback::{
        LOOPBACK_NAME, SelfSigned, Shape, loopback_certificate, self_signed_server, self_signed_with_fixtures,
    },
    verify_chain,
};
use world::sim::{Config, run};

use crate::gear::*;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// One row of the validity history.
fn check(shape: Shape, backdate: Duration, max_age: Duration, from: &str, to: &str) {
    let now = at("2026-01-01T00:00:00.7Z");
    let made = loopback_certificate(shape, backdate, max_age, now, &chance(), FAST).unwrap();
    let leaf = made.pair.leaf().unwrap();
    assert_eq!(leaf.subject_cn(), "apiserver-loopback-client@1767225600");
    assert_eq!(leaf.dns_names(), [LOOPBACK_NAME]);
    assert!(leaf.ip_addresses().is_empty());
    assert_eq!(leaf.usages(), [ExtendedUsage::ServerAuth]);
    assert_eq!((leaf.not_before(), leaf.not_after()), (at(from), at(to)));
    let usage = leaf.key_usage().unwrap();
    assert!(usage.has(KeyUsage::DIGITAL_SIGNATURE.and(KeyUsage::KEY_ENCIPHERMENT)));
    match shape {
        Shape::Bare => {
            assert_eq!((made.pair.chain.len(), leaf.serial_decimal().as_str()), (1, "1"));
            assert!(!leaf.is_ca() && !usage.has(KeyUsage::CERT_SIGN));
            assert_eq!(leaf.issuer_cn(), leaf.subject_cn());
        }
        Shape::SelfSigned => {
            assert_eq!(made.pair.chain.len(), 1);
            assert!(leaf.is_ca() && usage.has(KeyUsage::CERT_SIGN));
            assert_eq!(leaf.issuer_cn(), leaf.subject_cn());
        }
        Shape::CaAndLeaf => {
            let [_, ca] = &*made.pair.chain else { panic!("leaf and authority are served") };
            assert_eq!(ca.subject_cn(), "apiserver-loopback-client-ca@1767225600");
            assert!(ca.is_ca() && !leaf.is_ca() && !ca.has_alt_names() && !usage.has(KeyUsage::CERT_SIGN));
            assert_eq!((ca.not_before(), ca.not_after()), (at(from), at(to)));
        }
    }
    assert_eq!(made.trust.to_pem(), made.pair.chain_pem(), "the client trusts the very same PEM");

    let verdict =
        |now| verify_chain(&made.pair.chain, &made.trust, now, Usage::ServerAuth, Some(LOOPBACK_NAME));
    assert_eq!(verdict(at(to)), Ok(()));
    let second = Duration::from_secs(1);
    let late = at(to).checked_add(second).unwrap();
    assert_eq!(verdict(late), Err(X509Error::Expired { now: late, not_after: at(to) }));
    let early = at(from).checked_sub(second).unwrap();
    assert_eq!(verdict(early), Err(X509Error::NotYetValid { now: early, not_before: at(from) }));
}

#[test]
fn by_version() {
    // 1.0, 1.8, 1.10, 1.12, 1.33.
    check(Shape::Bare, Duration::ZERO, 365 * DAY, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    check(Shape::SelfSigned, Duration::ZERO, 365 * DAY, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    check(Shape::CaAndLeaf, Duration::ZERO, 365 * DAY, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    check(Shape::CaAndLeaf, HOUR, 365 * DAY, "2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z");
    check(Shape::CaAndLeaf, HOUR, 1096 * DAY, "2025-12-31T23:00:00Z", "2028-12-31T23:00:00Z");
}

#[test]
fn the_authority_alone_is_trust_enough() {
    let now = at("2026-01-01T00:00:00Z");
    let made = loopback_certificate(Shape::CaAndLeaf, HOUR, 365 * DAY, now, &chance(), FAST).unwrap();
    let authority = Roots::from(made.pair.chain[1].clone());
    assert_eq!(
        verify_chain(&made.pair.chain, &authority, now, Usage::ServerAuth, Some(LOOPBACK_NAME)),
        Ok(())
    );
}

#[test]
fn all_shapes_end_in_real_handshakes() {
    for shape in [Shape::Bare, Shape::SelfSigned, Shape::CaAndLeaf] {
        run(Config::default(), |sim| async move {
            let host = sim.host("cp1");
            let made = loopback_certificate(shape, HOUR, 365 * DAY, host.clock().wall(), host.entropy(), FAST).unwrap();
            let server = ServerTls::new(&host).sni(LOOPBACK_NAME, &made.pair).unwrap();
            let client = ClientTls::new(&host, (1, 22)).roots(made.trust).server_name(LOOPBACK_NAME);
            assert!(handshake(&client, &server, "127.0.0.1").await.client.is_ok());
            sim.elapse(365 * DAY - HOUR).await;
            assert!(handshake(&client, &server, "127.0.0.1").await.client.is_ok(), "{shape:?}: the last instant");
            sim.elapse(Duration::from_secs(43)).await;
            let outcome = handshake(&client, &server, "127.0.0.1").await;
            assert_eq!(
                outcome.client.unwrap_err(),
                "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time \
                 2026-12-31T23:00:43Z is after 2026-12-31T23:00:00Z"
            );
        })
        .unwrap();
    }
}

#[test]
fn cert_dir_certificates() {
    let now = at("2026-01-01T00:00:00Z");
    let names = ["kubernetes.default.svc", "kubernetes.default", "kubernetes"].map(str::to_owned);
    let service: IpAddr = "10.96.0.1".parse().unwrap();
    let made = self_signed_server("10.0.0.2", &[service], &names, now, &chance(), FAST).unwrap();
    let leaf = made.pair.leaf().unwrap();
    assert_eq!(leaf.subject_cn(), "10.0.0.2@1767225600");
    assert_eq!(leaf.issuer_cn(), "10.0.0.2-ca@1767225600");
    assert_eq!(leaf.ip_addresses(), ["10.0.0.2".parse::<IpAddr>().unwrap(), service], "the host leads");
    assert_eq!(leaf.dns_names(), names);
    assert_eq!(
        (leaf.not_before(), leaf.not_after()),
        (at("2025-12-31T23:00:00Z"), at("2026-12-31T23:00:00Z"))
    );
    let kubelet = self_signed_server("n1", &[], &[], now, &chance(), FAST).unwrap();
    assert_eq!(kubelet.pair.leaf().unwrap().dns_names(), ["n1"]);
}

#[test]
fn fixtures_are_made_once_and_last_a_century() {
    let memory = std::sync::Arc::new(world::MemoryDisk::default());
    let disk = world::Disk::memory(memory.clone());
    let spec = SelfSigned {
        host: "a".to_owned(),
        ips: vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()],
        dns_names: vec!["b".to_owned(), "c".to_owned()],
        shape: Shape::CaAndLeaf,
        backdate: HOUR,
        max_age: 365 * DAY,
        algorithm: FAST,
    };
    let now = at("2026-01-01T00:00:00Z");
    let make = || self_signed_with_fixtures(&spec, &disk, "/fixtures".as_ref(), now, &chance());
    memory.set_full(true);
    let error = make().unwrap_err().to_string();
    memory.set_full(false);
    let certificate = "/fixtures/a_10.0.0.1-10.0.0.2_b-c.crt";
    assert!(error.starts_with(&format!("failed to write cert fixture to {certificate}: ")), "{error}");
    let made = make().unwrap();
    assert_eq!(
        made.leaf().unwrap().not_after(),
        at("2025-12-31T23:00:00Z").checked_add(36_500 * DAY).unwrap()
    );
    assert_eq!(make().unwrap().chain_pem(), made.chain_pem());
    let key = "/fixtures/a_10.0.0.1-10.0.0.2_b-c.key";
    disk.remove(key).unwrap();
    let error = make().unwrap_err().to_string();
    assert!(error.starts_with(&format!("cert {certificate} can be read, but key {key} cannot: ")), "{error}");
}
