//! The pair that a server makes for itself under `--cert-dir`: its forms, its second life at the next start, and what
//! hangs on it where nothing else is configured, the tokens of service accounts.

use std::{path::Path, sync::Arc, time::Duration};

use apiserver::{Options, Server};
use client::{Auth, Resource, Rest};
use pki::{
    Certificate, CertifiedKey, ClientTls, KeyAlgorithm, Roots,
    jwt::{Claims, LEGACY_ISSUER, ServiceAccountSigner},
    loopback::{SelfSigned, Shape, self_signed},
};
use serde_json::json;
use store::Store;
use wire::HttpClient;
use world::{
    Host,
    sim::{Config, Sim},
};

const CRT: &str = "/var/run/kubernetes/apiserver.crt";
const KEY: &str = "/var/run/kubernetes/apiserver.key";
const NAMES: [&str; 4] = ["kubernetes.default.svc", "kubernetes.default", "kubernetes", "10.0.0.1"];

/// A server without any certificate or key of ours.
async fn start(host: &Host, version: &str, store: &Arc<dyn Store>) -> Server {
    host.disk().create_dir_all("/etc").unwrap();
    host.disk().write("/etc/tokens.csv", "admin-token,admin,1,\"system:masters\"\n", 0o600).unwrap();
    let options = Options::parse([
        "--storage-backend=memory",
        "--token-auth-file=/etc/tokens.csv",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        &format!("--kubernetes-version={version}"),
    ]);
    let server = Server::start(host, options.unwrap(), Some(store.clone())).await.unwrap();
    server.ready().await.unwrap();
    server
}

fn pair(host: &Host) -> CertifiedKey {
    let read = |path: &str| host.disk().read(Path::new(path)).unwrap();
    CertifiedKey::from_pem(&read(CRT), &read(KEY)).unwrap()
}

fn leaf(host: &Host) -> Certificate {
    pair(host).leaf().unwrap().clone()
}

fn world<F, Fut>(story: F)
where
    F: FnOnce(Sim, Host, Arc<dyn Store>) -> Fut,
    Fut: Future<Output = ()>,
{
    world::sim::run(Config::default(), |sim| async move {
        let host = sim.host("cp");
        let store = store::memory(&host);
        story(sim, host, store).await;
    })
    .unwrap();
}

#[test]
fn its_form_is_the_releases() {
    let check = |version: &'static str, backdate: u64, certificates: usize| {
        world(move |_, host, store| async move {
            let now = host.clock().wall();
            start(&host, version, &store).await;
            let pair = pair(&host);
            let leaf = pair.leaf().unwrap();
            let address = host.net().address();
            assert_eq!(leaf.subject_cn(), format!("{address}@{}", now.as_second()), "{version}");
            assert_eq!(pair.chain.len(), certificates, "{version}");
            assert_eq!(leaf.is_ca(), certificates == 1, "{version}");
            let names: Vec<&str> = leaf.dns_names().iter().map(String::as_str).collect();
            let wanted = ["kubernetes.default.svc", "kubernetes.default", "kubernetes", "localhost"];
            assert_eq!(names, wanted, "{version}");
            assert_eq!(leaf.ip_addresses(), [address, "10.0.0.1".parse().unwrap()], "{version}");
            let from = now - Duration::from_secs(backdate);
            assert_eq!(
                (leaf.not_before(), leaf.not_after()),
                (from, from + Duration::from_secs(365 * 86_400))
            );
        });
    };
    check("1.8.0", 0, 1);
    check("1.10.0", 0, 2);
    check("1.12.0", 3600, 2);
    // A year it stayed here when the loopback's became three.
    check("1.36.0", 3600, 2);
}

/// A client on `node1` that trusts `roots` and asks for `name`.
fn client(sim: &Sim, roots: Roots, name: &str, token: &str) -> Rest {
    let node = sim.host("node1");
    let tls = ClientTls::new(&node, (1, 26)).roots(roots).server_name(name);
    let http = HttpClient::new(&node, "https://cp:6443", Some(tls)).unwrap();
    Rest::new(http, Auth::bearer(token), "heapster")
}

