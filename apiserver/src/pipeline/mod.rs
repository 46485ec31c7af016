//! The way of one request: each stage takes what the one before it made, and nothing else makes it.
//!
//! ```text
//! wire            -> Framed      received_at, audit id, query
//! parse           -> Parsed      verb, resource, name
//! identify        -> Identified  user
//! act             -> Acting      impersonation
//! seat            -> Seated      in-flight limits
//! permit          -> Permitted   authorized
//!                    reads leave here
//! write::decode   -> Decoded     body to object
//! write::mutate   -> Mutated     admission
//! write::prepare  -> Prepared    strategy, validation
//! write::admit    -> Admitted    admission again
//! write::commit   -> Committed   compare-and-write
//! ```

mod act;
mod codec;
mod director;
mod framed;
mod identify;
mod pages;
mod permit;
mod protobuf;
mod query;
mod request_info;
mod seat;
pub mod write;

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use api::status::Status;
use futures::FutureExt;
use http::{HeaderValue, Response, Version, header};
use wire::{Body, Handler, Peer};

pub use act::Acting;
pub use codec::{
    FieldValidation, WriteOptions, content_type, expect_kind, parse_object, read_body, read_object,
};
pub use framed::{Framed, Parsed};
pub use identify::Identified;
pub use pages::{Delegate, Forward, Page, Pages};
pub use permit::Permitted;
pub use query::{ListOptions, Match, Query, parse_resource_version};
pub use request_info::RequestInfo;
pub use seat::{Seated, Seats};

use crate::{
    context::Ctx,
    respond::{self, Wanted},
};

/// An answer that is no success.
#[derive(Debug)]
pub enum Refusal {
    /// An API Status, encoded as the client wishes.
    Status(Box<Status>),
    /// Upstream answers some things in plain text.
    Plain {
        /// HTTP code.
        code: u16,
        /// The body.
        text: String,
        /// `Retry-After`.
        retry_after: Option<u32>,
    },
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl Refusal {
    /// A refusal in plain text.
    pub fn plain(code: u16, text: impl Into<String>) -> Self {
        Self::Plain { code, text: text.into(), retry_after: None }
    }

    fn into_response(self, wanted: Wanted) -> Response<Body> {
        match self {
            Self::Status(status) => wanted.status(&status),
            Self::Plain { code, text, retry_after } => {
                let mut response = respond::text(code, text);
                if let Some(seconds) = retry_after {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                response
            }
        }
    }
}

/// What the record of a request needs and only the way through the stages finds out.
#[derive(Debug, Default)]
pub struct Note {
    /// Who asked; empty while unknown.
    pub user: String,
    /// Whether nobody in particular asked.
    pub anonymous: bool,
}

/// The front door: `wire`'s handler.
#[derive(Clone)]
pub struct Pipeline(pub(crate) Ctx);

impl Handler for Pipeline {
    fn call(
        &self,
        peer: Arc<Peer>,
        request: http::Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        let ctx = self.0.clone();
        Box::pin(async move { answer(ctx, peer, request).await })
    }
}

async fn answer(ctx: Ctx, peer: Arc<Peer>, request: http::Request<Body>) -> Response<Body> {
    let framed = Framed::new(&ctx, peer, request);
    let wanted = Wanted::or_plain(&framed.headers, &framed.query);
    let (audit_id, version, path) = (framed.audit_id.clone(), framed.version, framed.path.clone());
    let mut verb = framed.method.as_str().to_lowercase();
    let mut note = Note::default();
    let way = AssertUnwindSafe(Box::pin(walk(&ctx, framed, &mut note, &mut verb))).catch_unwind();
    let mut response = match way.await {
        Ok(Ok(response)) => response,
        Ok(Err(refusal)) => refusal.into_response(wanted),
        Err(_) => {
            respond::text(500, "This request caused apiserver to panic. Look in the logs for details.\n")
        }
    };
    let unauthenticated = note.anonymous || response.status() == http::StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&audit_id) {
        headers.insert("audit-id", id);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    }
    // A client that is sent away now and then finds its way to other servers too.
    let by_chance = ctx.options.goaway_chance > 0.0 && ctx.host.entropy().unit() < ctx.options.goaway_chance;
    if (unauthenticated || by_chance) && version == Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let code = response.status().as_u16().to_string();
    // As upstream's log of requests, at the level where nobody pays for it.
    tracing::debug!(target: "apiserver::httplog", verb, path, code, user = note.user, "HTTP");
    ctx.host.record("request", vec![("user", note.user), ("verb", verb), ("path", path), ("code", code)]);
    response
}

// Futures are boxed from stage to stage: one that held all of them would not fit a thread's stack.
async fn walk(
    ctx: &Ctx,
    framed: Framed,
    note: &mut Note,
    verb: &mut String,
) -> Result<Response<Body>, Refusal> {
    let parsed = framed.parse();
    verb.clone_from(&parsed.info.verb);
    if ctx.lifecycle.is_draining() {
        return Err(Status::service_unavailable("apiserver is shutting down").retry_after(1).into());
    }
    if parsed.info.long_running() {
        return Box::pin(stages(ctx, parsed, note)).await;
    }
    let limit = parsed.deadline(ctx.options.request_timeout)?;
    match ctx.host.clock().timeout(limit, Box::pin(stages(ctx, parsed, note))).await {
        Ok(result) => result,
        Err(_) => Err(Status::timeout("request did not complete within the allotted timeout", 0).into()),
    }
}

async fn stages(ctx: &Ctx, parsed: Parsed, note: &mut Note) -> Result<Response<Body>, Refusal> {
    let identified = parsed.identify(ctx, note).await?;
    let acting = identified.act(ctx).await?;
    let seated = acting.seat(ctx)?;
    let permitted = seated.permit(ctx)?;
    Box::pin(director::direct(ctx, permitted)).await
}
