//! Certificates and CSRs: what is written is what upstream writes, and other libraries agree.

use std::net::IpAddr;

use pki::{Certificate, ExtendedUsage, Grant, KeyAlgorithm, KeyUsage, PrivateKey, csr::Csr, parse_usages};
use proptest::prelude::*;
use webpki::{EndEntityCert, KeyUsage as WebpkiUsage, anchor_from_trusted_cert};
use world::Entropy;

use crate::gear::*;

#[test]
fn a_leaf_has_what_kubeadm_gives_it() {
    let ca = authority("kubernetes");
    let pair = issue(&ca, &leaf_spec());
    let leaf = pair.leaf().unwrap();
    assert_eq!(leaf.subject_cn(), "kube-apiserver");
    assert_eq!(leaf.issuer_cn(), "kubernetes");
    assert_eq!(leaf.dns_names(), ["node", "*.svc"]);
    assert_eq!(leaf.ip_addresses(), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(leaf.not_before(), at("2026-06-01T00:00:00Z"));
    assert_eq!(leaf.not_after(), at("2026-07-01T00:00:00Z"));
    assert_eq!(leaf.usages(), [ExtendedUsage::ServerAuth]);
    assert_eq!(leaf.key_usage(), Some(KeyUsage::DIGITAL_SIGNATURE.and(KeyUsage::KEY_ENCIPHERMENT)));
    assert!(!leaf.is_ca());
    assert!(leaf.subject_key_id().is_empty(), "Go writes one into authorities only");
    assert_eq!(leaf.authority_key_id(), ca.certificate.subject_key_id());

    let root = &ca.certificate;
    assert!(root.is_ca());
    assert_eq!(root.dns_names(), ["kubernetes"], "client-go's NewSelfSignedCACert");
    assert!(root.key_usage().unwrap().has(KeyUsage::CERT_SIGN));
    assert_eq!(root.subject_key_id().len(), 20);
    assert!(root.authority_key_id().is_empty());
    assert!(root.usages().is_empty());
}

#[test]
fn dates_are_whole_seconds_on_both_sides_of_2050() {
    let ca = authority("kubernetes");
    let spec = pki::CertSpec {
        not_before: at("2049-12-31T23:59:59.999Z"),
        not_after: at("2050-01-01T00:00:00.001Z"),
        ..leaf_spec()
    };
    let pair = issue(&ca, &spec);
    let leaf = pair.leaf().unwrap();
    assert_eq!(leaf.not_before(), at("2049-12-31T23:59:59Z"));
    assert_eq!(leaf.not_after(), at("2050-01-01T00:00:00Z"));
    // UTCTime up to 2049, GeneralizedTime after.
    let has = |text: &[u8]| leaf.der().windows(text.len()).any(|w| w == text);
    assert!(has(b"\x17\x0d491231235959Z") && has(b"\x18\x0f20500101000000Z"));
}

#[test]
fn a_user_may_be_in_many_groups() {
    let ca = authority("kubernetes");
    let groups = ["system:masters", "büro", "a@b"];
    let pair = issue(&ca, &client_spec("kubernetes-admin", &groups));
    let leaf = pair.leaf().unwrap();
    let mut found = leaf.organizations().to_vec();
    found.sort();
    assert_eq!(found, ["a@b", "büro", "system:masters"], "one set of them, in the order that DER demands");
    assert_eq!(leaf.subject_cn(), "kubernetes-admin");
    assert_eq!(leaf.usages(), [ExtendedUsage::ClientAuth]);
    // Go: PrintableString where the alphabet allows, else UTF-8.
    let has = |text: &[u8]| leaf.der().windows(text.len()).any(|w| w == text);
    assert!(has(b"\x13\x0esystem:masters") && has(b"\x0c\x03a@b"));
}

#[test]
fn serial_numbers_are_decided_by_the_seed() {
    let ca = authority("kubernetes");
    let key = PrivateKey::generate(FAST).unwrap().public();
    let serials = |seed| {
        let entropy = Entropy::seeded(seed, "ca");
        (0..50).map(|_| ca.issue(&entropy, &leaf_spec(), &key).unwrap().serial_hex()).collect::<Vec<_>>()
    };
    assert_eq!(serials(1), serials(1));
    assert_ne!(serials(1), serials(2));
    for hex in serials(3) {
        let serial = u64::from_str_radix(&hex, 16).unwrap();
        assert!((1..1 << 63).contains(&serial), "{hex}");
    }
}

#[test]
fn serial_numbers_in_both_bases() {
    let ca = authority("kubernetes");
    let pair = issue(&ca, &leaf_spec());
    let leaf = pair.leaf().unwrap();
    let serial = u64::from_str_radix(&leaf.serial_hex(), 16).unwrap();
    assert_eq!(leaf.serial_decimal(), serial.to_string());
}

#[test]
fn webpki_accepts_our_chains() {
    for algorithm in [KeyAlgorithm::Rsa2048, KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384] {
        let (from, to) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let ca = pki::Authority::new_root(&chance(), algorithm, "kubernetes", &[], from, to).unwrap();
        let pair = issue(&ca, &leaf_spec());
        let (root, leaf) = (ca.certificate.to_rustls(), pair.leaf().unwrap().to_rustls());
        let anchors = [anchor_from_trusted_cert(&root).unwrap()];
        let leaf = EndEntityCert::try_from(&leaf).unwrap();
        let june = std::time::Duration::from_secs(at("2026-06-15T00:00:00Z").as_second() as u64);
        let verdict = leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &[],
            rustls_pki_types::UnixTime::since_unix_epoch(june),
            WebpkiUsage::server_auth(),
            None,
            None,
        );
        assert!(verdict.is_ok(), "{algorithm}: {:?}", verdict.err());
    }
}

