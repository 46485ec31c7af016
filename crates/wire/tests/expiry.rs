//! The heart of the loopback story: a certificate ends, and nothing happens until a connection does.
#![allow(clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{DAY, PORT, Trust, echo, get, handshakes, in_sim, serve};
use jiff::SignedDuration;
use pki::{ClientTls, StaticIdentity};
use wire::{Cause, HttpClient};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

#[test]
fn an_open_connection_outlives_the_certificate_and_a_new_one_does_not() {
    for (go, prefix) in [((1, 19), ""), ((1, 20), "tls: failed to verify certificate: ")] {
        in_sim(|sim| async move {
            let server = sim.host("control-plane");
            let trust = Trust::new(&server);
            let _server =
                serve(&server, trust.server(&server, "apiserver-loopback-client", YEAR), echo).await;
            let tls =
                ClientTls::new(&server, go).roots(trust.roots()).server_name("apiserver-loopback-client");
            let http = HttpClient::new(&server, "https://127.0.0.1:6443", Some(tls)).expect("a client");
            get(&http, "/livez").await.expect("an answer");
            // Past the end, by a wall step: no connection is idle for so long.
            sim.step("control-plane", SignedDuration::from_hours(24 * 365 + 1));
            assert_eq!(get(&http, "/livez").await.expect("the old connection"), "GET /livez");
            assert_eq!(handshakes(&sim).len(), 2, "the old connection");

            assert_eq!(sim.reset_connections("control-plane", "control-plane", PORT), 1);
            sim.elapse(Duration::from_secs(3)).await;
            let error =
                get(&http, "/api/v1/namespaces/default/limitranges?limit=500").await.expect_err("expired");
            assert!(error.is_certificate());
            assert_eq!(
                error.to_string(),
                format!(
                    "Get \"https://127.0.0.1:6443/api/v1/namespaces/default/limitranges?limit=500\": {prefix}x509: \
                     certificate has expired or is not yet valid: current time 2027-01-01T01:00:03Z is after \
                     2027-01-01T00:00:00Z"
                )
            );
            let last = handshakes(&sim).split_off(2);
            assert_eq!(last.len(), 2, "both ends say so");
            assert!(last.contains(&"server: remote error: tls: bad certificate".to_owned()), "{last:?}");
            // Whoever does not look at dates goes on: the control that shows what the failure rests on.
            let blind =
                ClientTls::new(&server, go).roots(trust.roots()).server_name("apiserver-loopback-client");
            let http = HttpClient::new(&server, "https://127.0.0.1:6443", Some(blind.check_dates(false)))
                .expect("a client");
            get(&http, "/livez").await.expect("an answer");
        });
    }
}

#[test]
fn a_year_passes_with_the_connection_in_use() {
    in_sim(|sim| async move {
        let server = sim.host("control-plane");
        let trust = Trust::new(&server);
        let _server = serve(&server, trust.server(&server, "apiserver-loopback-client", 2 * DAY), echo).await;
        let tls =
            ClientTls::new(&server, common::GO).roots(trust.roots()).server_name("apiserver-loopback-client");
        let http = HttpClient::new(&server, "https://127.0.0.1:6443", Some(tls)).expect("a client");
        for _ in 0..72 {
            for _ in 0..60 {
                get(&http, "/livez").await.expect("an answer");
                sim.elapse(Duration::from_secs(60)).await;
            }
        }
        assert_eq!(handshakes(&sim).len(), 2, "three days, a request a minute, one handshake");
        sim.elapse(Duration::from_secs(100)).await;
        let error = get(&http, "/livez").await.expect_err("idle for too long, and the certificate is over");
        assert!(error.is_certificate(), "{error}");
    });
}

/// Every way in which a client can be refused, in Go's words.
#[test]
fn refusals_in_gos_words() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("server"), sim.host("client"));
        let trust = Trust::new(&server);
        let _server = serve(&server, trust.server(&server, "server", DAY), echo).await;
        let plain = sim.host("plain");
        let _plain = serve(&plain, wire::ServeOptions::plain(), echo).await;
        let stranger = Trust::new(&client);
        let ours = || ClientTls::new(&client, common::GO).roots(trust.roots());
        let cases = [
            (
                "https://server:6443",
                ours().server_name("kubernetes"),
                "tls: failed to verify certificate: x509: certificate is valid for server, not kubernetes",
            ),
            (
                "https://server:6443",
                ours().roots(stranger.roots()),
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            ),
            ("https://plain:6443", ours(), "http: server gave HTTP response to HTTPS client"),
            ("https://server:7443", ours(), "dial tcp server:7443: connect: connection refused"),
            ("https://nowhere:6443", ours(), "dial tcp: lookup nowhere: no such host"),
            ("https://10.9.9.9:6443", ours(), "dial tcp 10.9.9.9:6443: i/o timeout"),
        ];
        for (url, tls, words) in cases {
            let http = HttpClient::new(&client, url, Some(tls)).expect("a client");
            let error = get(&http, "/api?x=1").await.expect_err(url).to_string();
            assert!(error.starts_with(&format!("Get \"{url}/api?x=1\": {words}")), "{error}");
        }
        let http = HttpClient::new(&client, "http://server:6443", None).expect("a client");
        assert_eq!(
            get(&http, "/").await.expect("Go's answer"),
            "Client sent an HTTP request to an HTTPS server.\n"
        );
    });
}

/// A server that verifies at the handshake, as etcd does, says no by an alert.
#[test]
fn a_server_that_requires_certificates_refuses_by_alert() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("etcd"), sim.host("client"));
        let trust = Trust::new(&server);
        let pair = trust.issue(&server, "etcd", DAY);
        let identity = Arc::new(StaticIdentity::new(&pair).expect("an identity"));
        let config =
            pki::ServerTls::new(&server).default_cert(identity).require_client_cert(trust.roots()).config();
        let _server = serve(&server, wire::ServeOptions::tls(move || config.clone()), echo).await;
        let http =
            HttpClient::new(&client, "https://etcd:6443", Some(trust.client(&client))).expect("a client");
        let error = get(&http, "/").await.expect_err("no certificate");
        assert!(matches!(error.cause(), Some(Cause::Alert(_))), "{error}");
        assert_eq!(error.to_string(), r#"Get "https://etcd:6443/": remote error: tls: certificate required"#);
        let identity =
            Arc::new(StaticIdentity::new(&trust.issue(&client, "root", DAY)).expect("an identity"));
        let http =
            HttpClient::new(&client, "https://etcd:6443", Some(trust.client(&client).identity(identity)))
                .expect("a client");
        get(&http, "/").await.expect("an answer");
    });
}

#[test]
fn addresses_that_are_none() {
    in_sim(|sim| async move {
        let host = sim.host("a");
        for (url, words) in [
            ("ftp://x:1", "parse \"ftp://x:1\": unsupported protocol scheme; use https:// or http://"),
            ("https://x:99999", "parse \"https://x:99999\": invalid port after host"),
            ("https://", "parse \"https://\": no Host in request URL"),
            ("https://x:1", "parse \"https://x:1\": an https:// server needs TLS settings"),
        ] {
            assert_eq!(HttpClient::new(&host, url, None).expect_err(url).to_string(), words);
        }
    });
}
