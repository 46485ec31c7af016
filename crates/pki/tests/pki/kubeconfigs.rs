//! Kubeconfigs: what kubeadm writes is read back, and bad input is told in one sentence.

use std::sync::{Arc, LazyLock};

use base64::{Engine, engine::general_purpose::STANDARD};
use pki::{
    Authority, CertifiedKey, ServerTls, StaticIdentity,
    kubeconfig::{Cluster, Kubeconfig, User},
};
use world::sim::{Config, Sim, run};

use crate::gear::*;

static PKI: LazyLock<(Authority, CertifiedKey, CertifiedKey)> = LazyLock::new(|| {
    let ca = authority("kubernetes");
    let admin = issue(&ca, &client_spec("kubernetes-admin", &["kubeadm:cluster-admins"]));
    let other = issue(&ca, &client_spec("jane", &[]));
    (ca, admin, other)
});

const PATH: &str = "/etc/kubernetes/admin.conf";
const SERVER: &str = "https://10.0.0.1:6443";

fn admin_conf() -> Kubeconfig {
    let cluster = Cluster::new(SERVER, &PKI.0.certificate.to_pem());
    Kubeconfig::new("kubernetes", cluster, "kubernetes-admin", User::with_certificate(&PKI.1))
}

fn world<F, Fut>(story: F)
where
    F: FnOnce(Sim) -> Fut,
    Fut: Future<Output = ()>,
{
    run(Config { start: at("2026-06-15T00:00:00Z"), ..Config::default() }, story).unwrap();
}

#[test]
fn what_kubeadm_writes_is_read_back() {
    world(|sim| async move {
        let disk = sim.host("cp1").disk().clone();
        admin_conf().save(&disk, PATH).unwrap();
        assert_eq!(disk.stat(PATH).unwrap().mode, 0o600);
        let read = Kubeconfig::load(&disk, PATH).unwrap();
        assert_eq!(Kubeconfig { origin: None, ..read.clone() }, admin_conf());
        assert_eq!(read.current_context, "kubernetes-admin@kubernetes");
        assert_eq!(read.server().unwrap(), SERVER);
        assert_eq!(read.roots(&disk).unwrap().unwrap().to_pem(), PKI.0.certificate.to_pem());
        assert_eq!(read.client_pair(&disk).unwrap().unwrap().chain, PKI.1.chain);
        assert_eq!(read.token(&disk).unwrap(), None);
        let data = disk.read_to_string(PATH).unwrap();
        let line =
            data.lines().find_map(|line| line.trim().strip_prefix("certificate-authority-data: ")).unwrap();
        assert_eq!(
            STANDARD.decode(line).unwrap(),
            PKI.0.certificate.to_pem().as_bytes(),
            "on its key's line"
        );
        let debug = format!("{read:?}");
        assert!(!debug.contains(read.users[0].user.client_key_data.as_ref().unwrap()), "keys are not shown");
    });
}

#[test]
fn a_handshake_with_it_shows_the_certificate() {
    world(|sim| async move {
        let host = sim.host("cp1");
        admin_conf().save(host.disk(), PATH).unwrap();
        let client = Kubeconfig::load(host.disk(), PATH).unwrap().client_tls(&host, GO_NOW).unwrap().unwrap();
        let serving = issue(&PKI.0, &leaf_spec());
        let server = ServerTls::new(&host)
            .default_cert(Arc::new(StaticIdentity::new(&serving).unwrap()))
            .request_client_cert(None);
        let outcome = handshake(&client, &server, "10.0.0.1").await;
        assert_eq!(outcome.server.unwrap()[0].subject_cn(), "kubernetes-admin");
    });
}

