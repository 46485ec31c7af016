//! SPDY connections: streams in both directions, limits, and ends.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::in_sim;
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::spdy::{Closed, Reader, Session, Side};

const LIMIT: Duration = Duration::from_secs(30);

fn named(name: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("streamtype", HeaderValue::from_str(name).expect("a value"));
    headers
}

async fn all(mut reader: Reader) -> Vec<u8> {
    let mut found = Vec::new();
    while let Some(bytes) = reader.read().await {
        found.extend_from_slice(&bytes);
    }
    found
}

#[test]
fn streams_carry_bytes_both_ways_and_end_on_each_side_by_itself() {
    in_sim(async |sim| {
        let host = sim.host("a");
        let (ours, theirs) = tokio::io::duplex(1 << 10);
        let client = Session::new(&host, ours, Side::Client, 0);
        let mut server = Session::new(&host, theirs, Side::Server, 8);
        let inner = host.clone();
        host.spawn(async move {
            while let Some(mut stream) = server.accept().await {
                let kind = stream.headers.get("streamtype").cloned();
                inner.spawn(async move {
                    while let Some(bytes) = stream.reader.read().await {
                        stream.writer.write(bytes).await.expect("taken");
                    }
                    let kind = kind.expect("a kind");
                    stream.writer.write(Bytes::copy_from_slice(kind.as_bytes())).await.expect("taken");
                    stream.writer.finish().await;
                });
            }
        });
        let long = vec![7_u8; 300_000];
        let talk = async |name: &str| {
            let stream = client.open(named(name)).await.expect("granted");
            let sending = async {
                stream.writer.write(Bytes::copy_from_slice(&long)).await.expect("taken");
                stream.writer.finish().await;
            };
            let (back, ()) = futures::future::join(all(stream.reader), sending).await;
            assert_eq!(back.len(), long.len() + name.len());
            assert!(back.ends_with(name.as_bytes()));
            assert_eq!(stream.writer.write(Bytes::from_static(b"late")).await, Err(Closed));
        };
        let both = futures::future::join(talk("one"), talk("two"));
        host.clock().timeout(LIMIT, both).await.expect("in time");
        // More than the limit, one after the other: what has ended does not count.
        for i in 0..20 {
            host.clock().timeout(LIMIT, talk(&format!("again {i}"))).await.expect("in time");
        }
    });
}

#[test]
fn more_streams_than_agreed_are_refused_and_the_others_go_on() {
    in_sim(async |sim| {
        let host = sim.host("a");
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let client = Session::new(&host, ours, Side::Client, 0);
        let mut server = Session::new(&host, theirs, Side::Server, 2);
        let one = client.open(named("one")).await.expect("granted");
        let _two = client.open(named("two")).await.expect("granted");
        assert_eq!(client.open(named("three")).await.err(), Some(Closed));
        let first = server.accept().await.expect("there");
        first.writer.write(Bytes::from_static(b"hello")).await.expect("taken");
        first.writer.finish().await;
        assert_eq!(all(one.reader).await, b"hello");
    });
}

#[test]
fn the_end_of_a_connection_reaches_everybody_on_it() {
    in_sim(async |sim| {
        let host = sim.host("a");
        for orderly in [true, false] {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let client = Session::new(&host, ours, Side::Client, 0);
            let mut server = Session::new(&host, theirs, Side::Server, 8);
            let mut stream = client.open(named("one")).await.expect("granted");
            let there = server.accept().await.expect("there");
            there.writer.write(Bytes::from_static(b"last words")).await.expect("taken");
            if orderly {
                host.clock().timeout(LIMIT, server.close()).await.expect("in time");
                assert_eq!(stream.reader.read().await.as_deref(), Some(&b"last words"[..]));
            } else {
                drop(server);
            }
            let ended = async {
                while stream.reader.read().await.is_some() {}
                client.ended().await;
            };
            host.clock().timeout(LIMIT, ended).await.expect("in time");
            assert_eq!(client.open(named("late")).await.err(), Some(Closed));
            assert_eq!(stream.writer.write(Bytes::from_static(b"late")).await, Err(Closed));
        }
    });
}

#[test]
fn noise_ends_its_connection_and_nothing_else() {
    in_sim(async |sim| {
        let host = sim.host("a");
        let noises: [&[u8]; 4] = [
            b"GET / HTTP/1.1\r\n\r\n",
            // A stream of the wrong side.
            &[0x80, 3, 0, 1, 0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0],
            &[0x80, 2, 0, 1, 0, 0, 0, 10],
            &[0x80, 3, 0, 1, 0xff, 0xff, 0xff, 0xff],
        ];
        for noise in noises {
            let (mut ours, theirs) = tokio::io::duplex(1 << 16);
            let mut server = Session::new(&host, theirs, Side::Server, 8);
            ours.write_all(noise).await.expect("written");
            ours.shutdown().await.expect("shut");
            let ended = host.clock().timeout(LIMIT, server.accept()).await.expect("in time");
            assert!(ended.is_none(), "{noise:?}");
            let mut rest = Vec::new();
            let read = host.clock().timeout(LIMIT, ours.read_to_end(&mut rest)).await;
            read.expect("in time").expect("read");
        }
    });
}
