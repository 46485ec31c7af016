//! Port-forward: pairs of streams, one for bytes and one for what went wrong, each pair one connection
//! to a port of the pod.
//!
//! Upstream: `cri/streaming/portforward/httpstream.go`; the words of a port that
//! nobody listens on are containerd's.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use wire::{
    Body,
    spdy::{Session, Side, Stream},
    upgrade::Upgraded,
    websocket,
};
use world::Host;

use super::{become_stream, forward_channels, handshake};
use crate::pods::Worker;

const PROTOCOL: &str = "portforward.k8s.io";
/// Two for each connection through the tunnel.
const MOST_STREAMS: usize = 256;
/// How long the second stream of a pair may take.
const PAIRING: Duration = Duration::from_secs(30);
/// How long a client may go on when the pod has ended its side (containerd).
const PARTING: Duration = Duration::from_secs(1);
const CHUNK: usize = 16 << 10;

pub(super) fn serve(
    host: &Host,
    request: &mut Request<Body>,
    given: &[(String, String)],
    worker: &Arc<Worker>,
    idle: Duration,
) -> Response<Body> {
    if websocket::is_asked(request.headers()) {
        return forward_channels::serve(host, request, given, worker, idle);
    }
    let (response, _) = match handshake::spdy(request.headers(), &[PROTOCOL]) {
        Ok(agreed) => agreed,
        Err(refused) => return *refused,
    };
    let worker = worker.clone();
    become_stream(host, request, idle, async move |host: Host, stream| talk(&host, stream, &worker).await);
    response
}

/// A pair that is not complete yet.
#[derive(Default)]
struct Pair {
    data: Option<Stream>,
    error: Option<Stream>,
}

async fn talk(host: &Host, stream: Upgraded, worker: &Worker) {
    let mut session = Session::new(host, stream, Side::Server, MOST_STREAMS);
    let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
    let (mut open, mut waits) = (FuturesUnordered::new(), FuturesUnordered::new());
    loop {
        tokio::select! {
            biased;
            stream = session.accept() => {
                let Some(stream) = stream else { return };
                let header = |name: &str| {
                    stream.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
                };
                let (id, kind, port) = (header("requestid"), header("streamtype"), header("port"));
                let Ok(port) = port.parse::<u16>() else {
                    tracing::error!("\"port\" header is required, got {port:?}");
                    stream.writer.reset().await;
                    continue;
                };
                let new = !pairs.contains_key(&id);
                let pair = pairs.entry(id.clone()).or_default();
                match kind.as_str() {
                    "data" if pair.data.is_none() => pair.data = Some(stream),
                    "error" if pair.error.is_none() => pair.error = Some(stream),
                    kind => {
                        tracing::error!("invalid stream type {kind:?}");
                        stream.writer.reset().await;
                    }
                }
                match pairs.remove(&id) {
                    Some(Pair { data: Some(data), error: Some(error) }) => {
                        open.push(forward(host, worker, port, data, error));
                    }
                    Some(pair) => {
                        pairs.insert(id.clone(), pair);
                        if new {
                            waits.push(async move {
                                host.clock().sleep(PAIRING).await;
                                id
                            });
                        }
                    }
                    None => {}
                }
            }
            Some(()) = open.next(), if !open.is_empty() => {}
            Some(id) = waits.next(), if !waits.is_empty() => {
                if let Some(Pair { data, error }) = pairs.remove(&id) {
                    tracing::error!("(request {id:?}) timed out waiting for streams");
                    for stream in [data, error].into_iter().flatten() {
                        stream.writer.reset().await;
                    }
                }
            }
        }
    }
}

/// One connection, from its streams to its end.
async fn forward(host: &Host, worker: &Worker, port: u16, data: Stream, error: Stream) {
    match connect(host, worker, port).await {
        Ok(connection) => {
            let (reading, writing) = tokio::io::split(connection);
            let Stream { reader, writer, .. } = data;
            let (mut up, mut down) = (pin!(send(reader, writing)), pin!(receive(reading, &writer)));
            tokio::select! {
                biased;
                // A client may have said all that it had to say and still listen; the other way round
                // there is nobody to talk to.
                () = down.as_mut() => {
                    let _ = host.clock().timeout(PARTING, up).await;
                }
                () = up.as_mut() => down.await,
            }
        }
        Err(why) => {
            let words = not_forwarded(worker, port, &why);
            tracing::error!("{words}");
            // Whoever has gone by now need not be told.
            let _ = error.writer.write(words.into()).await;
            data.writer.reset().await;
        }
    }
    error.writer.finish().await;
}

/// What a client hears of a port that cannot be reached.
pub(super) fn not_forwarded(worker: &Worker, port: u16, why: &str) -> String {
    format!("error forwarding port {port} to pod {}, uid : {why}", worker.sandbox_id())
}

async fn send(mut reader: wire::spdy::Reader, mut to: WriteHalf<world::Stream>) {
    while let Some(bytes) = reader.read().await {
        if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn receive(mut from: ReadHalf<world::Stream>, writer: &wire::spdy::Writer) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(n) = from.read(&mut chunk).await {
        if n == 0
            || writer.write(bytes::Bytes::copy_from_slice(chunk.get(..n).unwrap_or_default())).await.is_err()
        {
            break;
        }
    }
    writer.finish().await;
}

/// A connection to `port` inside the pod. Only what shares its host's network listens anywhere.
pub(super) async fn connect(host: &Host, worker: &Worker, port: u16) -> Result<world::Stream, String> {
    let namespace = if worker.host_network() {
        "host".to_owned()
    } else {
        format!("/var/run/netns/cni-{}", worker.uid())
    };
    let refused = || {
        format!(
            "failed to execute portforward in network namespace {namespace:?}: failed to connect to localhost:{port} inside namespace {:?}, IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused IPv6 dial tcp6 [::1]:{port}: connect: connection refused ",
            worker.sandbox_id()
        )
    };
    if !worker.host_network() {
        return Err(refused());
    }
    match host.net().dial("127.0.0.1", port).await {
        Ok(stream) => Ok(stream),
        // A component may listen on its node's address alone.
        Err(_) => host.net().dial(worker.address(), port).await.map_err(|_| refused()),
    }
}
