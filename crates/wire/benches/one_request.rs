//! What one request costs: HTTP/2 over TLS between two hosts of a simulated world, in memory.
//!
//! `cargo bench -p chronoplane-wire`
#![allow(clippy::expect_used, reason = "a benchmark that cannot be set up has failed")]
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{DAY, Trust, echo, get, serve};
use criterion::{Criterion, criterion_group, criterion_main};
use futures::future::join_all;
use wire::HttpClient;
use world::sim::{Config, Sim};

fn one_request(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (sim, trust, http) = runtime.block_on(async {
        let sim = Sim::new(Config::default());
        let (server, client) = (sim.host("server"), sim.host("client"));
        let trust = Trust::new(&server);
        let _server = serve(&server, trust.server(&server, "server", 3650 * DAY), echo).await;
        let http =
            HttpClient::new(&client, "https://server:6443", Some(trust.client(&client))).expect("a client");
        get(&http, "/").await.expect("an answer");
        (sim, trust, http)
    });
    c.bench_function("one_request", |b| {
        b.to_async(&runtime).iter(|| async { get(&http, "/").await.expect("an answer") });
    });
    c.bench_function("fifty_requests_at_once", |b| {
        b.to_async(&runtime).iter(|| async { join_all((0..50).map(|_| get(&http, "/"))).await });
    });
    c.bench_function("handshake_and_one_request", |b| {
        b.to_async(&runtime).iter(|| async {
            let client = sim.host("client");
            let http = HttpClient::new(&client, "https://server:6443", Some(trust.client(&client)))
                .expect("a client");
            get(&http, "/").await.expect("an answer")
        });
    });
}

criterion_group!(benches, one_request);
criterion_main!(benches);