#[test]
fn requests_say_who_and_what() {
    let key = PrivateKey::generate(FAST).unwrap();
    let ips = ["10.0.0.7".parse().unwrap(), "::1".parse().unwrap()];
    let pem = Csr::create(&key, "system:node:n1", &["system:nodes".into()], &["n1".into()], &ips).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"));
    let csr = Csr::parse(pem.as_bytes()).unwrap();
    assert_eq!(csr.common_name(), "system:node:n1");
    assert_eq!(csr.organizations(), ["system:nodes"]);
    assert_eq!(csr.dns_names(), ["n1"]);
    assert_eq!(csr.ips(), ips);
    assert_eq!((csr.emails().len(), csr.uris().len()), (0, 0));
    assert_eq!(*csr.public_key(), key.public());
    let plain = Csr::create(&key, "system:node:n1", &["system:nodes".into()], &[], &[]).unwrap();
    assert!(Csr::parse(plain.as_bytes()).unwrap().dns_names().is_empty());
}

#[test]
fn requests_of_other_tools_are_read() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["n1".to_owned(), "10.0.0.7".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "jane");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "devs");
    params.subject_alt_names.push(rcgen::SanType::Rfc822Name("jane@example.com".try_into().unwrap()));
    params.subject_alt_names.push(rcgen::SanType::URI("spiffe://x/y".try_into().unwrap()));
    let csr = Csr::parse(params.serialize_request(&key).unwrap().pem().unwrap().as_bytes()).unwrap();
    assert_eq!((csr.common_name(), csr.organizations()), ("jane", &["devs".to_owned()][..]));
    assert_eq!(
        (csr.emails(), csr.uris()),
        (&["jane@example.com".to_owned()][..], &["spiffe://x/y".to_owned()][..])
    );
}

#[test]
fn bad_requests_are_refused() {
    let key = PrivateKey::generate(FAST).unwrap();
    let good = Csr::create(&key, "x", &[], &[], &[]).unwrap();
    let body: Vec<&str> = good.lines().collect();
    let tampered = {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let mut der = STANDARD.decode(body[1..body.len() - 1].concat()).unwrap();
        let name = der.iter().position(|b| *b == b'x').unwrap();
        der[name] = b'y';
        format!("{}\n{}\n{}\n", body[0], STANDARD.encode(der), body[body.len() - 1])
    };
    let certificate = authority("ca").certificate.to_pem();
    let rows = [
        ("", "PEM block type must be CERTIFICATE REQUEST"),
        (certificate.as_str(), "PEM block type must be CERTIFICATE REQUEST"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "structure error"),
        (tampered.as_str(), "x509: ECDSA verification failure"),
    ];
    for (text, want) in rows {
        let error = Csr::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(want), "{text:?}: {error}");
    }
}

