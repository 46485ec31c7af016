//! The recipe's certificates from its own JSON, and what is said of JSON that is wrong.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use chronoplane::Sim;
use chronoplane_cli::cfssl::{gencert, write_bare};
use pki::{Certificate, ExtendedUsage, KeyUsage, PrivateKey};
use world::Host;

pub const DIR: &str = "/etc/kubernetes/pki/etcd";

/// Writes the recipe's JSON files.
pub fn inputs(host: &Host) {
    for (name, text) in [
        ("ca-config.json", include_str!("inputs/ca-config.json")),
        ("ca-csr.json", include_str!("inputs/ca-csr.json")),
        ("client.json", include_str!("inputs/client.json")),
    ] {
        host.disk().write(format!("{DIR}/{name}"), text, 0o644).expect("written");
    }
}

/// `cfssl <line> | cfssljson -bare <name>` in etcd's directory of certificates.
pub fn cfssl(host: &Host, line: &str, name: &str) -> Result<(), String> {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let generated = gencert(host, Path::new(DIR), &args).map_err(|e| e.to_string())?;
    write_bare(host, &Path::new(DIR).join(name), &generated).map_err(|e| e.to_string())
}

/// What the recipe types on its first master.
pub fn authority_and_client(host: &Host) {
    cfssl(host, "gencert -initca ca-csr.json", "ca").expect("made");
    let client = "gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile=client client.json";
    cfssl(host, client, "client").expect("made");
}

/// A member's two certificates, for its name and address.
pub fn member(host: &Host) {
    for profile in ["server", "peer"] {
        let line = format!(
            "gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile={profile} -hostname={},{} client.json",
            host.name(),
            host.net().address()
        );
        cfssl(host, &line, profile).expect("made");
    }
}

#[chronoplane::test]
async fn json_becomes_pem(sim: Sim) {
    let host = sim.host("master0");
    inputs(&host);
    authority_and_client(&host);
    member(&host);
    let key_usage = KeyUsage::DIGITAL_SIGNATURE.and(KeyUsage::KEY_ENCIPHERMENT);
    let both = vec![ExtendedUsage::ServerAuth, ExtendedUsage::ClientAuth];
    for (name, common_name, is_ca, rsa, usages) in [
        ("ca", "etcd", true, true, vec![]),
        ("client", "client", false, false, vec![ExtendedUsage::ClientAuth]),
        ("server", "client", false, false, both.clone()),
        ("peer", "client", false, false, both),
    ] {
        let read = |file: String| host.disk().read(format!("{DIR}/{file}")).expect("there");
        let certificate = Certificate::parse_pem(&read(format!("{name}.pem"))).expect("PEM").remove(0);
        let key = PrivateKey::from_pem(&read(format!("{name}-key.pem"))).expect("PEM");
        assert_eq!(certificate.subject_cn(), common_name, "{name}");
        assert_eq!((certificate.is_ca(), key.is_rsa()), (is_ca, rsa), "{name}");
        assert_eq!(certificate.public_key(), key.public(), "{name}");
        assert_eq!(certificate.usages(), usages, "{name}");
        assert!(certificate.key_usage().is_some_and(|found| found.has(key_usage)), "{name}");
        let lives = certificate.not_after().duration_since(certificate.not_before());
        assert_eq!(lives.as_hours(), 43_800, "{name}");
        let mode = host.disk().stat(format!("{DIR}/{name}-key.pem")).map(|stat| stat.mode);
        assert_eq!(mode, Some(0o600), "{name}");
        let named = certificate.ip_addresses().contains(&host.net().address());
        assert_eq!(named, ["server", "peer"].contains(&name), "{name}");
    }
}

