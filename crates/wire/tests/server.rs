//! What a server does with clients that are rude, slow or wrong: it answers as Go's would, and lives. And how it lets
//! them go.
#![allow(clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{DAY, PORT, Trust, any, echo, get, handshakes, in_sim, pair, raw, request, serve, text};
use http::{Request, Response, StatusCode};
use jiff::SignedDuration;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::{Body, HttpClient, Peer, ServeOptions, body};
use world::sim::Sim;

/// Sends `bytes` to a TLS and to a plain server, checks how their answers begin; afterwards both must
/// still serve.
fn check(bytes: &[u8], tls_answer: &str, plain_answer: &str) {
    let bytes = bytes.to_vec();
    in_sim(|sim| async move {
        let (secure, plain, client) = (sim.host("secure"), sim.host("plain"), sim.host("client"));
        let trust = Trust::new(&secure);
        let _one = serve(&secure, trust.server(&secure, "secure", DAY), echo).await;
        let _two = serve(&plain, ServeOptions::plain(), echo).await;
        for (host, expected) in [(&secure, tls_answer), (&plain, plain_answer)] {
            let answer = raw(&client, host, PORT, &bytes).await;
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            assert!(answer.starts_with(expected), "{shown:?} to {}: {answer:?}", host.name());
        }
        let secure =
            HttpClient::new(&client, "https://secure:6443", Some(trust.client(&client))).expect("a client");
        assert_eq!(get(&secure, "/still").await.expect("an answer"), "GET /still");
        let plain = HttpClient::new(&client, "http://plain:6443", None).expect("a client");
        assert_eq!(get(&plain, "/still").await.expect("an answer"), "GET /still");
    });
}

const TO_HTTPS: &str = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
const BAD: &str = "HTTP/1.1 400 Bad Request\r\n";

#[test]
fn plain_http_to_a_tls_port_is_told_so() {
    for start in ["GET / ", "HEAD /", "POST /x", "PUT /x", "OPTIONS *"] {
        let request = format!("{start} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        check(request.as_bytes(), TO_HTTPS, "HTTP/1.1 ");
    }
}

#[test]
fn malformed_http_gets_400() {
    check(b"GET / HTTP/1.1\r\nbad header\r\n\r\n", TO_HTTPS, BAD);
    check(b"GET / HTTP/9.9\r\n\r\n", TO_HTTPS, BAD);
    check(b"GET /\x00\x01 HTTP/1.1\r\n\r\n", TO_HTTPS, BAD);
    check(b"\x00\x01\x02\x03\x04\x05\x06\x07\r\n\r\n", "", BAD);
    check(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", TO_HTTPS, BAD);
    check(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", TO_HTTPS, BAD);
}

#[test]
fn a_head_that_is_too_large_gets_431() {
    let huge = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Huge: {}\r\n\r\n", "x".repeat(2 << 20));
    check(huge.as_bytes(), TO_HTTPS, "HTTP/1.1 431 Request Header Fields Too Large\r\n");
    let fits = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Large: {}\r\n\r\n",
        "x".repeat(900 << 10)
    );
    check(fits.as_bytes(), TO_HTTPS, "HTTP/1.1 200 OK\r\n");
}

#[test]
fn a_head_that_is_too_large_gets_431_on_http2() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("server"), sim.host("client"));
        let trust = Trust::new(&server);
        let _server = serve(&server, trust.server(&server, "server", DAY), echo).await;
        let http =
            HttpClient::new(&client, "https://server:6443", Some(trust.client(&client))).expect("a client");
        get(&http, "/").await.expect("an answer");
        let with = |size: usize| {
            Request::get("/").header("x-large", "x".repeat(size)).body(body::empty()).expect("a request")
        };
        assert_eq!(http.send(with(900 << 10)).await.expect("an answer").status(), StatusCode::OK);
        assert_eq!(
            http.send(with(1100 << 10)).await.expect("an answer").status(),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        );
        assert_eq!(get(&http, "/still").await.expect("an answer"), "GET /still");
        assert_eq!(handshakes(&sim).len(), 2, "on the same connection");
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]
    /// No bytes end more than their own connection. The first byte of a TLS handshake, or of HTTP,
    /// leads deeper into the parsers than noise does.
    #[test]
    fn garbage_ends_only_its_connection(start in prop_oneof![Just(&b""[..]), Just(&b"\x16\x03\x01"[..]), Just(&b"GET / HTTP/1.1\r\n"[..]), Just(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..])], noise in prop::collection::vec(proptest::arbitrary::any::<u8>(), 5..200)) {
        check(&[start, &noise].concat(), "", "");
    }
}