#[test]
fn files_are_relative_to_it_and_read_at_use() {
    world(|sim| async move {
        let disk = sim.host("n1").disk().clone();
        let cluster = Cluster {
            certificate_authority: Some("pki/ca.crt".into()),
            server: SERVER.into(),
            ..Cluster::default()
        };
        let current = "/var/lib/kubelet/pki/kubelet-client-current.pem";
        let conf = Kubeconfig::with_context(
            "default-context",
            "default-cluster",
            cluster,
            "default-auth",
            User::with_files(current, current),
        );
        conf.save(&disk, "/etc/kubernetes/kubelet.conf").unwrap();
        let conf = Kubeconfig::load(&disk, "/etc/kubernetes/kubelet.conf").unwrap();
        let missing = conf.client_tls(&sim.host("n1"), GO_NOW).unwrap_err().to_string();
        assert!(missing.contains("/etc/kubernetes/pki/ca.crt: no such file"), "{missing}");

        disk.write("/etc/kubernetes/pki/ca.crt", PKI.0.certificate.to_pem(), 0o644).unwrap();
        let missing = conf.client_tls(&sim.host("n1"), GO_NOW).unwrap_err().to_string();
        assert!(missing.contains(current) && missing.contains("no such file"), "{missing}");
        assert!(
            conf.anonymous_tls(&sim.host("n1"), GO_NOW).unwrap().is_some(),
            "a kubelet brings its own identity"
        );

        disk.write(current, PKI.1.chain_pem() + &PKI.1.key_pem(), 0o600).unwrap();
        assert!(conf.client_tls(&sim.host("n1"), GO_NOW).unwrap().is_some());
        assert_eq!(conf.client_pair(&disk).unwrap().unwrap().chain, PKI.1.chain);
    });
}

#[test]
fn tokens_inline_and_in_files() {
    world(|sim| async move {
        let disk = sim.host("n1").disk().clone();
        let conf = |user| Kubeconfig::new("c", Cluster::new(SERVER, &PKI.0.certificate.to_pem()), "u", user);
        assert_eq!(conf(User::with_token("abc")).token(&disk).unwrap().as_deref(), Some("abc"));
        let both = User { token_file: Some("/run/token".into()), ..User::with_token("abc") };
        let error = conf(both.clone()).token(&disk).unwrap_err().to_string();
        assert!(error.contains("tokenFile of user \"u\"") && error.contains("/run/token"), "{error}");
        // A password is none, and nobody sees it.
        let user = User::with_password("jane", "s3cret");
        assert!(!format!("{user:?}").contains("s3cret"));
        let read = Kubeconfig::parse(&conf(user.clone()).to_yaml(), None).unwrap();
        assert_eq!((read.users[0].user.clone(), read.token(&disk).unwrap()), (user, None));
        disk.write("/run/token", "xyz\n", 0o600).unwrap();
        assert_eq!(conf(both).token(&disk).unwrap().as_deref(), Some("xyz"));
    });
}

#[test]
fn cluster_info_is_one_cluster_and_nothing_else() {
    let info = Kubeconfig::cluster_info(Cluster::new(SERVER, &PKI.0.certificate.to_pem()));
    let read = Kubeconfig::parse(&info.to_yaml(), None).unwrap();
    assert_eq!(read, info);
    assert_eq!((read.server().unwrap(), read.user().unwrap()), (SERVER, None));
    let text = format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: {SERVER}\n  name: \"\"\n\
         contexts: null\ncurrent-context: \"\"\nkind: Config\nusers: null\n",
        STANDARD.encode(PKI.0.certificate.to_pem())
    );
    assert_eq!(info.to_yaml(), text, "the very text of client-go's");
    // Before 1.34 there was one more line.
    let older = text.replace("users: null", "preferences: {}\nusers: null");
    assert_eq!(Kubeconfig::parse(&older, None).unwrap(), info);
}

#[test]
fn json_is_yaml_too() {
    let json = serde_json::to_string(&admin_conf()).unwrap();
    assert_eq!(Kubeconfig::parse(&json, None).unwrap(), admin_conf());
}

/// Writes `text` and says what using it fails with.
fn check(what: &str, text: &str, want: &[&str]) {
    let (what, text) = (what.to_owned(), text.to_owned());
    let want: Vec<String> = want.iter().map(|w| (*w).to_owned()).collect();
    world(|sim| async move {
        let host = sim.host("cp1");
        host.disk().write(PATH, &text, 0o600).unwrap();
        let used = Kubeconfig::load(host.disk(), PATH).and_then(|conf| {
            conf.token(host.disk())?;
            conf.client_tls(&host, GO_NOW)
        });
        let error = used.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(PATH), "{what}: says where: {error}");
        assert!(!error.contains('\n'), "{what}: one sentence: {error}");
        for want in want {
            assert!(error.contains(&want), "{what}: {want:?} in {error}");
        }
    });
}

