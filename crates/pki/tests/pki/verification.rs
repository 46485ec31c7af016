//! Which chains hold at which instant, and what is said of those that do not.

use std::sync::LazyLock;

use pki::{
    Authority, CertSpec, Certificate, CertifiedKey, PrivateKey, Roots, Usage, X509Error, verify_chain,
    verify_hostname,
};
use world::Wall;

use crate::gear::*;

/// An authority of 2026 and its server certificate of June.
static CHAIN: LazyLock<(Authority, CertifiedKey)> = LazyLock::new(|| {
    let ca = authority("kubernetes");
    let pair = issue(&ca, &leaf_spec());
    (ca, pair)
});

fn verdict(now: Wall, usage: Usage, name: Option<&str>) -> Result<(), X509Error> {
    let (ca, pair) = &*CHAIN;
    verify_chain(&pair.chain, &ca.certificate.clone().into(), now, usage, name)
}

fn check(now: &str, usage: Usage, name: Option<&str>, want: &str) {
    let got = verdict(at(now), usage, name).err().map(|e| e.words(GO_NOW)).unwrap_or_default();
    assert_eq!(got, want, "at {now} for {usage:?} as {name:?}");
}

#[test]
fn dates_to_the_instant() {
    let server = Usage::ServerAuth;
    check("2026-06-15T00:00:00Z", server, Some("node"), "");
    check("2026-06-01T00:00:00Z", server, None, "");
    check("2026-07-01T00:00:00Z", server, None, "");
    check(
        "2026-05-31T23:59:59Z",
        server,
        None,
        "x509: certificate has expired or is not yet valid: current time 2026-05-31T23:59:59Z is before 2026-06-01T00:00:00Z",
    );
    check(
        "2026-07-01T00:00:01Z",
        server,
        None,
        "x509: certificate has expired or is not yet valid: current time 2026-07-01T00:00:01Z is after 2026-07-01T00:00:00Z",
    );
    // Go compares with the fraction and prints without it.
    check(
        "2026-07-01T00:00:00.000000001Z",
        server,
        None,
        "x509: certificate has expired or is not yet valid: current time 2026-07-01T00:00:00Z is after 2026-07-01T00:00:00Z",
    );
}

#[test]
fn names_and_usages() {
    let june = "2026-06-15T00:00:00Z";
    check(june, Usage::ServerAuth, Some("10.0.0.1"), "");
    check(june, Usage::ServerAuth, Some("a.svc"), "");
    check(june, Usage::ServerAuth, Some("other"), "x509: certificate is valid for node, *.svc, not other");
    check(june, Usage::ServerAuth, Some("10.0.0.2"), "x509: certificate is valid for 10.0.0.1, not 10.0.0.2");
    check(june, Usage::ClientAuth, None, "x509: certificate specifies an incompatible key usage");
    check(june, Usage::Any, None, "");
    // A wrong date is told before a wrong name.
    check(
        "2027-06-15T00:00:00Z",
        Usage::ServerAuth,
        Some("other"),
        "x509: certificate has expired or is not yet valid: current time 2027-06-15T00:00:00Z is after 2026-07-01T00:00:00Z",
    );
}

#[test]
fn host_names() {
    let rows = [
        ("node", true),
        ("NODE", true),
        ("node.", true),
        ("nod", false),
        ("a.svc", true),
        ("a.b.svc", false),
        ("svc", false),
        (".svc", false),
        ("", false),
        ("10.0.0.1", true),
        ("[10.0.0.1]", true),
        ("10.0.0.2", false),
        ("kube-apiserver", false),
    ];
    for (name, want) in rows {
        assert_eq!(verify_hostname(CHAIN.1.leaf().unwrap(), name).is_ok(), want, "{name:?}");
    }
}

