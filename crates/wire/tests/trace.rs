//! The same seed tells the same story.
#![allow(clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::time::Duration;

use common::{DAY, PORT, Trust, echo, get, serve};
use futures::future::join_all;
use wire::HttpClient;
use world::sim::{Config, run};

/// Three clients, resets, a cut and an expiry; returns the trace as text.
fn story(seed: u64) -> Vec<String> {
    run(Config { seed, ..Config::default() }, |sim| async move {
        let server = sim.host("server");
        let trust = Trust::new(&server);
        let _server = serve(&server, trust.server(&server, "server", DAY / 2), echo).await;
        let clients: Vec<HttpClient> = (0..3)
            .map(|n| {
                let host = sim.host(&format!("client-{n}"));
                HttpClient::new(&host, "https://server:6443", Some(trust.client(&host))).expect("a client")
            })
            .collect();
        for round in 0..20 {
            let asked = join_all(clients.iter().flat_map(|http| (0..5).map(move |_| get(http, "/")))).await;
            for answer in asked {
                let text = answer.unwrap_or_else(|e| e.to_string());
                server.record("answer", vec![("text", text)]);
            }
            match round % 4 {
                1 => drop(sim.reset_connections("client-1", "server", PORT)),
                2 => {
                    sim.cut("client-2", "server");
                    sim.elapse(Duration::from_secs(50)).await;
                    sim.heal("client-2", "server");
                }
                _ => sim.elapse(Duration::from_secs(7200)).await,
            }
        }
        sim.events().iter().map(ToString::to_string).collect()
    })
    .expect("a runtime")
}

#[test]
fn one_seed_one_trace() {
    let first = story(7);
    assert!(
        first.iter().any(|e| e.contains("certificate has expired")),
        "the story is long enough to see the end"
    );
    assert!(first.iter().filter(|e| e.contains("handshake")).count() > 20);
    assert_eq!(first, story(7));
    assert_ne!(first, story(8), "serial numbers come from the seed");
    let leaks = ["BEGIN", "PRIVATE", "32768"];
    assert!(!first.iter().filter(|e| e.contains(" handshake ")).any(|e| leaks.iter().any(|l| e.contains(l))));
}
