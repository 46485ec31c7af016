//! The same code on TCP and the system's clock.
#![allow(clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::time::Duration;

use common::{DAY, Trust, echo, get, serve};
use jiff::SignedDuration;
use wire::HttpClient;
use world::real::{Block, Real};

#[test]
fn requests_expiry_and_shutdown_on_tcp() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let root = tempfile::tempdir().expect("a directory");
        let real = Real::new(root.path().to_owned(), Block::reserve().expect("addresses"));
        let server = real.host("server").expect("a host");
        let client = real.host("client").expect("a host");
        let trust = Trust::new(&server);
        let running = serve(&server, trust.server(&server, "server", 30 * DAY), echo).await;
        let http =
            HttpClient::new(&client, "https://server:6443", Some(trust.client(&client))).expect("a client");
        for n in 0..20 {
            assert_eq!(get(&http, &format!("/{n}")).await.expect("an answer"), format!("GET /{n}"));
        }
        let plain = HttpClient::new(&client, "http://server:6443", None).expect("a client");
        assert_eq!(
            get(&plain, "/").await.expect("an answer"),
            "Client sent an HTTP request to an HTTPS server.\n"
        );

        real.step("client", SignedDuration::from_hours(24 * 31));
        get(&http, "/").await.expect("the open connection goes on");
        http.close_connections();
        let error = get(&http, "/").await.expect_err("expired by the client's clock").to_string();
        assert!(error.contains("x509: certificate has expired or is not yet valid: current time"), "{error}");
        real.step("client", SignedDuration::from_hours(-24 * 31));
        get(&http, "/").await.expect("an answer");

        running.shutdown(&server, Duration::from_secs(5)).await;
        let refused = get(&http, "/").await.expect_err("nobody listens");
        assert!(refused.is_connection_refused(), "{refused}");
    });
}