/// Each refusal with its reason and what would do; and what cfssl does when nothing is configured.
#[chronoplane::test]
async fn what_cannot_be_made_is_named(sim: Sim) {
    let host = sim.host("master0");
    inputs(&host);
    authority_and_client(&host);
    let write =
        |name: &str, text: &str| host.disk().write(format!("{DIR}/{name}"), text, 0o644).expect("written");
    write("small.json", r#"{"CN": "x", "key": {"algo": "rsa", "size": 1024}}"#);
    write("typo.json", r#"{"CM": "x"}"#);
    write("soon.json", r#"{"signing": {"default": {"expiry": "soon"}}}"#);
    let signed = "gencert -ca=ca.pem -ca-key=ca-key.pem";
    for (line, said) in [
        ("gencert".into(), "no certificate request is named; this cfssl knows: gencert -initca CSRJSON"),
        ("selfsign x".into(), "no command \"selfsign\"; this cfssl knows"),
        (
            "gencert -initca absent.json".into(),
            "open /etc/kubernetes/pki/etcd/absent.json: no such file or directory",
        ),
        (
            "gencert -initca small.json".into(),
            "a key with algo \"rsa\" and size 1024 is not made here; use rsa with",
        ),
        ("gencert -initca typo.json".into(), "/etc/kubernetes/pki/etcd/typo.json: unknown field `CM`"),
        ("gencert client.json".into(), "need a CA certificate and its key (provide with -ca, -ca-key)"),
        (
            format!("{signed} -profile=x -config=ca-config.json client.json"),
            "no profile \"x\"; it has client, peer, server",
        ),
        (format!("{signed} -config=soon.json client.json"), "expiry \"soon\": "),
        (format!("{signed} -colour=red client.json"), "flag provided but not defined: -colour"),
    ] {
        let words = cfssl(&host, &line, "x").expect_err(&line);
        assert!(words.contains(said), "{line}: {words}");
        assert!(!host.disk().exists(format!("{DIR}/x-key.pem")), "{line}: nothing was written");
    }
    // Without a configuration cfssl grants a year.
    cfssl(&host, &format!("{signed} client.json"), "x").expect("made");
    let certificate = Certificate::parse_pem(&host.disk().read(format!("{DIR}/x.pem")).expect("there"));
    let certificate = certificate.expect("PEM").remove(0);
    let lives = certificate.not_after().duration_since(certificate.not_before());
    assert_eq!(Duration::try_from(lives).expect("ahead"), Duration::from_secs(8760 * 3600));
}

/// The recipe's own lines in a shell: `cfssl … | cfssljson -bare NAME`, two processes and a pipe, in the directory in
/// which one stands.
#[test]
fn two_processes_and_a_pipe_make_the_same_files() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in [
        ("ca-config.json", include_str!("inputs/ca-config.json")),
        ("ca-csr.json", include_str!("inputs/ca-csr.json")),
        ("client.json", include_str!("inputs/client.json")),
    ] {
        std::fs::write(dir.path().join(name), text).expect("written");
    }
    let run = |args: &str, input: &[u8]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chronoplane"))
            .args(args.split_whitespace())
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        child.stdin.take().expect("piped").write_all(input).expect("written");
        child.wait_with_output().expect("it ends")
    };
    for (line, name) in [
        ("cfssl gencert -initca ca-csr.json", "ca"),
        (
            "cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile=client client.json",
            "client",
        ),
    ] {
        let made = run(line, b"");
        assert!(made.status.success(), "{line}: {}", String::from_utf8_lossy(&made.stderr));
        let written = run(&format!("cfssljson -bare {name}"), &made.stdout);
        assert!(written.status.success(), "{name}: {}", String::from_utf8_lossy(&written.stderr));
    }
    let read = |name: &str| std::fs::read(dir.path().join(name)).expect("there");
    let parsed = |name: &str| Certificate::parse_pem(&read(name)).expect("PEM").remove(0);
    let (ca, client) = (parsed("ca.pem"), parsed("client.pem"));
    assert_eq!((client.issuer_cn(), client.subject_cn()), (ca.subject_cn(), "client"));
    let key = PrivateKey::from_pem(&read("client-key.pem")).expect("PEM");
    assert_eq!(client.public_key(), key.public());
    let refused = run("cfssljson -bare nothing", b"no JSON");
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
    assert!(!dir.path().join("nothing.pem").exists());
}