/// Opens a connection, sends `parts` a second apart, and measures in virtual time how long after the
/// last one the server closes it.
async fn closed_after(sim: &Sim, parts: &[&[u8]]) -> u64 {
    let (server, client) = (sim.host("server"), sim.host("client"));
    let mut stream = client.net().dial("server", PORT).await.expect("somebody listens");
    let mut began = server.clock().monotonic();
    for part in parts {
        sim.elapse(Duration::from_secs(1)).await;
        began = server.clock().monotonic();
        stream.write_all(part).await.expect("the other end reads");
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an orderly end");
    server.clock().monotonic().since(began).as_secs()
}

#[test]
fn patience_ends_in_virtual_time() {
    in_sim(|sim| async move {
        let server = sim.host("server");
        let _server = serve(&server, ServeOptions::plain(), echo).await;
        let whole = &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..];
        for (what, parts, seconds) in [
            ("nothing at all", &[][..], 32),
            ("half a head, counted from the beginning", &[&b"GET / HTTP/1.1\r\nHos"[..]], 31),
            ("a request, then nothing", &[whole], 90),
            ("a request, then half a head", &[whole, b"GET"], 32),
            ("two requests, then nothing", &[whole, whole], 90),
        ] {
            assert_eq!(closed_after(&sim, parts).await, seconds, "{what}");
        }
    });
    in_sim(|sim| async move {
        let server = sim.host("server");
        let trust = Trust::new(&server);
        let _server = serve(&server, trust.server(&server, "server", DAY), echo).await;
        assert_eq!(closed_after(&sim, &[]).await, 32, "no handshake");
        assert_eq!(closed_after(&sim, &[b"\x16\x03\x01\x02"]).await, 31, "half a handshake");
        assert_eq!(handshakes(&sim), ["server: i/o timeout", "server: i/o timeout"]);
    });
}

#[test]
fn the_date_is_the_hosts() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("server"), sim.host("client"));
        let trust = Trust::new(&server);
        let _server = serve(&server, trust.server(&server, "server", 365 * DAY), echo).await;
        let http =
            HttpClient::new(&client, "https://server:6443", Some(trust.client(&client))).expect("a client");
        let date = async || {
            let response = http.send(request("/")).await.expect("an answer");
            response.headers().get("date").expect("a date").to_str().expect("text").to_owned()
        };
        assert_eq!(date().await, "Thu, 01 Jan 2026 00:00:00 GMT");
        sim.step("server", SignedDuration::from_hours(-49));
        sim.elapse(Duration::from_secs(5)).await;
        assert_eq!(date().await, "Mon, 29 Dec 2025 23:00:05 GMT");
    });
}

#[test]
fn handlers_learn_of_http1_upgrades() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("server"), sim.host("client"));
        let trust = Trust::new(&server);
        let host = server.clone();
        let handler = move |_: Arc<Peer>, mut request: Request<Body>| {
            let host = host.clone();
            async move {
                if !request.headers().contains_key("upgrade") {
                    return Response::builder()
                        .status(400)
                        .body(body::full("upgrade request required"))
                        .expect("a response");
                }
                let stream = wire::upgrade::of_request(&mut request);
                host.spawn(async move {
                    let mut stream = stream.await.expect("an upgraded stream");
                    let mut word = [0; 4];
                    stream.read_exact(&mut word).await.expect("four bytes");
                    stream.write_all(&word.map(|b| b.to_ascii_uppercase())).await.expect("a reader");
                    stream.shutdown().await.expect("a reader");
                });
                Response::builder()
                    .status(StatusCode::SWITCHING_PROTOCOLS)
                    .header("connection", "Upgrade")
                    .header("upgrade", "echo")
                    .body(body::empty())
                    .expect("a response")
            }
        };
        let _server = serve(&server, trust.server(&server, "server", DAY), handler).await;
        let http =
            HttpClient::new(&client, "https://server:6443", Some(trust.client(&client))).expect("a client");
        let (refused, none) = http.upgrade(request("/")).await.expect("an answer");
        assert!(none.is_none());
        assert_eq!(text(refused).await, "upgrade request required");
        let ask = Request::get("/")
            .header("connection", "Upgrade")
            .header("upgrade", "echo")
            .body(body::empty())
            .expect("a request");
        let (response, stream) = http.upgrade(ask).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut stream = stream.expect("a stream");
        stream.write_all(b"ping").await.expect("a reader");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an end");
        assert_eq!(answer, "PING");
    });
}

