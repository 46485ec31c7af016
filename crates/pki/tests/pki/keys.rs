//! Keys: PEM round trips in upstream's block types, pins, and nothing secret in Debug.

use pki::{KeyAlgorithm, KeyError, PrivateKey, PublicKey};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};

fn check(algorithm: KeyAlgorithm, label: &str) {
    let key = PrivateKey::generate(algorithm).unwrap();
    let pem = key.to_pem();
    assert!(pem.starts_with(&format!("-----BEGIN {label}-----\n")), "{algorithm}: {pem}");
    assert!(pem.ends_with(&format!("-----END {label}-----\n")), "{algorithm}");
    assert!(pem.lines().all(|line| line.len() <= 64), "{algorithm}: Go breaks lines at 64");
    let read = PrivateKey::from_pem(pem.as_bytes()).unwrap();
    assert_eq!(read.public(), key.public(), "{algorithm}");
    assert_eq!(read.to_pem(), pem, "{algorithm}: the encoding is canonical");
    // rustls reads it by itself, so the block type says the truth.
    let foreign = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    rustls::crypto::aws_lc_rs::sign::any_supported_type(&foreign).unwrap();

    let public = key.public().to_pem();
    assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{algorithm}");
    assert_eq!(PublicKey::from_pem(public.as_bytes()).unwrap(), key.public(), "{algorithm}");
    assert_eq!(PublicKey::from_pem(pem.as_bytes()).unwrap(), key.public(), "sa.key also serves as key file");
    let pin = key.public().pin();
    assert!(pin.len() == 71 && pin.starts_with("sha256:"), "{pin}");

    let debug = format!("{key:?}");
    assert!(debug.len() < 20, "nothing of the key is shown: {debug}");
}

#[test]
fn pem_round_trips() {
    check(KeyAlgorithm::Rsa2048, "RSA PRIVATE KEY");
    check(KeyAlgorithm::EcdsaP256, "EC PRIVATE KEY");
    check(KeyAlgorithm::EcdsaP384, "EC PRIVATE KEY");
}

#[test]
fn keys_of_other_tools_are_read() {
    // PKCS#8, as openssl genpkey and rcgen write it.
    let foreign = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let read = PrivateKey::from_pem(foreign.serialize_pem().as_bytes()).unwrap();
    assert!(read.to_pem().starts_with("-----BEGIN EC PRIVATE KEY-----"));
    let foreign = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let read = PrivateKey::from_pem(foreign.serialize_pem().as_bytes()).unwrap();
    assert!(read.to_pem().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
}

#[test]
fn kubeadms_names_of_algorithms() {
    for name in ["RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256", "ECDSA-P384"] {
        assert_eq!(name.parse::<KeyAlgorithm>().unwrap().to_string(), name);
    }
    assert_eq!(KeyAlgorithm::default().to_string(), "RSA-2048");
    let error = "RSA-1024".parse::<KeyAlgorithm>().unwrap_err().to_string();
    assert!(error.contains("RSA-1024") && error.contains("ECDSA-P256"), "{error}");
}

#[test]
fn bad_keys_are_refused_with_a_reason() {
    let good = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap().to_pem();
    let cut: String = good.lines().take(2).map(|line| format!("{line}\n")).collect();
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    let rows = [
        ("", "no PEM block"),
        ("hello", "no PEM block"),
        (cut.as_str(), "the END line is missing"),
        ("-----BEGIN EC PRIVATE KEY-----\n!!!!\n-----END EC PRIVATE KEY-----\n", "not base64"),
        ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "malformed"),
        (ed25519.as_str(), "not supported"),
    ];
    for (text, want) in rows {
        let error: KeyError = PrivateKey::from_pem(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(want), "{text:?}: {error}");
    }
}