#[test]
fn a_signer_copies_the_request_and_grants_the_rest() {
    let ca = authority("kubernetes");
    let key = PrivateKey::generate(FAST).unwrap();
    let pem = Csr::create(&key, "system:node:n1", &["system:nodes".into()], &["n1".into()], &[]).unwrap();
    let csr = Csr::parse(pem.as_bytes()).unwrap();
    let (key_usage, extended) = parse_usages(["digital signature", "client auth"]).unwrap();
    let grant = Grant {
        key_usage,
        extended,
        not_before: at("2026-06-01T00:00:00Z"),
        not_after: at("2026-06-02T00:00:00Z"),
    };
    let issued = ca.sign_csr(&chance(), &csr, &grant).unwrap();
    assert_eq!(issued.subject_der(), csr.subject_der());
    assert_eq!(issued.dns_names(), ["n1"]);
    assert_eq!(issued.public_key(), key.public());
    assert_eq!(issued.key_usage(), Some(KeyUsage::DIGITAL_SIGNATURE));
    assert_eq!(issued.usages(), [ExtendedUsage::ClientAuth]);
    assert!(issued.serial_hex().len() > 16, "128 bits, not 63: {}", issued.serial_hex());
}

#[test]
fn usages_by_kubernetes_names() {
    let (key, extended) =
        parse_usages(["client auth", "key encipherment", "server auth", "signing"]).unwrap();
    assert_eq!(key, KeyUsage::DIGITAL_SIGNATURE.and(KeyUsage::KEY_ENCIPHERMENT));
    assert_eq!(extended, [ExtendedUsage::ServerAuth, ExtendedUsage::ClientAuth], "in Go's order");
    let error = parse_usages(["client auth", "world domination"]).unwrap_err().to_string();
    assert_eq!(error, r#"unrecognized usage values: ["world domination"]"#);
}

#[test]
fn a_pair_of_two_authorities_is_none() {
    let (a, b) = (authority("a"), authority("b"));
    let error = pki::Authority::from_pem(a.certificate.to_pem().as_bytes(), b.key().to_pem().as_bytes());
    assert_eq!(error.unwrap_err().to_string(), "private key does not match public key");
    let again =
        pki::Authority::from_pem(a.certificate.to_pem().as_bytes(), a.key().to_pem().as_bytes()).unwrap();
    assert_eq!(again.certificate, a.certificate);
}

#[test]
fn names_that_no_certificate_can_hold() {
    let spec = pki::CertSpec { dns_names: vec!["bü.example".into()], ..leaf_spec() };
    let key = PrivateKey::generate(FAST).unwrap();
    let error = authority("ca").issue(&chance(), &spec, &key.public()).unwrap_err().to_string();
    assert!(error.contains("bü.example"), "{error}");
}

#[test]
fn bundles_are_read_in_order_and_damage_is_named() {
    let (a, b) = (authority("a").certificate, authority("b").certificate);
    let bundle = format!("# comment\n{}{}", a.to_pem(), b.to_pem());
    assert_eq!(Certificate::parse_pem(bundle.as_bytes()).unwrap(), [a.clone(), b]);
    let rows = [
        ("", "no PEM block \"CERTIFICATE\" found"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x509: malformed certificate"),
        (&a.to_pem()[..100], "the END line is missing"),
    ];
    for (text, want) in rows {
        let error = Certificate::parse_pem(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(want), "{text:?}: {error}");
    }
}

proptest! {
    /// Whatever a peer sends, reading it neither panics nor passes for the certificate it was.
    #[test]
    fn damaged_certificates_do_no_harm(at in 0usize..400, bit in 0u8..8) {
        static GOOD: std::sync::LazyLock<Certificate> = std::sync::LazyLock::new(|| authority("ca").certificate);
        let mut der = GOOD.der().to_vec();
        let at = at % der.len();
        der[at] ^= 1 << bit;
        if let Ok(read) = Certificate::from_der(der) {
            prop_assert_ne!(&read, &*GOOD);
            prop_assert!(!read.serial_decimal().is_empty());
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Certificate::from_der(bytes.clone());
        let _ = Csr::from_der(&bytes);
        let _ = Csr::parse(&bytes);
        let _ = PrivateKey::from_pem(&bytes);
    }
}
