//! Real handshakes on simulated hosts: who refuses whom, by which clock, in which words.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use pki::{
    Authority, CertifiedKey, ClientTls, FileIdentity, Roots, ServerTls, SharedIdentity, StaticIdentity,
};
use world::sim::{Config, Sim, run};

use crate::gear::*;

struct Fixture {
    ca: Authority,
    server: CertifiedKey,
}

impl Fixture {
    fn new() -> Self {
        let ca = authority("kubernetes");
        let server = issue(&ca, &leaf_spec());
        Self { ca, server }
    }

    fn roots(&self) -> Roots {
        self.ca.certificate.clone().into()
    }

    fn client(&self, sim: &Sim) -> ClientTls {
        ClientTls::new(&sim.host("client"), GO_NOW).roots(self.roots())
    }

    fn server(&self, sim: &Sim) -> ServerTls {
        let identity = StaticIdentity::new(&self.server).unwrap();
        ServerTls::new(&sim.host("server"))
            .default_cert(Arc::new(identity))
            .request_client_cert(Some(self.roots()))
    }
}

/// A world that begins in the middle of the certificates' June.
fn story<F, Fut>(story: F)
where
    F: FnOnce(Sim, Fixture) -> Fut,
    Fut: Future<Output = ()>,
{
    let config = Config { start: at("2026-06-15T00:00:00Z"), ..Config::default() };
    run(config, |sim| story(sim, Fixture::new())).unwrap();
}

#[test]
fn a_good_certificate_is_accepted() {
    story(|sim, f| async move {
        for name in ["node", "x.svc", "10.0.0.1"] {
            let outcome = handshake(&f.client(&sim), &f.server(&sim), name).await;
            assert_eq!(outcome.client.unwrap(), f.server.chain, "{name}");
            assert_eq!(outcome.server.unwrap(), [], "{name}: an anonymous client");
            assert_eq!(outcome.alpn.as_deref(), Some(&b"h2"[..]));
        }
    });
}

#[test]
fn the_clients_own_clock_decides() {
    story(|sim, f| async move {
        // The server's clock is a year ahead, and nobody asks it.
        sim.step("server", SignedDuration::from_hours(24 * 365));
        assert!(handshake(&f.client(&sim), &f.server(&sim), "node").await.client.is_ok());

        sim.step("client", SignedDuration::from_hours(24 * 365));
        let outcome = handshake(&f.client(&sim), &f.server(&sim), "node").await;
        assert_eq!(
            outcome.client.unwrap_err(),
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time \
             2027-06-15T00:00:00Z is after 2026-07-01T00:00:00Z"
        );
        assert_eq!(outcome.server.unwrap_err(), "remote error: tls: bad certificate");

        // The test switch: with it the same handshake passes.
        let careless = f.client(&sim).check_dates(false);
        assert!(handshake(&careless, &f.server(&sim), "node").await.client.is_ok());

        sim.step("client", SignedDuration::from_hours(-24 * 380));
        let outcome = handshake(&f.client(&sim), &f.server(&sim), "node").await;
        assert!(outcome.client.unwrap_err().contains("is before 2026-06-01T00:00:00Z"));
    });
}

#[test]
fn time_that_passes_ends_it_too() {
    story(|sim, f| async move {
        let (client, server) = (f.client(&sim), f.server(&sim));
        // One configuration for all: nothing about time is frozen into it.
        let configs = (client.config(&[b"h2"]), server.config());
        assert!(handshake_with(&client, &configs.0, &configs.1, "node").await.client.is_ok());
        sim.elapse(Duration::from_secs(16 * 24 * 3600)).await;
        assert!(
            handshake_with(&client, &configs.0, &configs.1, "node").await.client.is_ok(),
            "the last instant"
        );
        sim.elapse(Duration::from_secs(1)).await;
        let outcome = handshake_with(&client, &configs.0, &configs.1, "node").await;
        assert!(outcome.client.unwrap_err().contains("is after 2026-07-01T00:00:00Z"));
    });
}

