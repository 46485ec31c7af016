//! Our certificates as OpenSSL reads them: a decoder and a verifier that know nothing of ours.

use std::{path::Path, process::Command};

use chronoplane::{Machinery, TaskLauncher};
use pki::Certificate;
use world::sim;

use crate::{common::kubeadm, decoded};

const PKI: &str = "/etc/kubernetes/pki";
/// Certificate, and the authority that signed it, both without ending.
const SIGNED: &[(&str, &str)] = &[
    ("apiserver", "ca"),
    ("apiserver-kubelet-client", "ca"),
    ("front-proxy-client", "front-proxy-ca"),
    ("etcd/server", "etcd/ca"),
    ("etcd/peer", "etcd/ca"),
    ("etcd/healthcheck-client", "etcd/ca"),
    ("apiserver-etcd-client", "etcd/ca"),
];

/// Whether there is an OpenSSL to ask. Where it is required its absence is a failure, elsewhere it is said aloud.
fn there_is_one() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok_and(|o| o.status.success());
    let required =
        std::env::var("CHRONOPLANE_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name == "openssl"));
    assert!(found || !required, "CHRONOPLANE_REQUIRE names openssl, and there is no program of that name");
    if !found {
        eprintln!(
            "SKIPPED: there is no openssl program here; install it, or set CHRONOPLANE_REQUIRE=openssl to fail"
        );
    }
    found
}

fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl").args(args).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "openssl {args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The line below the one that ends with `heading`, as OpenSSL prints extensions.
fn below<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(heading));
    lines.nth(1).map(|line| line.trim().split(", ").collect()).unwrap_or_default()
}

fn agree(certificate: &Certificate, path: &Path) {
    let path = path.to_str().expect("UTF-8");
    let text = openssl(&["x509", "-text", "-noout", "-in", path]);
    let says = |line: String| assert!(text.contains(&line), "{path}: {line:?} in {text}");
    says(format!("Subject: {}\n", decoded::subject(certificate)));
    says(format!("Issuer: CN = {}\n", certificate.issuer_cn()));
    let date = |at: world::Wall| at.strftime("%b %e %H:%M:%S %Y GMT").to_string();
    says(format!("Not Before: {}\n", date(certificate.not_before())));
    says(format!("Not After : {}\n", date(certificate.not_after())));
    assert_eq!(below(&text, "X509v3 Key Usage"), decoded::key_usages(certificate), "{path}: {text}");
    assert_eq!(
        below(&text, "X509v3 Extended Key Usage"),
        decoded::extended_usages(certificate),
        "{path}: {text}"
    );
    assert_eq!(
        below(&text, "X509v3 Subject Alternative Name"),
        decoded::names(certificate),
        "{path}: {text}"
    );
    assert_eq!(text.contains("CA:TRUE"), certificate.is_ca(), "{path}: {text}");
}

fn check(algorithm: &str) {
    if !there_is_one() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let started = sim::run(sim::Config::default(), async |sim| {
        let cp = sim.host("cp1");
        Machinery::tasks(TaskLauncher::default()).install(&cp, api::profile::Profile::default());
        for phase in ["certs", "kubeconfig"] {
            let algorithm = format!("--encryption-algorithm={algorithm}");
            kubeadm(&cp, &["init", "phase", phase, "all", &algorithm]).await.expect("made");
        }
        for path in decoded::files(&cp, PKI) {
            let copy = dir.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(copy.parent().expect("below the directory")).expect("made");
            std::fs::write(copy, cp.disk().read(&path).expect("there")).expect("copied");
        }
        cp.clock().wall()
    })
    .expect("a world");
    let at = |file: &str, ending: &str| {
        dir.path().join(PKI.trim_start_matches('/')).join(format!("{file}.{ending}"))
    };
    let read = |file: &str| {
        let pem = std::fs::read(at(file, "crt")).expect("copied");
        Certificate::parse_pem(&pem).expect("readable").remove(0)
    };
    for authority in ["ca", "front-proxy-ca", "etcd/ca"] {
        agree(&read(authority), &at(authority, "crt"));
    }
    let moment = started.as_second().to_string();
    for (file, authority) in SIGNED {
        let (crt, ca) = (at(file, "crt"), at(authority, "crt"));
        agree(&read(file), &crt);
        let paths = [ca.to_str().expect("UTF-8"), crt.to_str().expect("UTF-8")];
        let verdict = openssl(&["verify", "-attime", &moment, "-CAfile", paths[0], paths[1]]);
        assert_eq!(verdict.trim_end(), format!("{}: OK", paths[1]));
        let key = at(file, "key");
        let public = openssl(&["pkey", "-in", key.to_str().expect("UTF-8"), "-pubout"]);
        assert_eq!(public, openssl(&["x509", "-in", paths[1], "-pubkey", "-noout"]), "{file}: its own key");
    }
    // The control: another authority's signature is not taken.
    let (ca, crt) = (at("etcd/ca", "crt"), at("apiserver", "crt"));
    let args =
        ["verify", "-attime", &moment, "-CAfile", ca.to_str().expect("UTF-8"), crt.to_str().expect("UTF-8")];
    assert!(!Command::new("openssl").args(args).output().expect("it runs").status.success());
}

#[test]
fn reads_and_verifies_what_kubeadm_makes_with_rsa() {
    check("RSA-2048");
}

#[test]
fn reads_and_verifies_what_kubeadm_makes_with_ecdsa() {
    check("ECDSA-P256");
}
