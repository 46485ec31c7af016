//! Exec and attach: a WebSocket with v5's channels on the client's side, SPDY's streams on the kubelet's
//! (`apimachinery/pkg/util/proxy/streamtranslator.go`, KEP 4006).

use std::time::Duration;

use bytes::Bytes;
use futures::future::{OptionFuture, join3};
use http::{HeaderMap, HeaderValue, Response};
use tokio::sync::Mutex;
use wire::{
    Body,
    spdy::{Reader, Session, Side, Stream, Writer},
    upgrade::{self, Upgraded},
    websocket::{self, Message, Receiver, Sender, Socket},
};
use world::Host;

use super::{Asked, refused};
use crate::pipeline::{Open, Query, Refusal};

/// What a client offers who can do this.
pub(super) const PROTOCOL: &str = "v5.channel.k8s.io";
const KUBELETS: [&str; 4] = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// A message of this and a channel's number closes the channel.
const CLOSE: u8 = 255;
/// A Status is not longer than this.
const LONGEST_STATUS: usize = 1 << 20;
/// How long the client may take to say good-bye as well.
const LINGER: Duration = Duration::from_secs(5);

/// Which streams are asked for.
#[derive(Clone, Copy)]
pub(super) struct Wants {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Wants {
    pub(super) fn new(query: &Query) -> Self {
        let tty = query.truthy("tty");
        let (stdin, stdout) = (query.truthy("stdin"), query.truthy("stdout"));
        Self { stdin, stdout, stderr: query.truthy("stderr") && !tty, tty }
    }
}

pub(super) async fn serve(mut asked: Asked, wants: Wants) -> Result<Response<Body>, Refusal> {
    let response = websocket::grant(&asked.headers, Some(PROTOCOL));
    let mut response = response.map_err(|why| Refusal::from(api::status::Status::bad_request(why)))?;
    let (answer, kubelet) = asked.spdy(&KUBELETS).await?;
    let Some(kubelet) = kubelet else { return Ok(refused(answer)) };
    let (pending, host) = (upgrade::of_request(&mut asked.ours), asked.ctx.host.clone());
    let inner = host.clone();
    let open = Open::default();
    open.of(&mut response);
    host.spawn(async move {
        let _open = open;
        if let Some(client) = pending.await {
            carry(&inner, Socket::server(client).await, kubelet, wants).await;
        }
    });
    Ok(response)
}

async fn carry(host: &Host, client: Socket, kubelet: Upgraded, wants: Wants) {
    let (sender, mut receiver) = client.split();
    let client = Mutex::new(sender);
    // The kubelet opens nothing.
    let session = Session::new(host, kubelet, Side::Client, 0);
    let open = |kind: &'static str, wanted: bool| {
        let session = &session;
        async move {
            let mut headers = HeaderMap::new();
            headers.insert("streamtype", HeaderValue::from_static(kind));
            if wanted { session.open(headers).await.ok() } else { None }
        }
    };
    let Some(error) = open("error", true).await else { return };
    let stdin = open("stdin", wants.stdin).await;
    let stdout = open("stdout", wants.stdout).await;
    let stderr = open("stderr", wants.stderr).await;
    let resize = open("resize", wants.tty).await;
    let first = if wants.stdout {
        STDOUT
    } else if wants.stderr {
        STDERR
    } else {
        ERROR
    };
    send(&client, first, &[]).await;

    let Stream { reader: mut status, writer: error, .. } = error;
    // Nothing comes from here on these.
    error.finish().await;
    let show = |stream: Option<Stream>, channel: u8| {
        OptionFuture::from(stream.map(|s| show(&client, s.reader, channel, s.writer)))
    };
    let ended = async {
        let mut words = Vec::new();
        while let Some(bytes) = status.read().await {
            words.extend_from_slice(&bytes);
            words.truncate(LONGEST_STATUS);
        }
        words
    };
    let (stdin, resize) = (stdin.map(|s| s.writer), resize.map(|s| s.writer));
    tokio::select! {
        biased;
        (words, _, _) = join3(ended, show(stdout, STDOUT), show(stderr, STDERR)) => {
            send(&client, ERROR, &words).await;
        }
        () = take(&mut receiver, stdin.as_ref(), resize.as_ref()) => {}
    }
    let bye = async {
        client.lock().await.close(1000, "").await;
        while let Ok(Some(_)) = receiver.next().await {}
    };
    let _ = host.clock().timeout(LINGER, futures::future::join(bye, session.close())).await;
}

async fn send(client: &Mutex<Sender>, channel: u8, bytes: &[u8]) -> bool {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    client.lock().await.send(Message::Binary(message.into())).await.is_ok()
}

/// What the kubelet sends on a stream the client gets on a channel.
async fn show(client: &Mutex<Sender>, mut reader: Reader, channel: u8, writer: Writer) {
    while let Some(bytes) = reader.read().await {
        if !send(client, channel, &bytes).await {
            return;
        }
    }
    writer.finish().await;
}

/// Takes the client's messages until it is gone.
async fn take(receiver: &mut Receiver, stdin: Option<&Writer>, resize: Option<&Writer>) {
    let to = |channel: u8| match channel {
        STDIN => stdin,
        RESIZE => resize,
        _ => None,
    };
    while let Ok(Some(message)) = receiver.next().await {
        let Message::Binary(bytes) = message else { continue };
        match bytes.split_first() {
            Some((&CLOSE, [channel, ..])) => {
                if let Some(writer) = to(*channel) {
                    writer.finish().await;
                }
            }
            Some((channel, rest)) => {
                if let Some(writer) = to(*channel) {
                    // A command that reads no more may still say something.
                    let _ = writer.write(Bytes::copy_from_slice(rest)).await;
                }
            }
            None => {}
        }
    }
}
