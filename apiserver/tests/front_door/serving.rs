//! Which certificate is served to whom (`--tls-sni-cert-key`), what of TLS is refused by name, and files that change
//! under a server that runs.

use apiserver::{Options, Server};
use client::{Auth, Rest};
use pki::{Authority, ClientTls, Roots};
use wire::HttpClient;
use world::{
    Host,
    sim::{Config, Sim},
};

use crate::trust::{DAY, authority, issue};

const MEMORY: &str = "--storage-backend=memory";

async fn start(host: &Host, flags: &[&str]) -> Result<Server, String> {
    let options = Options::parse(std::iter::once(&MEMORY).chain(flags)).map_err(|e| e.to_string())?;
    let server = Server::start(host, options, None).await.map_err(|e| e.to_string())?;
    server.ready().await?;
    Ok(server)
}

/// Writes a pair for `name` by an authority that signs nothing else.
fn pair(host: &Host, file: &str, name: &str) -> Authority {
    let ca = authority(host, file);
    let pair = issue(&ca, host, name, 365 * DAY);
    host.disk().create_dir_all("/pki").unwrap();
    host.disk().write(format!("/pki/{file}.crt"), pair.chain_pem(), 0o644).unwrap();
    host.disk().write(format!("/pki/{file}.key"), pair.key_pem(), 0o600).unwrap();
    ca
}

/// What a client meets that dials `address`, trusts `ca` only and asks for `name`, or for the address itself.
async fn ask(sim: &Sim, ca: &Authority, address: &str, name: Option<&str>) -> String {
    let host = sim.host("laptop");
    let tls = ClientTls::new(&host, (1, 26)).roots(Roots::from(ca.certificate.clone()));
    let tls = name.map_or(tls.clone(), |name| tls.server_name(name));
    let http = HttpClient::new(&host, &format!("https://{address}:6443"), Some(tls)).unwrap();
    let answer = Rest::new(http, Auth::None, "test").raw(http::Method::GET, "/livez", None).await;
    answer.map_or_else(|error| error.to_string(), |(_, body)| String::from_utf8_lossy(&body).into_owned())
}

const STRANGER: &str = "x509: certificate signed by unknown authority";

#[test]
fn a_name_gets_its_pair_and_the_rest_the_default() {
    world::sim::run(Config::default(), |sim| async move {
        let host = sim.host("cp");
        let default = pair(&host, "default", "cp");
        let exact = pair(&host, "exact", "foo.example");
        let wild = pair(&host, "wild", "*.bar.example");
        let _server = start(
            &host,
            &[
                "--tls-cert-file=/pki/default.crt",
                "--tls-private-key-file=/pki/default.key",
                "--tls-sni-cert-key=/pki/exact.crt,/pki/exact.key:foo.example",
                // Without names those of the certificate count.
                "--tls-sni-cert-key=/pki/wild.crt,/pki/wild.key",
            ],
        )
        .await
        .unwrap();
        assert_eq!(ask(&sim, &default, "cp", None).await, "ok");
        assert_eq!(ask(&sim, &exact, "cp", Some("foo.example")).await, "ok");
        assert_eq!(ask(&sim, &wild, "cp", Some("a.bar.example")).await, "ok");
        assert!(ask(&sim, &default, "cp", Some("foo.example")).await.ends_with(STRANGER));
        // One label, not two.
        let error = ask(&sim, &wild, "cp", Some("a.b.bar.example")).await;
        assert!(error.ends_with("x509: certificate is valid for cp, not a.b.bar.example"), "{error}");
    })
    .unwrap();
}

#[test]
fn an_address_may_have_its_pair() {
    world::sim::run(Config::default(), |sim| async move {
        let host = sim.host("cp");
        let address = host.net().address().to_string();
        let default = pair(&host, "default", "cp");
        let named = pair(&host, "named", &address);
        let flag = format!("--tls-sni-cert-key=/pki/named.crt,/pki/named.key:{address}");
        let files = ["--tls-cert-file=/pki/default.crt", "--tls-private-key-file=/pki/default.key"];
        let _server = start(&host, &[files[0], files[1], &flag]).await.unwrap();
        assert_eq!(ask(&sim, &named, &address, None).await, "ok");
        let error = ask(&sim, &default, &address, None).await;
        assert!(error.contains(STRANGER), "{error}");
        assert_eq!(ask(&sim, &default, "cp", None).await, "ok", "who sends a name is served by name");
    })
    .unwrap();
}

#[test]
fn a_replaced_pair_is_served_and_a_bad_one_is_not() {
    world::sim::run(Config::default(), |sim| async move {
        let host = sim.host("cp");
        let old = pair(&host, "default", "cp");
        let files = ["--tls-cert-file=/pki/default.crt", "--tls-private-key-file=/pki/default.key"];
        let _server = start(&host, &files).await.unwrap();
        assert_eq!(ask(&sim, &old, "cp", None).await, "ok");
        host.disk().write("/pki/default.crt", "half a certificate", 0o644).unwrap();
        sim.elapse(std::time::Duration::from_secs(61)).await;
        assert_eq!(ask(&sim, &old, "cp", None).await, "ok");
        let new = pair(&host, "default", "cp");
        sim.elapse(std::time::Duration::from_secs(61)).await;
        assert_eq!(ask(&sim, &new, "cp", None).await, "ok");
        let error = ask(&sim, &old, "cp", None).await;
        assert!(error.contains(STRANGER), "{error}");
    })
    .unwrap();
}

#[test]
fn what_rustls_lacks_is_refused_by_name() {
    world::sim::run(Config::default(), |sim| async move {
        let host = sim.host("cp");
        let refused = async |flag: &str| start(&host, &[flag]).await.err().unwrap();
        let error = refused("--tls-cipher-suites=TLS_RSA_WITH_3DES_EDE_CBC_SHA").await;
        assert!(error.contains("TLS_RSA_WITH_3DES_EDE_CBC_SHA is not supported here"), "{error}");
        let error = refused("--tls-min-version=VersionTLS10").await;
        assert!(error.contains("VersionTLS10 is not supported here"), "{error}");
        assert_eq!(refused("--tls-min-version=TLS9").await, "unknown tls version \"TLS9\"");
        let flags =
            ["--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "--tls-min-version=VersionTLS12"];
        start(&host, &flags).await.unwrap();
    })
    .unwrap();
}
