//! A request as it came off the wire, stamped once.

use std::{sync::Arc, time::Duration};

use api::status::Status;
use bytes::Bytes;
use http::{HeaderMap, Method, Version, header};
use parking_lot::Mutex;
use wire::{Body, Peer};
use world::{Mono, Wall};

use super::{Query, Remarks, RequestInfo};
use crate::context::Ctx;

/// The body, once a handler has read it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Mutex<Option<Bytes>>>);

impl Heard {
    pub(crate) fn take(&self) -> Option<Bytes> {
        self.0.lock().take()
    }
}

/// See the module.
#[derive(Debug)]
pub struct Framed {
    /// HTTP method.
    pub method: Method,
    /// Path, still escaped.
    pub path: String,
    /// Query, decoded.
    pub query: Query,
    /// Path and query as they came.
    pub target: String,
    /// HTTP version.
    pub version: Version,
    /// Headers.
    pub headers: HeaderMap,
    body: Mutex<Option<Body>>,
    heard: Option<Heard>,
    /// What `wire` needs to turn the connection into a byte stream, among others.
    pub extensions: http::Extensions,
    /// Who is at the other end of the connection.
    pub peer: Arc<Peer>,
    /// When it arrived; everything that happens to the request happens at this time.
    pub received_at: Wall,
    /// The same by the clock that counts waiting.
    pub began: Mono,
    /// What is said beside the answer.
    pub remarks: Arc<Remarks>,
    /// `Audit-Id`.
    pub audit_id: String,
}

impl Framed {
    /// Who sent it, for the record: the address, and the program by its own word.
    pub(super) fn caller(&self) -> [(&'static str, String); 2] {
        let agent = self.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let program = agent.split(['/', ' ']).next().unwrap_or_default();
        [("from", self.peer.remote.ip().to_string()), ("agent", program.to_owned())]
    }

    /// Stamps a request.
    pub fn new(ctx: &Ctx, peer: Arc<Peer>, request: http::Request<Body>) -> Self {
        let (parts, body) = request.into_parts();
        let given = parts.headers.get("audit-id").and_then(|v| v.to_str().ok()).filter(|id| !id.is_empty());
        Self {
            received_at: ctx.host.clock().wall(),
            began: ctx.host.clock().monotonic(),
            remarks: Arc::default(),
            audit_id: given.map_or_else(|| ctx.host.entropy().uuid(), str::to_owned),
            path: parts.uri.path().to_owned(),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            target: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), |t| t.as_str().to_owned()),
            method: parts.method,
            version: parts.version,
            headers: parts.headers,
            extensions: parts.extensions,
            body: Mutex::new(Some(body)),
            heard: None,
            peer,
        }
    }

    /// The body; empty for whoever asks a second time.
    pub fn take_body(&self) -> Body {
        self.body.lock().take().unwrap_or_else(wire::body::empty)
    }

    /// From now on what is read of the body is kept for whoever asks for it.
    pub(crate) fn listen(&mut self) -> Heard {
        self.heard.get_or_insert_default().clone()
    }

    /// Tells who listens what was read.
    pub(super) fn was_read(&self, bytes: &Bytes) {
        if let Some(heard) = &self.heard {
            *heard.0.lock() = Some(bytes.clone());
        }
    }

    /// Understands path and method.
    pub fn parse(self) -> Parsed {
        let info = RequestInfo::parse(&self.method, &self.path, &self.query);
        Parsed { framed: self, info }
    }
}

/// A request whose path and method are understood.
#[derive(Debug)]
pub struct Parsed {
    /// The request.
    pub framed: Framed,
    /// What it asks for.
    pub info: RequestInfo,
}

impl Parsed {
    /// How long the request may take.
    ///
    /// # Errors
    /// 400 for a `timeout` that is no duration.
    pub fn deadline(&self, most: Duration) -> Result<Duration, Status> {
        self.framed.deadline(most)
    }
}

impl Framed {
    /// How long the request may take, if it is one that ends.
    ///
    /// # Errors
    /// 400 for a `timeout` that is no duration.
    pub fn deadline(&self, most: Duration) -> Result<Duration, Status> {
        match self.query.get("timeout") {
            None | Some("") => Ok(most),
            Some(text) => match api::duration::parse(text) {
                Ok(wanted) if wanted.is_zero() => Ok(most),
                Ok(wanted) => Ok(wanted.min(most)),
                Err(why) => {
                    Err(Status::bad_request(format!("invalid timeout specified in the request URL - {why}")))
                }
            },
        }
    }
}
