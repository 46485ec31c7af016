//! How a client uses its connections: one for everything, redialled when gone, shared fairly.
#![allow(clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use common::{DAY, PORT, Trust, any, echo, get, handshakes, in_sim, pair, request, serve, text};
use futures::{StreamExt, future::join_all};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use pki::StaticIdentity;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};
use wire::{Body, HttpClient, Peer, ServeOptions, body};
use world::sim::Sim;

#[test]
fn concurrent_first_requests_share_one_dial() {
    in_sim(|sim| async move {
        let (_, _server, http) = pair(&sim, DAY, echo).await;
        let paths: Vec<String> = (0..50).map(|n| format!("/{n}")).collect();
        let answers = join_all(paths.iter().map(|p| get(&http, p))).await;
        for (path, answer) in paths.iter().zip(answers) {
            assert_eq!(answer.expect("an answer"), format!("GET {path}"));
        }
        assert_eq!(handshakes(&sim), ["client: ok", "server: ok"], "one handshake, seen from both ends");
    });
}

#[test]
fn the_server_sees_certificate_and_name() {
    in_sim(|sim| async move {
        let (trust, _server, http) = pair(&sim, DAY, echo).await;
        assert_eq!(get(&http, "/peer").await.expect("an answer"), r#"Some("server") true "#);
        let client = sim.host("client");
        let pair = trust.issue(&client, "system:node:client", DAY);
        let identity = Arc::new(StaticIdentity::new(&pair).expect("an identity"));
        let tls = trust.client(&client).identity(identity);
        let http = HttpClient::new(&client, "https://server:6443", Some(tls)).expect("a client");
        assert_eq!(
            get(&http, "/peer").await.expect("an answer"),
            r#"Some("server") true system:node:client"#
        );
    });
}

#[test]
fn a_reset_connection_is_dialled_again() {
    in_sim(|sim| async move {
        let (_, _server, http) = pair(&sim, DAY, echo).await;
        get(&http, "/a").await.expect("an answer");
        assert_eq!(sim.reset_connections("client", "server", PORT), 1);
        // At once, before any task has noticed: the request goes to the new connection all the same.
        get(&http, "/b").await.expect("an answer");
        assert_eq!(handshakes(&sim).len(), 4);
        assert_eq!(sim.reset_connections("client", "server", PORT), 1);
        sim.elapse(Duration::from_secs(1)).await;
        let mut post = Request::post("/c").body(body::full("x")).expect("a request");
        *post.method_mut() = Method::POST;
        assert_eq!(text(http.send(post).await.expect("an answer")).await, "POST /c");
        // Nor is a body lost that exists only once.
        sim.reset_connections("client", "server", PORT);
        let once = body::stream(futures::stream::once(async { Ok(Bytes::from_static(b"x")) }));
        let put = Request::put("/d").body(once).expect("a request");
        assert_eq!(text(http.send(put).await.expect("an answer")).await, "PUT /d");
    });
}

#[test]
fn requests_on_a_dying_connection_say_why() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("server"), sim.host("client"));
        let trust = Trust::new(&server);
        let process = server.process("kube-apiserver");
        let hang = |_: Arc<Peer>, _: Request<Body>| std::future::pending::<Response<Body>>();
        let _server = serve(process.host(), trust.server(&server, "server", DAY), hang).await;
        let http =
            HttpClient::new(&client, "https://server:6443", Some(trust.client(&client))).expect("a client");

        // A control: nobody answers, the caller gives up.
        let late = http.send_within(Duration::from_secs(5), request("/v")).await.expect_err("a deadline");
        assert_eq!(late.to_string(), r#"Get "https://server:6443/v": context deadline exceeded"#);
        assert!(late.is_timeout());

        let waiting = client.spawn({
            let http = http.clone();
            async move { get(&http, "/w?watch=1").await }
        });
        sim.elapse(Duration::from_secs(1)).await;
        sim.reset_connections("client", "server", PORT);
        let reset = waiting.join().await.expect("it ran").expect_err("reset").to_string();
        let (start, end) = (
            r#"Get "https://server:6443/w?watch=1": read tcp 10.0.0.3:"#,
            "->10.0.0.2:6443: read: connection reset by peer",
        );
        assert!(reset.starts_with(start) && reset.ends_with(end), "{reset}");

        let waiting = client.spawn({
            let http = http.clone();
            async move { get(&http, "/x").await }
        });
        sim.elapse(Duration::from_secs(1)).await;
        process.kill().await;
        let killed = waiting.join().await.expect("it ran").expect_err("killed").to_string();
        assert_eq!(killed, r#"Get "https://server:6443/x": unexpected EOF"#);
        let refused = get(&http, "/x").await.expect_err("nobody listens");
        assert_eq!(
            refused.to_string(),
            r#"Get "https://server:6443/x": dial tcp server:6443: connect: connection refused"#
        );
        assert!(refused.is_connection_refused());
    });
}

