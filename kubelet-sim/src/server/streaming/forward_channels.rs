//! Port-forward over a WebSocket, the way before tunnels: the ports are in the query, and each has two channels,
//! one for bytes and one for what went wrong, which both begin with its number.
//!
//! Upstream: `cri/streaming/portforward/websocket.go`.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::future::join_all;
use http::{Request, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Mutex,
};
use wire::{
    Body,
    upgrade::Upgraded,
    websocket::{self, Message, Receiver, Sender, Socket},
};
use world::Host;

use super::{
    become_stream,
    forward::{connect, not_forwarded},
};
use crate::{pods::Worker, server::text, shell::Pipe};

/// Sub-protocols, and whether their messages are base64.
const PROTOCOLS: [(&str, bool); 3] =
    [("", false), ("v4.channel.k8s.io", false), ("v4.base64.channel.k8s.io", true)];
/// Channels are numbered by a byte, and in base64 by a digit.
const MOST_PORTS: usize = 100;
const CHUNK: usize = 16 << 10;

pub(super) fn serve(
    host: &Host,
    request: &mut Request<Body>,
    given: &[(String, String)],
    worker: &Arc<Worker>,
    idle: Duration,
) -> Response<Body> {
    let ports = match ports(given) {
        Ok(ports) => ports,
        Err(why) => return text(StatusCode::BAD_REQUEST, &why),
    };
    let offered = websocket::offered(request.headers());
    let known = |name: &str| PROTOCOLS.into_iter().find(|(known, _)| *known == name);
    let chosen = match offered.as_slice() {
        [] => known(""),
        offered => offered.iter().find_map(|name| known(name)),
    };
    let Some((name, base64)) = chosen else {
        let words =
            format!("requested protocol(s) are not supported: {offered:?}; supports v4.channel.k8s.io");
        return text(StatusCode::FORBIDDEN, &words);
    };
    let response = match websocket::grant(request.headers(), Some(name).filter(|n| !n.is_empty())) {
        Ok(response) => response,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    let worker = worker.clone();
    become_stream(host, request, idle, async move |host: Host, stream| {
        talk(&host, stream, &worker, &ports, base64).await;
    });
    response
}

/// V4Options: the ports of the query.
///
/// # Errors
/// Upstream's words.
fn ports(given: &[(String, String)]) -> Result<Vec<u16>, String> {
    let all: Vec<&str> =
        given.iter().filter(|(name, _)| name == "port").flat_map(|(_, value)| value.split(',')).collect();
    if all.is_empty() {
        return Err("query parameter \"port\" is required".into());
    }
    if all.len() > MOST_PORTS {
        return Err(format!("more than {MOST_PORTS} ports"));
    }
    all.into_iter()
        .map(|text| match text.parse::<u16>() {
            Ok(0) => Err(format!("port {text:?} must be > 0")),
            Ok(port) => Ok(port),
            Err(_) => Err(format!("unable to parse {text:?} as a port")),
        })
        .collect()
}

async fn talk(host: &Host, stream: Upgraded, worker: &Worker, ports: &[u16], base64: bool) {
    let (sender, mut receiver) = Socket::server(stream).await.split();
    let channels = Channels { sender: Mutex::new(sender), base64 };
    let inputs: Vec<Arc<Pipe>> = ports.iter().map(|_| Pipe::new()).collect();
    let forwards = ports.iter().zip(&inputs).enumerate().map(|(n, (port, input))| {
        let first = u8::try_from(n * 2).unwrap_or(u8::MAX);
        channels.forward(host, worker, *port, first, input)
    });
    tokio::select! {
        biased;
        _ = join_all(forwards) => {}
        () = channels.take(&mut receiver, &inputs) => {}
    }
    channels.sender.lock().await.close(1000, "").await;
}

struct Channels {
    sender: Mutex<Sender>,
    base64: bool,
}

impl Channels {
    /// `false` if the connection has ended.
    async fn send(&self, channel: u8, bytes: &[u8]) -> bool {
        let message = if self.base64 {
            Message::Text(format!("{}{}", char::from(b'0' + channel), STANDARD.encode(bytes)))
        } else {
            Message::Binary([&[channel][..], bytes].concat().into())
        };
        self.sender.lock().await.send(message).await.is_ok()
    }

    /// One port, from its channels' first messages to its connection's end.
    async fn forward(&self, host: &Host, worker: &Worker, port: u16, data: u8, input: &Pipe) {
        for channel in [data, data + 1] {
            self.send(channel, &port.to_le_bytes()).await;
        }
        let connection = match connect(host, worker, port).await {
            Ok(connection) => connection,
            Err(why) => {
                let words = not_forwarded(worker, port, &why);
                tracing::error!("{words}");
                self.send(data + 1, words.as_bytes()).await;
                // What still comes for it must not hold up the other ports.
                input.abandon();
                return;
            }
        };
        let (mut reading, mut writing) = tokio::io::split(connection);
        let up = async {
            while let Some(bytes) = input.read().await {
                if writing.write_all(&bytes).await.is_err() || writing.flush().await.is_err() {
                    return;
                }
            }
        };
        let down = async {
            let mut chunk = vec![0; CHUNK];
            while let Ok(n @ 1..) = reading.read(&mut chunk).await {
                if !self.send(data, chunk.get(..n).unwrap_or_default()).await {
                    return;
                }
            }
        };
        // Channels cannot be closed one by one: where one direction ends, so does the port.
        tokio::select! {
            biased;
            () = down => {}
            () = up => {}
        }
        input.abandon();
    }

    /// Hands each port what is sent to it, until the connection ends.
    async fn take(&self, receiver: &mut Receiver, inputs: &[Arc<Pipe>]) {
        while let Ok(Some(message)) = receiver.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Text(text) => text.into_bytes(),
            };
            let Some((channel, rest)) = bytes.split_first() else { continue };
            let (channel, rest) = match self.base64 {
                true => match STANDARD.decode(rest) {
                    Ok(rest) => (channel.wrapping_sub(b'0'), rest),
                    Err(_) => return,
                },
                false => (*channel, rest.to_vec()),
            };
            // The odd ones are ours to write.
            if let Some(input) = inputs.get(usize::from(channel / 2)).filter(|_| channel % 2 == 0) {
                input.feed(&rest).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_in_the_query() {
        let check = |query: &str, expected: Result<&[u16], &str>| {
            let found = ports(&super::super::pairs(query));
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{query}");
        };
        check("port=80&port=443", Ok(&[80, 443]));
        check("port=80,443", Ok(&[80, 443]));
        check("", Err("query parameter \"port\" is required"));
        check("port=0", Err("port \"0\" must be > 0"));
        check("port=http", Err("unable to parse \"http\" as a port"));
    }
}