#[test]
fn no_session_is_resumed() {
    story(|sim, f| async move {
        let (client, server) = (f.client(&sim), f.server(&sim));
        let configs = (client.config(&[b"h2"]), server.config());
        for _ in 0..3 {
            let outcome = handshake_with(&client, &configs.0, &configs.1, "node").await;
            assert!(outcome.client.is_ok() && !outcome.resumed);
        }
    });
}

#[test]
fn wrong_names_and_strangers_are_refused() {
    story(|sim, f| async move {
        let stranger =
            ClientTls::new(&sim.host("client"), GO_NOW).roots(authority("other").certificate.into());
        let old = ClientTls::new(&sim.host("client"), (1, 19)).roots(f.roots());
        let prefix = "tls: failed to verify certificate: ";
        let rows = [
            (
                f.client(&sim),
                "other",
                format!("{prefix}x509: certificate is valid for node, *.svc, not other"),
            ),
            (
                f.client(&sim),
                "10.9.9.9",
                format!("{prefix}x509: certificate is valid for 10.0.0.1, not 10.9.9.9"),
            ),
            (
                f.client(&sim).server_name("elsewhere"),
                "node",
                format!("{prefix}x509: certificate is valid for node, *.svc, not elsewhere"),
            ),
            (stranger, "node", format!("{prefix}x509: certificate signed by unknown authority")),
            (old, "other", "x509: certificate is valid for node, *.svc, not other".to_owned()),
        ];
        for (client, name, want) in rows {
            let outcome = handshake(&client, &f.server(&sim), name).await;
            assert_eq!(outcome.client.unwrap_err(), want);
            assert_eq!(outcome.server.unwrap_err(), "remote error: tls: bad certificate");
        }
    });
}

#[test]
fn the_insecure_accept_anyone() {
    story(|sim, f| async move {
        sim.step("client", SignedDuration::from_hours(24 * 3650));
        let client = ClientTls::new(&sim.host("client"), GO_NOW).insecure();
        assert!(handshake(&client, &f.server(&sim), "no.such.name").await.client.is_ok());
    });
}

#[test]
fn client_certificates_are_taken_as_they_come() {
    story(|sim, f| async move {
        let strangers = authority("strangers");
        for ca in [&f.ca, &strangers] {
            let pair = issue(ca, &client_spec("jane", &["devs"]));
            let client = f.client(&sim).identity(Arc::new(StaticIdentity::new(&pair).unwrap()));
            // Long expired by the server's clock, and still no failed handshake: it is a 401 later.
            sim.step("server", SignedDuration::from_hours(24 * 365));
            let outcome = handshake(&client, &f.server(&sim), "node").await;
            assert_eq!(outcome.server.unwrap(), pair.chain);
            assert!(outcome.client.is_ok());
        }
    });
}

#[test]
fn a_client_must_hold_the_key_it_shows() {
    story(|sim, f| async move {
        let admin = issue(&f.ca, &client_spec("kubernetes-admin", &["system:masters"]));
        let thief = issue(&f.ca, &client_spec("jane", &[]));
        // The admin's certificate with another key.
        let forged = CertifiedKey { chain: admin.chain, key: thief.key };
        let client = f.client(&sim).identity(Arc::new(StaticIdentity::new(&forged).unwrap()));
        let outcome = handshake(&client, &f.server(&sim), "node").await;
        assert!(outcome.server.is_err(), "{outcome:?}");
    });
}

