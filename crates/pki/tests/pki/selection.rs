//! Which certificate is served to whom: the rows of facts/loopback.md §3.

use std::{net::IpAddr, sync::Arc};

use pki::{Authority, CertSpec, CertifiedKey, ClientTls, ServerTls, StaticIdentity};
use world::sim::{Config, run};

use crate::gear::*;

fn named(ca: &Authority, common_name: &str, dns: &[&str], ips: &[&str]) -> CertifiedKey {
    let spec = CertSpec {
        common_name: common_name.into(),
        dns_names: dns.iter().map(|n| (*n).to_owned()).collect(),
        ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        ..leaf_spec()
    };
    issue(ca, &spec)
}

fn identity(pair: &CertifiedKey) -> Arc<StaticIdentity> {
    Arc::new(StaticIdentity::new(pair).unwrap())
}

/// A server with a default, the loopback certificate, and what `--tls-sni-cert-key` may bring.
fn server(host: &world::Host, with_default: bool) -> ServerTls {
    let ca = authority("kubernetes");
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let mut server = ServerTls::new(host);
    if with_default {
        server = server.default_cert(identity(&named(
            &ca,
            "default",
            &["apiserver", "both.example"],
            &["10.0.0.1"],
        )));
    }
    server
        .sni("apiserver-loopback-client", &named(&ca, "loopback", &["apiserver-loopback-client"], &[]))
        .unwrap()
        .sni_identity(
            &names(&["foo.example", "*.bar.example", "apiserver-loopback-client"]),
            identity(&named(&ca, "explicit", &["x"], &[])),
        )
        .sni_identity(&names(&["10.0.0.9"]), identity(&named(&ca, "address", &["y"], &[])))
        .sni_identity(
            &[],
            identity(&named(
                &ca,
                "own.example",
                &["alt.example", "foo.example", "*.wild.example"],
                &["10.0.0.8"],
            )),
        )
        .sni_identity(&[], identity(&named(&ca, "second", &["alt.example", "later.example"], &[])))
}

fn check(with_default: bool, dialled: &str, local: Option<&str>, want: &str) {
    let (dialled, local) = (dialled.to_owned(), local.map(|ip| ip.parse::<IpAddr>().unwrap()));
    let got = run(Config::default(), |sim| async move {
        let client = ClientTls::new(&sim.host("client"), GO_NOW).insecure();
        let server = server(&sim.host("server"), with_default);
        let configs = (client.config(&[]), server.config_at(local));
        let outcome = handshake_with(&client, &configs.0, &configs.1, &dialled).await;
        (dialled, outcome.client.unwrap().remove(0).subject_cn().to_owned())
    });
    let (dialled, got) = got.unwrap();
    assert_eq!(got, want, "dialled {dialled} (local {local:?}, default: {with_default})");
}

#[test]
fn by_name() {
    check(true, "apiserver-loopback-client", None, "loopback");
    check(true, "APISERVER-loopback-client", None, "loopback");
    check(true, "foo.example", None, "explicit");
    check(true, "a.bar.example", None, "explicit");
    check(true, "a.b.bar.example", None, "default");
    check(true, "own.example", None, "own.example");
    check(true, "alt.example", None, "own.example");
    check(true, "later.example", None, "second");
    check(true, "q.wild.example", None, "own.example");
    check(true, "apiserver", None, "default");
    check(true, "nobody.knows", None, "default");
    // Not a name on the command line, but the certificate is valid for it.
    check(true, "x", None, "explicit");
    check(true, "both.example", None, "default");
}

#[test]
fn by_address() {
    check(true, "10.0.0.1", None, "default");
    check(true, "10.0.0.1", Some("10.0.0.1"), "default");
    check(true, "10.0.0.9", Some("10.0.0.9"), "address");
    // Addresses inside certificates are left out on purpose.
    check(true, "10.0.0.8", Some("10.0.0.8"), "default");
    // The server's own address counts, not what the client dialled.
    check(true, "10.0.0.9", Some("10.0.0.1"), "default");
    // A name wins over the address.
    check(true, "foo.example", Some("10.0.0.9"), "explicit");
}

#[test]
fn without_a_default_the_first_takes_its_place() {
    check(false, "10.0.0.1", None, "loopback");
    check(false, "nobody.knows", None, "loopback");
    check(false, "foo.example", None, "explicit");
}
