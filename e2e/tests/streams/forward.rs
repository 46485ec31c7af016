//! Port-forward: to a component that listens, and to a script that does not.

use bytes::Bytes;
use chronoplane::Cluster;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::{
    spdy::{Session, Side},
    websocket::Message,
};

use crate::clients::{LIMIT, all, mirrored, open, run, socket, spdy, workstation};

const GET: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// One connection through a session: what comes back for `GET`, and what went wrong.
async fn one(session: &Session, port: &str, id: &str) -> (String, String) {
    let error = open(session, &[("streamtype", "error"), ("port", port), ("requestid", id)]).await;
    error.writer.finish().await;
    let data = open(session, &[("streamtype", "data"), ("port", port), ("requestid", id)]).await;
    // Where nobody listens the stream may be gone already.
    let _ = data.writer.write(Bytes::from_static(GET.as_bytes())).await;
    futures::future::join(all(data.reader), all(error.reader)).await
}

async fn check(session: Session, name: &str) {
    let (answer, error) = one(&session, "2381", "0").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer:?} {error:?}");
    assert!(answer.contains("\"health\":\"true\""), "{name}: {answer}");
    assert_eq!(error, "", "{name}");
    // Another connection through the same tunnel, and one to a port that nobody has.
    let (again, nobody) = futures::future::join(one(&session, "2381", "1"), one(&session, "4", "2")).await;
    assert!(again.0.starts_with("HTTP/1.1 200"), "{name}: {again:?}");
    assert_eq!(nobody.0, "", "{name}");
    assert!(nobody.1.starts_with("error forwarding port 4 to pod "), "{name}: {}", nobody.1);
    assert!(nobody.1.contains("dial tcp4 127.0.0.1:4: connect: connection refused"), "{name}: {}", nobody.1);
}

#[chronoplane::test]
async fn a_static_pods_port_is_reached_over_spdy_and_through_a_websocket(cluster: Cluster) {
    mirrored(&cluster, "etcd-cp1").await;
    let (host, client) = workstation(&cluster).await;
    let path = "/api/v1/namespaces/kube-system/pods/etcd-cp1/portforward";
    let session = spdy(&host, &client, path, "portforward.k8s.io", None).await.expect("granted");
    host.clock().timeout(LIMIT, check(session, "SPDY")).await.expect("in time");

    let tunnel = socket(&client, path, "SPDY/3.1+portforward.k8s.io", None).await.expect("granted");
    let (mut sender, mut receiver) = tunnel.split();
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (mut from, mut to) = tokio::io::split(theirs);
    host.spawn(async move {
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut chunk).await {
            let bytes = Bytes::copy_from_slice(&chunk[..n]);
            if sender.send(Message::Binary(bytes)).await.is_err() {
                return;
            }
        }
        sender.close(1000, "").await;
    });
    host.spawn(async move {
        while let Ok(Some(Message::Binary(bytes))) = receiver.next().await {
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let session = Session::new(&host, ours, Side::Client, 0);
    host.clock().timeout(LIMIT, check(session, "WebSocket")).await.expect("in time");
}

#[chronoplane::test(nodes = 1)]
async fn a_script_listens_nowhere(cluster: Cluster) {
    run(&cluster, "p", json!({"command": ["sleep", "1d"]})).await;
    let (host, client) = workstation(&cluster).await;
    let path = "/api/v1/namespaces/default/pods/p/portforward";
    let session = spdy(&host, &client, path, "portforward.k8s.io", None).await.expect("granted");
    let asking = one(&session, "10250", "0");
    let (answer, error) = host.clock().timeout(LIMIT, asking).await.expect("in time");
    assert_eq!(answer, "", "the node's own port is not the pod's");
    assert!(error.contains("connect: connection refused"), "{error}");
}

/// Clients without SPDY, before tunnels: ports in the query, two channels for each.
#[chronoplane::test]
async fn ports_of_the_query_are_channels_of_a_websocket(cluster: Cluster) {
    mirrored(&cluster, "etcd-cp1").await;
    let (host, client) = workstation(&cluster).await;
    let path = "/api/v1/namespaces/kube-system/pods/etcd-cp1/portforward?ports=2381&ports=4";
    let socket = socket(&client, path, "v4.channel.k8s.io", None).await.expect("granted");
    let (mut sender, mut receiver) = socket.split();
    sender.send(Message::Binary([&[0][..], GET.as_bytes()].concat().into())).await.expect("sent");
    let mut channels = std::collections::BTreeMap::<u8, Vec<u8>>::new();
    let all = async {
        while let Ok(Some(Message::Binary(bytes))) = receiver.next().await {
            let (channel, rest) = bytes.split_first().expect("a channel");
            channels.entry(*channel).or_default().extend_from_slice(rest);
        }
    };
    host.clock().timeout(LIMIT, all).await.expect("ends with its connections");
    let text =
        |channel: u8| String::from_utf8_lossy(channels.get(&channel).map_or(&[][..], |b| b)).into_owned();
    let begins = |port: u16| String::from_utf8_lossy(&port.to_le_bytes()).into_owned();
    assert!(text(0).starts_with(&format!("{}HTTP/1.1 200", begins(2381))), "{:?}", text(0));
    assert_eq!((text(1), text(2)), (begins(2381), begins(4)));
    assert!(text(3).contains("error forwarding port 4 to pod "), "{:?}", text(3));
}
