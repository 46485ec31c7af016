//! How a client uses its connections where HTTP/2 is not spoken: one request at a time on each.
#![allow(clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{DAY, PORT, Trust, get, handshakes, in_sim, serve};
use futures::future::join_all;
use http::{Request, Response};
use pki::StaticIdentity;
use wire::{Body, HttpClient, Peer, ServeOptions, body};

#[test]
fn closing_reaches_connections_in_use_on_http1_too() {
    in_sim(|sim| async move {
        let hang = |_: Arc<Peer>, _: Request<Body>| std::future::pending::<Response<Body>>();
        let _server = serve(&sim.host("server"), ServeOptions::plain(), hang).await;
        let client = sim.host("client");
        let http = HttpClient::new(&client, "http://server:6443", None).expect("a client");
        let waiting = client.spawn({
            let http = http.clone();
            async move { get(&http, "/").await }
        });
        sim.elapse(Duration::from_secs(1)).await;
        http.close_connections();
        let closed = waiting.join().await.expect("it ran").expect_err("closed").to_string();
        assert!(closed.ends_with("use of closed network connection"), "{closed}");
    });
}

#[test]
fn plain_http1_keeps_connections_and_survives_their_death() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("server"), sim.host("client"));
        let process = server.process("web");
        let handler = |peer: Arc<Peer>, request: Request<Body>| async move {
            Response::new(body::full(format!("{} {}", peer.remote.port(), request.uri())))
        };
        let _server = serve(process.host(), ServeOptions::plain(), handler).await;
        let http = HttpClient::new(&client, "http://server:6443", None).expect("a client");
        let port = |answer: String| answer.split_once(' ').expect("port and path").0.to_owned();
        let first = port(get(&http, "/a?x=1").await.expect("an answer"));
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(port(get(&http, "/b").await.expect("an answer")), first, "kept alive");
        sim.elapse(Duration::from_secs(1)).await;
        sim.reset_connections("client", "server", PORT);
        let second = port(get(&http, "/c").await.expect("sent again on a new connection"));
        assert_ne!(second, first);
        let both = join_all([get(&http, "/d"), get(&http, "/e")]).await;
        let ports: Vec<String> = both.into_iter().map(|a| port(a.expect("an answer"))).collect();
        assert_ne!(ports[0], ports[1], "one request at a time on HTTP/1.1");
        process.kill().await;
        sim.elapse(Duration::from_secs(1)).await;
        let refused = get(&http, "/f").await.expect_err("nobody listens").to_string();
        assert_eq!(
            refused,
            r#"Get "http://server:6443/f": dial tcp server:6443: connect: connection refused"#
        );
    });
}

#[test]
fn http1_over_tls_when_the_server_does_not_speak_http2() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("server"), sim.host("client"));
        let trust = Trust::new(&server);
        let pair = trust.issue(&server, "server", DAY);
        let identity = Arc::new(StaticIdentity::new(&pair).expect("an identity"));
        let config = pki::ServerTls::new(&server).default_cert(identity).alpn(&[b"http/1.1"]).config();
        let version = |_: Arc<Peer>, request: Request<Body>| async move {
            Response::new(body::full(format!("{:?}", request.version())))
        };
        let _server = serve(&server, ServeOptions::tls(move || config.clone()), version).await;
        let http =
            HttpClient::new(&client, "https://server:6443", Some(trust.client(&client))).expect("a client");
        let answers = join_all((0..5).map(|_| get(&http, "/"))).await;
        assert!(answers.into_iter().all(|a| a.expect("an answer") == "HTTP/1.1"));
        let made = handshakes(&sim).len();
        sim.elapse(Duration::from_secs(1)).await;
        get(&http, "/").await.expect("an answer");
        assert_eq!(handshakes(&sim).len(), made, "an idle connection is used");
    });
}