#[test]
fn bad_input_is_told_in_one_sentence() {
    let good = admin_conf().to_yaml();
    let edit = |change: &dyn Fn(&mut Kubeconfig)| {
        let mut conf = admin_conf();
        change(&mut conf);
        conf.to_yaml()
    };
    check("empty", "", &["it is empty", "restore it"]);
    check("half written", &good[..good.find("server").unwrap() + 3], &["half written", "line"]);
    check("not yaml", "{ unbalanced: [", &["is not a kubeconfig"]);
    check("a list", "- a\n- b\n", &["is not a kubeconfig"]);
    check("another kind", "apiVersion: v1\nkind: Pod\n", &["a v1 Pod, not a v1 Config"]);
    check(
        "no current context",
        &edit(&|c| c.current_context.clear()),
        &["no current-context", "use-context"],
    );
    check(
        "unknown context",
        &edit(&|c| c.current_context = "x".into()),
        &["the context \"x\"", "kubernetes-admin@kubernetes"],
    );
    check(
        "unknown cluster",
        &edit(&|c| c.contexts[0].context.cluster = "x".into()),
        &["the cluster \"x\"", "\"kubernetes\""],
    );
    check(
        "unknown user",
        &edit(&|c| c.contexts[0].context.user = "x".into()),
        &["the user \"x\"", "kubernetes-admin"],
    );
    check(
        "no server",
        &edit(&|c| c.clusters[0].cluster.server.clear()),
        &["server \"\"", "https://host:port"],
    );
    check("no URL", &edit(&|c| c.clusters[0].cluster.server = "10.0.0.1:6443".into()), &["not a URL"]);
    check(
        "bad base64",
        &edit(&|c| c.clusters[0].cluster.certificate_authority_data = Some("a*b".into())),
        &["certificate-authority-data of cluster \"kubernetes\"", "not base64"],
    );
    check(
        "bad PEM",
        &edit(&|c| c.clusters[0].cluster.certificate_authority_data = Some(STANDARD.encode("hello"))),
        &["certificate-authority-data", "no PEM block"],
    );
    check(
        "cut PEM",
        &edit(&|c| c.users[0].user.client_certificate_data = Some(STANDARD.encode(&PKI.1.chain_pem()[..90]))),
        &["client-certificate-data of user \"kubernetes-admin\"", "the END line is missing"],
    );
    check(
        "bad key",
        &edit(&|c| c.users[0].user.client_key_data = Some(STANDARD.encode(PKI.1.chain_pem()))),
        &["client-key-data of user", "PRIVATE KEY"],
    );
    check(
        "key of another",
        &edit(&|c| c.users[0].user.client_key_data = Some(STANDARD.encode(PKI.2.key_pem()))),
        &["private key does not match public key"],
    );
    check("half a pair", &edit(&|c| c.users[0].user.client_key_data = None), &["lacks client-key-data"]);
    check(
        "the other half",
        &edit(&|c| c.users[0].user.client_certificate_data = None),
        &["lacks client-certificate-data"],
    );
    for (what, other) in [
        ("a token and a password", User::with_token("abc")),
        ("a token in a file and a password", User { token_file: Some("/t".into()), ..User::default() }),
    ] {
        check(
            what,
            &edit(&|c| {
                let (token, token_file) = (other.token.clone(), other.token_file.clone());
                c.users[0].user = User { token, token_file, ..User::with_password("jane", "s3cret") };
            }),
            &["more than one authentication method found for kubernetes-admin; found [token basicAuth]"],
        );
    }
    check(
        "a program",
        &edit(&|c| c.users[0].user.exec = Some(serde_json::json!({"command": "aws"}))),
        &["exec plugin"],
    );
}

#[test]
fn a_missing_file_says_what_to_do() {
    world(|sim| async move {
        let error = Kubeconfig::load(sim.host("cp1").disk(), "/nowhere").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no kubeconfig at /nowhere (open /nowhere: no such file or directory): check the path, or create \
             the file first"
        );
    });
}

#[test]
fn plain_http_needs_no_tls() {
    world(|sim| async move {
        let cluster = Cluster { server: "http://127.0.0.1:8080".into(), ..Cluster::default() };
        let conf = Kubeconfig::new("c", cluster, "u", User::default());
        assert!(conf.client_tls(&sim.host("n1"), GO_NOW).unwrap().is_none());
    });
}