#[test]
fn a_silent_connection_is_lost_after_ping_and_timeout() {
    in_sim(|sim| async move {
        let client = sim.host("client");
        let hang = |_: Arc<Peer>, _: Request<Body>| std::future::pending::<Response<Body>>();
        let (_, _server, http) = pair(&sim, DAY, hang).await;
        let waiting = client.spawn({
            let http = http.clone();
            async move { get(&http, "/w").await }
        });
        // Control: pings are answered, so nothing happens in an hour.
        sim.elapse(Duration::from_secs(3600)).await;
        assert!(!waiting.is_finished());
        let cut = client.clock().monotonic();
        sim.cut("client", "server");
        let lost = waiting.join().await.expect("it ran").expect_err("lost").to_string();
        assert_eq!(lost, r#"Get "https://server:6443/w": http2: client connection lost"#);
        let took = client.clock().monotonic().since(cut);
        assert!(
            (15..=45).contains(&took.as_secs()),
            "30 s without a frame, then 15 s for the answer: {took:?}"
        );
    });
}

#[test]
fn an_idle_connection_is_closed_and_dialled_again() {
    in_sim(|sim| async move {
        let (_, _server, http) = pair(&sim, DAY, echo).await;
        get(&http, "/a").await.expect("an answer");
        sim.elapse(Duration::from_secs(80)).await;
        get(&http, "/b").await.expect("an answer");
        assert_eq!(handshakes(&sim).len(), 2, "80 s are not idle enough");
        sim.elapse(Duration::from_secs(100)).await;
        get(&http, "/c").await.expect("an answer");
        assert_eq!(handshakes(&sim).len(), 4);
    });
}

#[test]
fn closing_the_connections_fails_requests_and_the_next_one_dials() {
    in_sim(|sim| async move {
        let client = sim.host("client");
        let hang = |_: Arc<Peer>, request: Request<Body>| async move {
            if request.uri().path() == "/hang" {
                std::future::pending::<()>().await;
            }
            Response::new(body::empty())
        };
        let (_, _server, http) = pair(&sim, DAY, hang).await;
        let waiting = client.spawn({
            let http = http.clone();
            async move { get(&http, "/hang").await }
        });
        sim.elapse(Duration::from_secs(1)).await;
        http.close_connections();
        let closed = waiting.join().await.expect("it ran").expect_err("closed").to_string();
        assert!(closed.ends_with("use of closed network connection"), "{closed}");
        get(&http, "/again").await.expect("an answer");
        assert_eq!(handshakes(&sim).len(), 4);
    });
}

/// Counts the answers that were given up.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A request is given up before, a watch in the middle of its answer: the handler must notice.
async fn giving_up(sim: &Sim, options: ServeOptions, http: HttpClient) {
    let dropped = Arc::<AtomicUsize>::default();
    let counter = dropped.clone();
    let handler = move |_: Arc<Peer>, request: Request<Body>| {
        let guard = Dropped(counter.clone());
        async move {
            if request.uri().path() == "/slow" {
                std::future::pending::<()>().await;
            }
            let first = futures::stream::once(async { Ok(Bytes::from_static(b"{}\n")) });
            Response::new(body::stream(first.chain(futures::stream::pending()).map(move |item| {
                let _held = &guard;
                item
            })))
        }
    };
    let _server = serve(&sim.host("server"), options, handler).await;
    let given_up = http.send_within(Duration::from_secs(1), request("/slow")).await;
    assert!(given_up.is_err());
    sim.elapse(Duration::from_secs(1)).await;
    assert_eq!(dropped.load(Ordering::SeqCst), 1, "before the response");

    let mut watch = http.send(request("/watch")).await.expect("an answer").into_body();
    let first = watch.frame().await.expect("a frame").expect("no error");
    assert_eq!(first.data_ref().expect("data").as_ref(), b"{}\n");
    drop(watch);
    sim.elapse(Duration::from_secs(1)).await;
    assert_eq!(dropped.load(Ordering::SeqCst), 2, "in the middle of the response");
}

#[test]
fn giving_up_closes_the_stream() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("server"), sim.host("client"));
        let trust = Trust::new(&server);
        let http =
            HttpClient::new(&client, "https://server:6443", Some(trust.client(&client))).expect("a client");
        giving_up(&sim, trust.server(&server, "server", DAY), http).await;
        assert_eq!(handshakes(&sim).len(), 2, "the connection outlives its streams");
    });
    in_sim(|sim| async move {
        let http = HttpClient::new(&sim.host("client"), "http://server:6443", None).expect("a client");
        giving_up(&sim, ServeOptions::plain(), http).await;
    });
}