#[test]
fn a_server_may_demand_a_certificate() {
    story(|sim, f| async move {
        let identity = StaticIdentity::new(&f.server).unwrap();
        let etcd = ServerTls::new(&sim.host("server"))
            .default_cert(Arc::new(identity))
            .require_client_cert(f.roots());
        let with =
            |pair: &CertifiedKey| f.client(&sim).identity(Arc::new(StaticIdentity::new(pair).unwrap()));
        let good = issue(&f.ca, &client_spec("kube-apiserver-etcd-client", &[]));
        let outcome = handshake(&with(&good), &etcd, "node").await;
        assert_eq!(outcome.server.unwrap(), good.chain);

        let expired = pki::CertSpec { not_after: at("2026-06-14T00:00:00Z"), ..client_spec("late", &[]) };
        let rows = [
            (f.client(&sim), "remote error: tls: certificate required"),
            (with(&issue(&f.ca, &expired)), "remote error: tls: expired certificate"),
            (
                with(&issue(&authority("x"), &client_spec("x", &[]))),
                "remote error: tls: unknown certificate authority",
            ),
            (with(&issue(&f.ca, &leaf_spec())), "remote error: tls: bad certificate"),
        ];
        for (client, want) in rows {
            assert_eq!(handshake(&client, &etcd, "node").await.client.unwrap_err(), want);
        }
    });
}

#[test]
fn a_new_certificate_takes_effect_with_the_next_handshake() {
    story(|sim, f| async move {
        let shared = SharedIdentity::empty();
        let server = ServerTls::new(&sim.host("server")).default_cert(Arc::new(shared.clone()));
        let client = f.client(&sim);
        let configs = (client.config(&[b"h2"]), server.config());
        assert!(
            handshake_with(&client, &configs.0, &configs.1, "node").await.client.is_err(),
            "nothing to serve yet"
        );
        for _ in 0..2 {
            let pair = issue(&f.ca, &leaf_spec());
            shared.set(Some(&pair)).unwrap();
            let outcome = handshake_with(&client, &configs.0, &configs.1, "node").await;
            assert_eq!(outcome.client.unwrap(), pair.chain);
        }
    });
}

#[test]
fn files_are_read_again_and_bad_content_is_passed_over() {
    story(|sim, f| async move {
        let disk = sim.host("client").disk().clone();
        let path = "/var/lib/kubelet/pki/kubelet-client-current.pem";
        let files = Arc::new(FileIdentity::new(&disk, path, path));
        let client = f.client(&sim).identity(files.clone());
        let shown = async || handshake(&client, &f.server(&sim), "node").await.server.unwrap();
        assert_eq!(shown().await, [], "not there yet: nothing is shown");
        assert!(files.refresh().unwrap_err().to_string().contains("no such file or directory"));

        let first = issue(&f.ca, &client_spec("system:node:n1", &["system:nodes"]));
        disk.write(path, first.chain_pem() + &first.key_pem(), 0o600).unwrap();
        assert_eq!(shown().await, first.chain);

        let second = issue(&f.ca, &client_spec("system:node:n1", &["system:nodes"]));
        // Half of the swap is done: the old pair stays in use.
        disk.write(path, second.chain_pem() + &first.key_pem(), 0o600).unwrap();
        let error = files.refresh().unwrap_err().to_string();
        assert_eq!(error, format!("{path}: tls: private key does not match public key"));
        assert_eq!(shown().await, first.chain);
        disk.write(path, second.chain_pem() + &second.key_pem(), 0o600).unwrap();
        assert_eq!(shown().await, second.chain);
    });
}

#[test]
fn what_rustls_lacks_is_refused_by_name() {
    story(|sim, f| async move {
        let server = |name: &str| f.server(&sim).min_version(name).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(server("VersionTLS13"), Ok(()));
        assert_eq!(server("VersionTLS12"), Ok(()));
        assert!(server("VersionTLS10").unwrap_err().contains("VersionTLS10"));
        assert_eq!(server("SSL3").unwrap_err(), "unknown tls version \"SSL3\"");

        let suites = |names: &[&str]| {
            f.server(&sim).cipher_suites(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
        };
        let error = suites(&["TLS_RSA_WITH_AES_128_CBC_SHA"]).unwrap_err().to_string();
        assert!(error.contains("TLS_RSA_WITH_AES_128_CBC_SHA"), "{error}");
        let strict = suites(&["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]).unwrap();
        assert!(handshake(&f.client(&sim), &strict, "node").await.client.is_ok());

        let newest_only = f.server(&sim).min_version("VersionTLS13").unwrap();
        assert!(handshake(&f.client(&sim), &newest_only, "node").await.client.is_ok());
    });
}
