//! A request as it came off the wire, stamped once.

use std::{sync::Arc, time::Duration};

use api::status::Status;
use http::{HeaderMap, Method, Version};
use parking_lot::Mutex;
use wire::{Body, Peer, body::CollectError};
use world::Wall;

use super::{Query, RequestInfo};
use crate::{admission::Annotations, context::Ctx};

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
    /// What `wire` needs to turn the connection into a byte stream, among others.
    pub extensions: http::Extensions,
    /// Who is at the other end of the connection.
    pub peer: Arc<Peer>,
    /// When it arrived; everything that happens to the request happens at this time.
    pub received_at: Wall,
    /// `Audit-Id`.
    pub audit_id: String,
    /// What the audit event is to say beside that.
    pub annotations: Annotations,
}

impl Framed {
    /// Stamps a request.
    pub fn new(ctx: &Ctx, peer: Arc<Peer>, request: http::Request<Body>) -> Self {
        let (parts, body) = request.into_parts();
        let given = parts.headers.get("audit-id").and_then(|v| v.to_str().ok()).filter(|id| !id.is_empty());
        Self {
            received_at: ctx.host.clock().wall(),
            audit_id: given.map_or_else(|| ctx.host.entropy().uuid(), str::to_owned),
            path: parts.uri.path().to_owned(),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            target: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), |t| t.as_str().to_owned()),
            method: parts.method,
            version: parts.version,
            headers: parts.headers,
            extensions: parts.extensions,
            body: Mutex::new(Some(body)),
            annotations: Annotations::default(),
            peer,
        }
    }

    /// The body; empty for whoever asks a second time.
    pub fn take_body(&self) -> Body {
        self.body.lock().take().unwrap_or_else(wire::body::empty)
    }

    /// The body, left where it is for whoever reads it next. `None`: it cannot be read, which that
    /// reader will find out too.
    pub(crate) async fn peek_body(&self, limit: usize) -> Option<bytes::Bytes> {
        let (left, seen) = match wire::body::collect(self.take_body(), limit).await {
            Ok(bytes) => (wire::body::full(bytes.clone()), Some(bytes)),
            // As long as it has to be to be refused.
            Err(CollectError::TooLarge { .. }) => (wire::body::full(vec![0; limit + 1]), None),
            Err(CollectError::Broken(error)) => {
                (wire::body::stream(futures::stream::iter([Err::<bytes::Bytes, _>(error)])), None)
            }
        };
        *self.body.lock() = Some(left);
        seen
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
        match self.framed.query.get("timeout") {
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