#[test]
fn the_anchors_dates_count() {
    // A leaf may outlive its authority (kubeadm does not cap it); then the authority's end counts.
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2026-06-10T00:00:00Z"));
    let ca = Authority::new_root(&chance(), FAST, "short", &[], from, to).unwrap();
    let pair = issue(&ca, &leaf_spec());
    let roots = Roots::from(ca.certificate);
    let verdict = |now: &str| verify_chain(&pair.chain, &roots, at(now), Usage::ServerAuth, None);
    assert_eq!(verdict("2026-06-10T00:00:00Z"), Ok(()));
    let now = at("2026-06-10T00:00:01Z");
    assert_eq!(verdict("2026-06-10T00:00:01Z"), Err(X509Error::Expired { now, not_after: to }));
}

#[test]
fn strangers_are_unknown() {
    let stranger = authority("stranger");
    let (_, pair) = &*CHAIN;
    let june = at("2026-06-15T00:00:00Z");
    let words = |roots: &Roots| {
        verify_chain(&pair.chain, roots, june, Usage::ServerAuth, None).unwrap_err().words(GO_NOW)
    };
    assert_eq!(words(&stranger.certificate.into()), "x509: certificate signed by unknown authority");
    assert_eq!(words(&Roots::default()), "x509: certificate signed by unknown authority");
    // Same name, another key: two clusters whose authorities are both called "kubernetes".
    assert_eq!(
        words(&authority("kubernetes").certificate.into()),
        "x509: certificate signed by unknown authority (possibly because of \"x509: ECDSA verification failure\" \
         while trying to verify candidate authority certificate \"kubernetes\")"
    );
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    let rsa =
        Authority::new_root(&chance(), pki::KeyAlgorithm::Rsa2048, "kubernetes", &[], from, to).unwrap();
    let signed_by_rsa = issue(&rsa, &leaf_spec());
    let other =
        Authority::new_root(&chance(), pki::KeyAlgorithm::Rsa2048, "kubernetes", &[], from, to).unwrap();
    let error =
        verify_chain(&signed_by_rsa.chain, &other.certificate.into(), june, Usage::Any, None).unwrap_err();
    assert!(error.to_string().contains("\"crypto/rsa: verification error\""), "{error}");
}

#[test]
fn a_leaf_signs_nothing() {
    let (ca, pair) = &*CHAIN;
    let leaf_as_ca = Authority::from_pem(pair.chain_pem().as_bytes(), pair.key_pem().as_bytes()).unwrap();
    let forged = issue(&leaf_as_ca, &client_spec("kubernetes-admin", &["system:masters"]));
    let chain = [forged.chain.clone(), pair.chain.clone()].concat();
    let june = at("2026-06-15T00:00:00Z");
    let error =
        verify_chain(&chain, &ca.certificate.clone().into(), june, Usage::ClientAuth, None).unwrap_err();
    assert_eq!(
        error.words(GO_NOW),
        "x509: certificate signed by unknown authority (possibly because of \"x509: invalid signature: parent \
         certificate cannot sign this kind of certificate\" while trying to verify candidate authority certificate \
         \"kube-apiserver\")"
    );
}

/// An intermediate by rcgen, which can write what our authorities never need.
fn intermediate(root: &Authority, name: &str, path_len: Option<u8>, key: &PrivateKey) -> Certificate {
    let signing = rcgen::KeyPair::from_pem(&root.key().to_pem()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&root.certificate.to_rustls(), signing).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = rcgen::DnValue::PrintableString(name.try_into().unwrap());
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let constraints =
        path_len.map_or(rcgen::BasicConstraints::Unconstrained, rcgen::BasicConstraints::Constrained);
    params.is_ca = rcgen::IsCa::Ca(constraints);
    let key = rcgen::KeyPair::from_pem(&key.to_pem()).unwrap();
    Certificate::from_der(params.signed_by(&key, &issuer).unwrap().der().to_vec()).unwrap()
}

