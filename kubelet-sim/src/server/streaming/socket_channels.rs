//! The streams of exec and attach over a WebSocket: each message begins with the number of its channel.
//!
//! Upstream: `cri/streaming/remotecommand/websocket.go` and `util/wsstream`.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::future::join3;
use http::{Request, Response, StatusCode};
use tokio::sync::Mutex;
use wire::{
    Body,
    upgrade::Upgraded,
    websocket::{self, Message, Receiver, Sender, Socket},
};
use world::Host;

use super::{
    become_stream,
    remote::{Wants, Work},
    terminal::{Terminal, shown},
};
use crate::{launcher::Stdio, server::text, shell::Pipe};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
/// In v5 a message of this and a channel's number closes the channel.
const CLOSE: u8 = 255;
/// How long the other end may take to say good-bye as well.
const LINGER: Duration = Duration::from_secs(5);

/// A sub-protocol: whether messages are base64, ends are told as a Status, channels can be closed.
#[derive(Clone, Copy)]
struct Protocol {
    name: &'static str,
    base64: bool,
    status: bool,
    closes: bool,
}

const fn protocol(name: &'static str, base64: bool, status: bool, closes: bool) -> Protocol {
    Protocol { name, base64, status, closes }
}

const PROTOCOLS: [Protocol; 6] = [
    protocol("", false, false, false),
    protocol("channel.k8s.io", false, false, false),
    protocol("base64.channel.k8s.io", true, false, false),
    protocol("v4.channel.k8s.io", false, true, false),
    protocol("v4.base64.channel.k8s.io", true, true, false),
    protocol("v5.channel.k8s.io", false, true, true),
];

pub(super) fn serve(
    host: &Host,
    request: &mut Request<Body>,
    wants: Wants,
    idle: Duration,
    work: Work,
) -> Response<Body> {
    let offered = websocket::offered(request.headers());
    let known = |name: &str| PROTOCOLS.into_iter().find(|p| p.name == name);
    let chosen = match offered.as_slice() {
        [] => known(""),
        offered => offered.iter().find_map(|name| known(name)),
    };
    let Some(chosen) = chosen else {
        let words = format!(
            "requested protocol(s) are not supported: {offered:?}; supports v5.channel.k8s.io and its elders"
        );
        return text(StatusCode::FORBIDDEN, &words);
    };
    let granted = websocket::grant(request.headers(), Some(chosen.name).filter(|n| !n.is_empty()));
    let response = match granted {
        Ok(response) => response,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    become_stream(host, request, idle, async move |host: Host, stream| {
        talk(&host, stream, wants, chosen, work).await;
    });
    response
}

async fn talk(host: &Host, stream: Upgraded, wants: Wants, protocol: Protocol, work: Work) {
    let (sender, mut receiver) = Socket::server(stream).await.split();
    let channels = Channels { sender: Mutex::new(sender), protocol };
    let stdio = Stdio { tty: wants.tty, ..Stdio::default() };
    if !wants.stdin {
        stdio.input.end();
    }
    // An empty message tells the client that its streams are there.
    let first = if wants.stdout {
        STDOUT
    } else if wants.stderr {
        STDERR
    } else {
        ERROR
    };
    channels.send(first, &[]).await;
    let working = async {
        let outcome = work(stdio.clone()).await;
        stdio.out.end();
        stdio.err.end();
        outcome
    };
    let out = channels.give(wants.stdout.then_some(STDOUT), &stdio.out, wants.tty);
    let err = channels.give(wants.stderr.then_some(STDERR), &stdio.err, wants.tty);
    let outcome = tokio::select! {
        biased;
        (outcome, _, _) = join3(working, out, err) => Some(outcome),
        () = channels.take(&mut receiver, &stdio, wants.stdin) => None,
    };
    stdio.out.abandon();
    stdio.err.abandon();
    stdio.input.end();
    let Some(outcome) = outcome else { return };
    if let Some(words) = outcome.written(protocol.status) {
        channels.send(ERROR, words.as_bytes()).await;
    }
    let bye = async {
        channels.sender.lock().await.close(1000, "").await;
        while let Ok(Some(_)) = receiver.next().await {}
    };
    let _ = host.clock().timeout(LINGER, bye).await;
}

struct Channels {
    sender: Mutex<Sender>,
    protocol: Protocol,
}

impl Channels {
    /// `false` if the connection has ended.
    async fn send(&self, channel: u8, bytes: &[u8]) -> bool {
        let message = if self.protocol.base64 {
            Message::Text(format!("{}{}", char::from(b'0' + channel), STANDARD.encode(bytes)))
        } else {
            let mut message = Vec::with_capacity(bytes.len() + 1);
            message.push(channel);
            message.extend_from_slice(bytes);
            Message::Binary(message.into())
        };
        self.sender.lock().await.send(message).await.is_ok()
    }

    /// Sends what comes out of a pipe, or lets it go if nobody asked for it.
    async fn give(&self, channel: Option<u8>, pipe: &Arc<Pipe>, tty: bool) {
        while let Some(bytes) = pipe.read().await {
            let bytes = if tty { shown(&bytes) } else { bytes };
            if let Some(channel) = channel
                && !self.send(channel, &bytes).await
            {
                pipe.abandon();
                return;
            }
        }
    }

    /// Takes messages until the connection ends.
    async fn take(&self, receiver: &mut Receiver, stdio: &Stdio, stdin: bool) {
        let mut terminal = Terminal::default();
        while let Ok(Some(message)) = receiver.next().await {
            match self.read(message) {
                Some((CLOSE, rest)) if self.protocol.closes => {
                    if rest.first() == Some(&STDIN) {
                        stdio.input.end();
                    }
                }
                Some((STDIN, bytes)) if stdin && stdio.tty => {
                    let typed = terminal.typed(&bytes);
                    stdio.out.put(&typed.echo);
                    stdio.input.feed(&typed.input).await;
                    if typed.end {
                        stdio.input.end();
                    }
                }
                Some((STDIN, bytes)) if stdin => drop(stdio.input.feed(&bytes).await),
                // The size of a terminal changes nothing here; other channels are ours to write.
                Some(_) => {}
                None => return,
            }
        }
    }

    /// A message's channel and content; `None` for what is neither.
    fn read(&self, message: Message) -> Option<(u8, Vec<u8>)> {
        match message {
            Message::Binary(bytes) if !self.protocol.base64 => {
                let (channel, rest) = bytes.split_first()?;
                Some((*channel, rest.to_vec()))
            }
            Message::Text(text) if self.protocol.base64 => {
                let (channel, rest) = text.as_bytes().split_first()?;
                Some((channel.wrapping_sub(b'0'), STANDARD.decode(rest).ok()?))
            }
            // Text where bytes are spoken is taken as bytes.
            Message::Text(text) => {
                let (channel, rest) = text.as_bytes().split_first()?;
                Some((*channel, rest.to_vec()))
            }
            Message::Binary(_) => None,
        }
    }
}
