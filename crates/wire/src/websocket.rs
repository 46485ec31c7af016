//! WebSocket (RFC 6455) over an upgraded connection, both ends. Framing is tungstenite's; the handshake
//! is a request and an answer of our own HTTP.
//!
//! Masks of clients are tungstenite's chance, not the host's: they hide bytes from proxies and appear
//! in no trace.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{Body, Error, HttpClient, body, upgrade::Upgraded};

/// A longer message ends the connection.
const LONGEST: usize = 4 << 20;
/// What both ends hash with a client's key (RFC 6455, 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// An open connection.
pub struct Socket(WebSocketStream<Upgraded>);

/// Its sending direction.
pub struct Sender(SplitSink<WebSocketStream<Upgraded>, tungstenite::Message>);

/// Its receiving direction.
pub struct Receiver(SplitStream<WebSocketStream<Upgraded>>);

/// Why nothing can be sent or received any more.
#[derive(Debug, thiserror::Error)]
#[error("websocket: {0}")]
pub struct Ended(String);

/// Whether a request asks for a WebSocket.
pub fn is_asked(headers: &HeaderMap) -> bool {
    lists(headers, header::CONNECTION, "upgrade") && lists(headers, header::UPGRADE, "websocket")
}

fn lists(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(word))
}

/// The sub-protocols that a request offers, in its order.
pub fn offered(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).map(str::trim).filter(|v| !v.is_empty()).collect()
}

/// The answer that grants a request with these headers, with the chosen sub-protocol.
///
/// # Errors
/// What the request lacks.
pub fn grant(headers: &HeaderMap, protocol: Option<&str>) -> Result<Response<Body>, &'static str> {
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|v| v.as_bytes() != b"13") {
        return Err("missing or bad WebSocket Version");
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or("missing WebSocket key")?;
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let out = response.headers_mut();
    out.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    out.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(&accept_key(key.as_bytes()));
    out.insert(header::SEC_WEBSOCKET_ACCEPT, accept.map_err(|_| "bad WebSocket key")?);
    if let Some(protocol) = protocol {
        let chosen = HeaderValue::from_str(protocol).map_err(|_| "bad WebSocket protocol")?;
        out.insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    Ok(response)
}

fn accept_key(key: &[u8]) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(GUID.as_bytes());
    STANDARD.encode(hash.finish())
}

/// Asks `request`'s URL for a WebSocket with one of `protocols`. Another answer than a grant comes
/// without a socket.
///
/// # Errors
/// No answer.
pub async fn connect(
    client: &HttpClient,
    mut request: Request<Body>,
    protocols: &[&str],
) -> Result<(Response<Body>, Option<Socket>), Error> {
    let mut nonce = [0; 16];
    client.host().entropy().fill(&mut nonce);
    let key = STANDARD.encode(nonce);
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    if let Ok(key) = HeaderValue::from_str(&key) {
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
    }
    if !protocols.is_empty()
        && let Ok(all) = HeaderValue::from_str(&protocols.join(", "))
    {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, all);
    }
    let (response, stream) = client.upgrade(request).await?;
    let proven = response
        .headers()
        .get(header::SEC_WEBSOCKET_ACCEPT)
        .is_some_and(|v| v.as_bytes() == accept_key(key.as_bytes()).as_bytes());
    let socket = match stream.filter(|_| proven) {
        Some(stream) => Some(Socket::new(stream, Role::Client).await),
        None => None,
    };
    Ok((response, socket))
}

impl Socket {
    /// The server's end, once its grant is out.
    pub async fn server(stream: Upgraded) -> Self {
        Self::new(stream, Role::Server).await
    }

    async fn new(stream: Upgraded, role: Role) -> Self {
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = 16 << 10;
        config.max_message_size = Some(LONGEST);
        config.max_frame_size = Some(LONGEST);
        Self(WebSocketStream::from_raw_socket(stream, role, Some(config)).await)
    }

    /// Both directions.
    pub fn split(self) -> (Sender, Receiver) {
        let (sender, receiver) = self.0.split();
        (Sender(sender), Receiver(receiver))
    }
}

impl Sender {
    /// Sends one message, as soon as the connection has room for it.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn send(&mut self, message: Message) -> Result<(), Ended> {
        let message = match message {
            Message::Text(text) => tungstenite::Message::text(text),
            Message::Binary(bytes) => tungstenite::Message::Binary(bytes),
        };
        self.0.send(message).await.map_err(|e| Ended(e.to_string()))
    }

    /// Says good-bye: with code 1000, or with another one and why.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        // Whoever has gone need not be told.
        let _ = self.0.send(tungstenite::Message::Close(Some(frame))).await;
    }
}

impl Receiver {
    /// The next message; `None` when the other end has said good-bye. Pings are answered on the way.
    ///
    /// # Errors
    /// The connection broke, or the other end sent what RFC 6455 forbids or what is too long.
    pub async fn next(&mut self) -> Result<Option<Message>, Ended> {
        while let Some(message) = self.0.next().await {
            match message.map_err(|e| Ended(e.to_string()))? {
                tungstenite::Message::Text(text) => {
                    return Ok(Some(Message::Text(text.as_str().to_owned())));
                }
                tungstenite::Message::Binary(bytes) => return Ok(Some(Message::Binary(bytes))),
                tungstenite::Message::Close(_) => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Socket")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_the_rfc_says() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn requests_are_recognised_and_offers_read() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.append(*name, HeaderValue::from_static(value));
            }
            map
        };
        let asked = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]);
        assert!(is_asked(&asked));
        assert!(!is_asked(&headers(&[("connection", "Upgrade"), ("upgrade", "SPDY/3.1")])));
        let offers = headers(&[("sec-websocket-protocol", "a, b"), ("sec-websocket-protocol", "c")]);
        assert_eq!(offered(&offers), ["a", "b", "c"]);
        assert_eq!(grant(&asked, None).err(), Some("missing or bad WebSocket Version"));
    }
}