fn under(certificate: &Certificate, key: &PrivateKey) -> Authority {
    Authority::from_pem(certificate.to_pem().as_bytes(), key.to_pem().as_bytes()).unwrap()
}

#[test]
fn intermediates_lead_to_the_root() {
    let root = authority("root");
    let keys = [PrivateKey::generate(FAST).unwrap(), PrivateKey::generate(FAST).unwrap()];
    let verdict = |first_len| {
        let first = intermediate(&root, "first", first_len, &keys[0]);
        let second = intermediate(&under(&first, &keys[0]), "second", None, &keys[1]);
        let leaf = issue(&under(&second, &keys[1]), &leaf_spec()).chain.remove(0);
        // In any order.
        let chain = [leaf, first, second];
        let june = at("2026-06-15T00:00:00Z");
        verify_chain(&chain, &root.certificate.clone().into(), june, Usage::ServerAuth, Some("node"))
    };
    assert_eq!(verdict(None), Ok(()));
    assert_eq!(verdict(Some(1)), Ok(()));
    assert_eq!(verdict(Some(0)), Err(X509Error::TooManyIntermediates));
}

#[test]
fn an_authoritys_usages_bind_those_below() {
    let root = authority("root");
    let signing = rcgen::KeyPair::from_pem(&root.key().to_pem()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&root.certificate.to_rustls(), signing).unwrap();
    let key = PrivateKey::generate(FAST).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "clients only");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let subject_key = rcgen::KeyPair::from_pem(&key.to_pem()).unwrap();
    let middle =
        Certificate::from_der(params.signed_by(&subject_key, &issuer).unwrap().der().to_vec()).unwrap();
    let spec = CertSpec { client_auth: true, ..leaf_spec() };
    let chain = [issue(&under(&middle, &key), &spec).chain.remove(0), middle];
    let verdict = |usage| {
        verify_chain(&chain, &root.certificate.clone().into(), at("2026-06-15T00:00:00Z"), usage, None)
    };
    assert_eq!(verdict(Usage::ClientAuth), Ok(()));
    assert_eq!(verdict(Usage::ServerAuth), Err(X509Error::IncompatibleUsage));
}

#[test]
fn name_constraints_are_refused_rather_than_ignored() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.com".into())],
        excluded_subtrees: vec![],
    });
    let certificate = Certificate::from_der(params.self_signed(&key).unwrap().der().to_vec()).unwrap();
    let verdict = verify_chain(
        std::slice::from_ref(&certificate),
        &certificate.clone().into(),
        at("2026-06-15T00:00:00Z"),
        Usage::Any,
        None,
    );
    assert_eq!(verdict, Err(X509Error::UnhandledCriticalExtension));
}

#[test]
fn loops_of_authorities_end() {
    // Two authorities that vouch for each other, and for no root.
    let keys = [PrivateKey::generate(FAST).unwrap(), PrivateKey::generate(FAST).unwrap()];
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    let a = Authority::with_key(&chance(), keys[0].clone(), "a", &[], from, to).unwrap();
    let b = Authority::with_key(&chance(), keys[1].clone(), "b", &[], from, to).unwrap();
    let a_by_b = intermediate(&b, "a", None, &keys[0]);
    let b_by_a = intermediate(&a, "b", None, &keys[1]);
    let leaf = issue(&a, &leaf_spec()).chain.remove(0);
    let chain = [leaf, a_by_b.clone(), b_by_a.clone(), a_by_b, b_by_a];
    let verdict = verify_chain(
        &chain,
        &authority("c").certificate.into(),
        at("2026-06-15T00:00:00Z"),
        Usage::Any,
        None,
    );
    assert_eq!(verdict, Err(X509Error::UnknownAuthority { hint: None }));
}

#[test]
fn nothing_is_no_chain() {
    let verdict = verify_chain(&[], &Roots::default(), at("2026-06-15T00:00:00Z"), Usage::Any, None);
    assert_eq!(verdict, Err(X509Error::NoCertificate));
}