/// A token as the controller of old releases signs them, with the key that the server made, and its secret.
async fn legacy_token(sim: &Sim, host: &Host) -> String {
    let roots = Roots::from(leaf(host));
    let admin = client(sim, roots, "kubernetes", "admin-token");
    let account = json!({"metadata": {"name": "heapster"}});
    let account = admin.create(&Resource::core("serviceaccounts"), Some("default"), &account).await.unwrap();
    let mut claims =
        Claims { subject: "system:serviceaccount:default:heapster".to_owned(), ..Claims::default() };
    for (key, value) in [
        ("namespace", "default"),
        ("secret.name", "heapster-token"),
        ("service-account.name", "heapster"),
        ("service-account.uid", account["metadata"]["uid"].as_str().unwrap()),
    ] {
        claims.other.insert(format!("kubernetes.io/serviceaccount/{key}"), value.into());
    }
    let token = ServiceAccountSigner::new(LEGACY_ISSUER, &pair(host).key).sign(&claims).unwrap();
    let secret = json!({
        "metadata": {"name": "heapster-token", "annotations": {"kubernetes.io/service-account.name": "heapster"}},
        "type": "kubernetes.io/service-account-token",
        "stringData": {"token": token},
    });
    admin.create(&Resource::core("secrets"), Some("default"), &secret).await.unwrap();
    sim.elapse(Duration::from_secs(2)).await;
    token
}

/// What a pod meets that holds `roots` and `token`.
async fn ask(sim: &Sim, roots: &Roots, name: &str, token: &str) -> String {
    let answer = client(sim, roots.clone(), name, token).raw(http::Method::GET, "/api", None).await;
    answer.map_or_else(|error| error.to_string(), |(code, _)| code.as_u16().to_string())
}

#[test]
fn tokens_and_trust_hang_on_the_pair() {
    world(|sim, host, store| async move {
        let server = start(&host, "1.8.0", &store).await;
        let (old, roots) = (leaf(&host), Roots::from(leaf(&host)));
        let token = legacy_token(&sim, &host).await;
        for name in NAMES {
            assert_eq!(ask(&sim, &roots, name, &token).await, "200", "{name}");
        }
        // A name outside of the certificate; the common name plays no part.
        let error = ask(&sim, &roots, "heapster", &token).await;
        assert!(error.contains("x509: certificate is valid for kubernetes.default.svc"), "{error}");
        assert!(error.ends_with("not heapster"), "{error}");

        // The control: a start that finds the pair uses it.
        server.shutdown().await;
        let server = start(&host, "1.8.0", &store).await;
        assert_eq!(leaf(&host), old);
        assert_eq!(ask(&sim, &roots, "kubernetes", &token).await, "200");

        // /var/run is gone with the reboot, and the server makes another pair.
        server.shutdown().await;
        host.disk().remove(CRT).unwrap();
        host.disk().remove(KEY).unwrap();
        sim.elapse(Duration::from_secs(60)).await;
        start(&host, "1.8.0", &store).await;
        assert_ne!(leaf(&host), old);
        let error = ask(&sim, &roots, "kubernetes", &token).await;
        assert!(error.ends_with("x509: certificate signed by unknown authority"), "{error}");
        // Who learns the new root is let in no more either: the old key signed the token.
        assert_eq!(ask(&sim, &Roots::from(leaf(&host)), "kubernetes", &token).await, "401");
    });
}

#[test]
fn a_pair_that_a_server_of_2015_left_is_used() {
    world(|sim, host, store| async move {
        let spec = SelfSigned {
            host: host.net().address().to_string(),
            ips: vec!["10.0.0.1".parse().unwrap()],
            dns_names: NAMES[..3].iter().map(|n| (*n).to_owned()).collect(),
            shape: Shape::Bare,
            backdate: Duration::ZERO,
            max_age: Duration::from_secs(365 * 86_400),
            algorithm: KeyAlgorithm::Rsa2048,
        };
        let made = self_signed(&spec, host.clock().wall(), host.entropy()).unwrap().pair;
        host.disk().create_dir_all("/var/run/kubernetes").unwrap();
        host.disk().write(CRT, made.chain_pem(), 0o644).unwrap();
        host.disk().write(KEY, made.key_pem(), 0o600).unwrap();
        start(&host, "1.8.0", &store).await;
        let roots = Roots::from(leaf(&host));
        let token = legacy_token(&sim, &host).await;
        for name in NAMES {
            assert_eq!(ask(&sim, &roots, name, &token).await, "200", "{name}");
        }
    });
}

#[test]
fn half_a_pair_is_refused() {
    world(|_, host, store| async move {
        host.disk().create_dir_all("/var/run/kubernetes").unwrap();
        host.disk().write(KEY, "key", 0o600).unwrap();
        let options = Options::parse(["--storage-backend=memory"]).unwrap();
        let error = Server::start(&host, options, Some(store)).await.unwrap_err().to_string();
        assert!(error.contains("is there without the other half of the pair"), "{error}");
    });
}
