//! How a case's requests get to the server: what the runner needs of an HTTP client, and ours.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use client::Auth;
use futures::{Stream, StreamExt, stream};
use http::HeaderMap;
use http_body_util::BodyDataStream;
use wire::{HttpClient, body};

/// As whom a request is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum As {
    /// The administrator.
    #[default]
    Admin,
    /// Whoever has this bearer token.
    Bearer(String),
    /// Nobody that says so.
    Nobody,
}

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// HTTP method.
    pub method: http::Method,
    /// Path and query.
    pub path: String,
    /// As whom.
    pub sender: As,
    /// Headers, credentials apart.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Half of the body is sent, then the stream breaks.
    pub breaks_off: bool,
}

/// A body as it arrives.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send>>;

/// An answer whose header is there.
pub struct Incoming {
    /// Code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, still coming.
    pub chunks: Chunks,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Incoming({})", self.status)
    }
}

/// An HTTP client that speaks to one server, as its administrator unless it is told otherwise.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request; returns when the answer's header is there.
    ///
    /// # Errors
    /// No answer, in the client's words.
    async fn send(&self, request: Outgoing) -> Result<Incoming, String>;
}

/// The first half of a body, and then an error.
pub fn broken(whole: &Bytes) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let half = whole.slice(..whole.len() / 2);
    stream::iter([Ok(half), Err(std::io::Error::other("the client goes away"))])
}

/// The product's own client, in either gear.
#[derive(Clone, Debug)]
pub struct Wire {
    http: HttpClient,
    auth: Auth,
    /// Shows no client certificate.
    plain: HttpClient,
}

impl Wire {
    /// Over `http`, as who `auth` says; as others over `plain`, which shows no client certificate.
    pub fn new(http: HttpClient, auth: Auth, plain: HttpClient) -> Self {
        Self { http, auth, plain }
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: Outgoing) -> Result<Incoming, String> {
        let content = if request.breaks_off {
            body::stream(broken(&request.body).map(|chunk| chunk.map_err(Into::into)))
        } else {
            body::full(request.body)
        };
        let mut message = http::Request::new(content);
        *message.method_mut() = request.method;
        *message.uri_mut() = request.path.parse().map_err(|e| format!("{}: {e}", request.path))?;
        *message.headers_mut() = request.headers;
        let (http, auth) = match request.sender {
            As::Admin => (&self.http, self.auth.clone()),
            As::Bearer(token) => (&self.plain, Auth::bearer(&token)),
            As::Nobody => (&self.plain, Auth::None),
        };
        client::authorize(&mut message, &auth).await.map_err(|e| e.to_string())?;
        let response = http.send(message).await.map_err(|e| e.to_string())?;
        let (head, content) = response.into_parts();
        let chunks = BodyDataStream::new(content).map(|chunk| chunk.map_err(|e| e.to_string()));
        Ok(Incoming { status: head.status.as_u16(), headers: head.headers, chunks: Box::pin(chunks) })
    }
}