#[test]
fn many_watches_given_up_do_not_wear_the_connection_out() {
    in_sim(|sim| async move {
        // Talks on, so that every goodbye crosses data on its way.
        let chatty = |_: Arc<Peer>, _: Request<Body>| async {
            Response::new(body::stream(
                futures::stream::repeat_with(|| Ok(Bytes::from(vec![b'x'; 512]))).take(32),
            ))
        };
        let (_, _server, http) = pair(&sim, DAY, chatty).await;
        for _ in 0..1200 {
            let mut watch = http.send(request("/watch")).await.expect("an answer").into_body();
            watch.frame().await.expect("a frame").expect("no error");
        }
        assert_eq!(handshakes(&sim).len(), 2, "one connection");
    });
}

#[test]
fn a_panicking_handler_ends_only_its_request() {
    in_sim(|sim| async move {
        let handler = |_: Arc<Peer>, request: Request<Body>| async move {
            assert!(request.uri().path() != "/panic", "on purpose");
            Response::new(body::full("fine"))
        };
        let (_, _server, http) = pair(&sim, DAY, handler).await;
        assert_eq!(get(&http, "/").await.expect("an answer"), "fine");
        let error = get(&http, "/panic").await.expect_err("no answer").to_string();
        assert!(error.starts_with(r#"Get "https://server:6443/panic": stream error: "#), "{error}");
        assert_eq!(get(&http, "/").await.expect("an answer"), "fine");
        assert_eq!(handshakes(&sim).len(), 2, "on the same connection");
    });
}

#[test]
fn servers_that_say_nothing_or_nonsense() {
    for (url, answer, words) in [
        ("https://server:6443", None, "net/http: TLS handshake timeout"),
        ("https://server:6443", Some(""), "EOF"),
        (
            "https://server:6443",
            Some("SSH-2.0-OpenSSH_9.6\r\n"),
            "tls: first record does not look like a TLS handshake",
        ),
        ("http://server:6443", Some(""), "EOF"),
        (
            "http://server:6443",
            Some("SSH-2.0-OpenSSH_9.6\r\n"),
            "net/http: HTTP/1.x transport connection broken: malformed HTTP response",
        ),
        ("http://server:6443", Some("HTTP/1.1 200 OK\r\nContent-Le"), "unexpected EOF"),
    ] {
        in_sim(|sim| async move {
            let (server, client) = (sim.host("server"), sim.host("client"));
            let mut listener = server.net().listen(any(PORT)).await.expect("the port is free");
            server.spawn(async move {
                let mut kept = Vec::new();
                while let Ok(mut stream) = listener.accept().await {
                    let mut buf = [0; 4096];
                    let _ = stream.read(&mut buf).await;
                    match answer {
                        Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                        None => kept.push(stream),
                    }
                }
            });
            let tls = url.starts_with("https").then(|| pki::ClientTls::new(&client, common::GO));
            let http = HttpClient::new(&client, url, tls).expect("a client");
            let began = client.clock().monotonic();
            let error = get(&http, "/").await.expect_err(words).to_string();
            assert!(error.starts_with(&format!("Get \"{url}/\": {words}")), "{error}");
            let took = client.clock().monotonic().since(began).as_secs();
            assert_eq!(took, if answer.is_none() { 10 } else { 0 });
        });
    }
}

#[test]
fn bodies_stream_both_ways_at_the_readers_pace() {
    in_sim(|sim| async move {
        // Sends back what comes in, as it comes in.
        let mirror = |_: Arc<Peer>, request: Request<Body>| async move {
            Response::new(body::stream(request.into_body().into_data_stream()))
        };
        let (_, _server, http) = pair(&sim, DAY, mirror).await;
        let produced = Arc::<AtomicUsize>::default();
        let counter = produced.clone();
        let chunks = futures::stream::iter(0..1024).map(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(Bytes::from(vec![7; 64 << 10]))
        });
        let upload = Request::post("/").body(body::stream(chunks)).expect("a request");
        let mut answer = http.send(upload).await.expect("an answer").into_body();
        sim.elapse(Duration::from_secs(5)).await;
        let ahead = produced.load(Ordering::SeqCst);
        assert!(
            (1..256).contains(&ahead),
            "nobody reads, so only the windows fill: {ahead} chunks of 64 KiB"
        );
        let mut total = 0;
        while let Some(frame) = answer.frame().await {
            total += frame.expect("no error").into_data().expect("data").len();
        }
        assert_eq!(total, 64 << 20);
    });
}

#[test]
fn more_requests_than_streams_open_a_second_connection() {
    in_sim(|sim| async move {
        let (server, client) = (sim.host("server"), sim.host("client"));
        let trust = Trust::new(&server);
        let gate = Arc::<Notify>::default();
        let open = gate.clone();
        let handler = move |_: Arc<Peer>, _: Request<Body>| {
            let gate = gate.clone();
            async move {
                gate.notified().await;
                Response::new(body::empty())
            }
        };
        let options = ServeOptions { max_streams: 10, ..trust.server(&server, "server", DAY) };
        let _server = serve(&server, options, handler).await;
        let http =
            HttpClient::new(&client, "https://server:6443", Some(trust.client(&client))).expect("a client");
        let first = client.spawn({
            let http = http.clone();
            async move { get(&http, "/").await.map(|_| ()) }
        });
        sim.elapse(Duration::from_secs(1)).await;
        let others: Vec<_> = (0..20)
            .map(|_| {
                let http = http.clone();
                client.spawn(async move { get(&http, "/").await.map(|_| ()) })
            })
            .collect();
        sim.elapse(Duration::from_secs(1)).await;
        assert_eq!(handshakes(&sim).len(), 6, "21 requests, 10 to a connection: three");
        for _ in 0..21 {
            open.notify_one();
            sim.elapse(Duration::from_millis(1)).await;
        }
        first.join().await.expect("it ran").expect("an answer");
        for other in others {
            other.join().await.expect("it ran").expect("an answer");
        }
    });
}

#[test]
fn a_crowd_at_the_first_dial_is_served_to_the_last() {
    in_sim(|sim| async move {
        let server = sim.host("server");
        let clock = server.clock().clone();
        let slow = move |_: Arc<Peer>, _: Request<Body>| {
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_secs(60)).await;
                Response::new(body::empty())
            }
        };
        let (_, _server, http) = pair(&sim, DAY, slow).await;
        let answers = join_all((0..1200).map(|_| get(&http, "/"))).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(handshakes(&sim).len(), 24, "a hundred on each of twelve connections");
    });
}

#[test]
fn a_dropped_client_closes_its_connection() {
    in_sim(|sim| async move {
        let (_, _server, http) = pair(&sim, DAY, echo).await;
        get(&http, "/").await.expect("an answer");
        drop(http);
        sim.elapse(Duration::from_secs(2)).await;
        assert_eq!(sim.reset_connections("client", "server", PORT), 0);
    });
}