#[test]
fn a_killed_process_closes_everything() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("server"), sim.host("client"));
        let trust = Trust::new(&server);
        let process = server.process("kube-apiserver");
        let _server = serve(process.host(), trust.server(&server, "server", DAY), echo).await;
        let http =
            HttpClient::new(&client, "https://server:6443", Some(trust.client(&client))).expect("a client");
        get(&http, "/").await.expect("an answer");
        process.kill().await;
        assert!(server.net().listen(common::any(PORT)).await.is_ok(), "the port is free");
        assert!(get(&http, "/").await.is_err());
    });
}

#[test]
fn a_handler_that_says_close_sends_the_client_away() {
    in_sim(|sim| async move {
        let handler = |_: Arc<Peer>, _: Request<Body>| async {
            Response::builder()
                .status(StatusCode::UNAUTHORIZED)
                .header("Connection", "close")
                .body(body::full("no"))
                .expect("a response")
        };
        let (_, _server, http) = pair(&sim, DAY, handler).await;
        for n in 1..=3 {
            let response = http.send(request("/")).await.expect("an answer");
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert!(response.headers().get("connection").is_none(), "HTTP/2 has no such header");
            assert_eq!(text(response).await, "no");
            sim.elapse(Duration::from_millis(10)).await;
            assert_eq!(handshakes(&sim).len(), 2 * n, "each request dials");
        }
    });
}

#[test]
fn shutdown_lets_requests_end_within_its_grace() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("server"), sim.host("client"));
        let clock = server.clock().clone();
        let handler = move |_: Arc<Peer>, request: Request<Body>| {
            let clock = clock.clone();
            async move {
                let seconds = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
                clock.sleep(Duration::from_secs(seconds)).await;
                Response::new(body::full("done"))
            }
        };
        let (_, running, http) = pair(&sim, DAY, handler).await;
        let ask = |path: &'static str| {
            let http = http.clone();
            client.spawn(async move { get(&http, path).await })
        };
        let (quick, endless) = (ask("/20"), ask("/3600"));
        sim.elapse(Duration::from_secs(1)).await;
        let began = server.clock().monotonic();
        let stopping = server.spawn({
            let server = server.clone();
            async move { running.shutdown(&server, Duration::from_secs(60)).await }
        });
        sim.elapse(Duration::from_secs(1)).await;
        assert!(server.net().listen(any(PORT)).await.is_ok(), "the port is free at once");
        assert_eq!(quick.join().await.expect("it ran").expect("an answer"), "done");
        stopping.join().await.expect("it ends");
        assert_eq!(server.clock().monotonic().since(began).as_secs(), 60);
        let cut = endless.join().await.expect("it ran").expect_err("cut").to_string();
        assert!(cut.starts_with(r#"Get "https://server:6443/3600": "#), "{cut}");
    });
}

#[test]
fn shutdown_of_an_idle_server_does_not_wait_for_the_grace() {
    in_sim(|sim| async move {
        let (_, running, http) = pair(&sim, DAY, echo).await;
        get(&http, "/").await.expect("an answer");
        let server = sim.host("server");
        let began = server.clock().monotonic();
        running.shutdown(&server, Duration::from_secs(60)).await;
        let took = server.clock().monotonic().since(began);
        assert!(took <= Duration::from_secs(1), "{took:?}");
        let refused = get(&http, "/").await.expect_err("nobody listens");
        assert!(refused.is_connection_refused(), "{refused}");
    });
}
