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

mod aborts;
mod act;
mod codec;
mod debug;
mod director;
mod duplicates;
mod framed;
mod headers;
mod identify;
mod open;
mod outside;
mod pages;
mod permit;
mod protobuf;
mod query;
mod remarks;
mod request_info;
mod seat;
pub mod write;
pub(crate) mod yaml;

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use api::status::Status;
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Response, Version, header};
use wire::{Body, Handler, Peer, body};
use world::{Clock, Mono};

pub use act::{Acting, Modes};
pub(crate) use codec::repeated;
pub use codec::{
    FieldValidation, WriteOptions, content_type, expect_kind, parse_object, read_body, read_checked_object,
    read_object,
};
pub(crate) use framed::Heard;
pub use framed::{Framed, Parsed};
pub use headers::ExtraHeaders;
pub use identify::Identified;
pub use open::Open;
pub use pages::{Delegate, Forward, Page, Pages};
pub use permit::Permitted;
pub use query::{ListOptions, Match, Query, parse_resource_version};
pub use remarks::Remarks;
pub(crate) use remarks::write_warning;
pub use request_info::RequestInfo;
pub(crate) use request_info::percent_decode;
pub use seat::{Seated, Seats};
pub(crate) use yaml::settle_numbers;

use crate::{
    audit::Draft,
    context::{Ctx, InProgress},
    flow::Schema,
    metrics::{Asked, Histogram, Row},
    respond::{self, Encoded, Wanted},
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

/// The verbosity from which on upstream logs requests.
const LOGS_REQUESTS: u32 = 3;
const FLOW_SCHEMA: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const PRIORITY_LEVEL: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

/// What the record of a request needs and only the way through the stages finds out.
#[derive(Debug, Default)]
pub struct Note {
    /// Who asked; empty while unknown.
    pub user: String,
    /// Whether nobody in particular asked.
    pub anonymous: bool,
    /// Whether somebody looked at what was asked, instead of sending it away.
    reached: bool,
    /// Whether the request may outlive the request timeout.
    long_running: bool,
    /// Whether the client is to open another connection.
    leave: bool,
    /// The counters of requests like this one.
    row: Option<Arc<Row>>,
    /// What was asked of others than this server, which has no counters for that.
    asked: Option<Asked>,
    /// When the request's time is over, however far its answer is.
    until: Option<Mono>,
    /// Whose flow schema's it is.
    schema: Option<Arc<Schema>>,
    /// What the audit log will say of it.
    audit: Option<Box<Draft>>,
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
    let remarks = framed.remarks.clone();
    let mut verb = framed.method.as_str().to_lowercase();
    let mut note = Note::default();
    let began = ctx.host.clock().monotonic();
    let caller = ctx.host.trace().is_recording().then(|| framed.caller()).into_iter().flatten();
    let (origin, secure) = (ctx.options.extra_headers.origin(&framed.headers), framed.peer.secure);
    if let Some(mut response) = ExtraHeaders::preflight(&framed.method, origin.as_ref()) {
        ctx.options.extra_headers.add(response.headers_mut(), origin, secure);
        return response;
    }
    let way = AssertUnwindSafe(Box::pin(walk(&ctx, framed, &mut note, &mut verb))).catch_unwind();
    let mut panicked = false;
    let mut response = match way.await {
        Ok(Ok(response)) => response,
        Ok(Err(refusal)) => {
            if let (Some(draft), Refusal::Status(status)) = (&mut note.audit, &refusal) {
                draft.refused(status);
            }
            refusal.into_response(wanted)
        }
        Err(_) => {
            panicked = true;
            respond::text(500, "This request caused apiserver to panic. Look in the logs for details.\n")
        }
    };
    remarks.write(response.headers_mut());
    let encoded = response.extensions_mut().remove::<Encoded>();
    if let (Some(audit), Some(mut draft)) = (&ctx.audit, note.audit.take()) {
        draft.annotated(&remarks);
        response = audit.answered(&ctx, draft, response, encoded.as_ref(), panicked);
    }
    response = aborts::counted(&ctx, &mut note, response);
    response = count(&ctx, &note, response, began);
    ctx.options.extra_headers.add(response.headers_mut(), origin, secure);
    let unauthenticated = note.anonymous || response.status() == http::StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&audit_id) {
        headers.insert("audit-id", id);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    }
    if let Some(schema) = &note.schema {
        headers.insert(FLOW_SCHEMA, schema.uid.clone());
        headers.insert(PRIORITY_LEVEL, schema.level.uid.clone());
    }
    // A client that is sent away now and then finds its way to other servers too.
    let by_chance = ctx.options.goaway_chance > 0.0 && ctx.host.entropy().unit() < ctx.options.goaway_chance;
    if note.leave || (unauthenticated || by_chance) && version == Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let code = response.status().as_u16().to_string();
    if ctx.verbosity.load(Relaxed) >= LOGS_REQUESTS {
        tracing::info!(target: "apiserver::httplog", verb, path, code, user = note.user, "HTTP");
    } else {
        // At the level where nobody pays for it.
        tracing::debug!(target: "apiserver::httplog", verb, path, code, user = note.user, "HTTP");
    }
    if ctx.host.trace().is_recording() {
        let fields = vec![("user", note.user), ("verb", verb), ("path", path), ("code", code)];
        ctx.host.record("request", fields.into_iter().chain(caller).collect());
    }
    response
}

/// Enters an answer into the counters; a stream's when it ends.
fn count(ctx: &Ctx, note: &Note, response: Response<Body>, began: Mono) -> Response<Body> {
    let code = response.status().as_u16();
    let Some(row) = note.row.clone().filter(|_| note.reached) else {
        if matches!(code, 429 | 503 | 504) {
            ctx.metrics.terminated(code);
        }
        return response;
    };
    let own = note.user == "system:apiserver";
    let clock = ctx.host.clock();
    if note.long_running && code < 400 {
        let stream = Streaming { row, clock: clock.clone(), began, code, own };
        stream.row.long_running(1);
        return Open::holding(response, stream);
    }
    row.answered(code, clock.monotonic().since(began), body::length(response.body()), own);
    response
}

/// A stream that is counted when it ends.
struct Streaming {
    row: Arc<Row>,
    clock: Clock,
    began: Mono,
    code: u16,
    own: bool,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.row.long_running(-1);
        self.row.answered(self.code, self.clock.monotonic().since(self.began), None, self.own);
    }
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
    note.row = ctx.metrics.requests.row(&parsed, &ctx.catalog);
    note.asked = if note.row.is_none() { Asked::of(&parsed) } else { None };
    note.long_running = parsed.info.long_running();
    note.audit = ctx.audit.as_ref().map(|audit| audit.draft(&parsed));
    if ctx.lifecycle.is_draining() && ctx.options.shutdown_send_retry_after && !may_still(&parsed) {
        note.leave = true;
        let text = "The apiserver is shutting down, please try again later.\n".to_owned();
        return Err(Refusal::Plain { code: 429, text, retry_after: Some(5) });
    }
    if parsed.info.long_running() {
        if ctx.lifecycle.is_draining() {
            return Err(going());
        }
        let watch = (parsed.info.verb == "watch").then(|| InProgress::watch(ctx));
        let response = Box::pin(stages(ctx, parsed, note)).await?;
        return Ok(match watch {
            Some(watch) => Open::holding(response, watch),
            None => response,
        });
    }
    let _in_progress = InProgress::begin(ctx);
    // Asked after it was counted: whoever drains sees either the request or nothing.
    if ctx.lifecycle.is_draining() && !ctx.options.shutdown_send_retry_after {
        return Err(going());
    }
    let limit = parsed.deadline(ctx.options.request_timeout)?;
    note.until = Some(ctx.host.clock().monotonic() + limit);
    match ctx.host.clock().timeout(limit, Box::pin(stages(ctx, parsed, note))).await {
        Ok(result) => result,
        Err(_) => Err(Status::timeout("request did not complete within the allotted timeout", 0).into()),
    }
}

fn going() -> Refusal {
    Status::service_unavailable("apiserver is shutting down").retry_after(1).into()
}

/// Who is answered to the end when all others are asked to come again: probes, and the server itself.
fn may_still(parsed: &Parsed) -> bool {
    let path = &parsed.info.path;
    let agent = parsed.framed.headers.get(header::USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
    ["/readyz", "/livez", "/healthz", "/metrics"].iter().any(|start| path.starts_with(start))
        || agent.starts_with(b"kube-apiserver/")
}

async fn stages(ctx: &Ctx, parsed: Parsed, note: &mut Note) -> Result<Response<Body>, Refusal> {
    let (clock, filters) = (ctx.host.clock(), &ctx.metrics.filters);
    let mut since = clock.monotonic();
    let mut lap = |filter: &Histogram| {
        let now = clock.monotonic();
        filter.observe(now.since(since).as_secs_f64());
        since = now;
    };
    let identified = parsed.identify(ctx, note).await;
    lap(&filters.authentication);
    let mut identified = identified?;
    if let (Some(audit), Some(draft)) = (&ctx.audit, note.audit.take()) {
        note.audit = audit.received(ctx, draft, &mut identified.parsed.framed, &identified.user);
    }
    let acting = identified.act(ctx).await;
    lap(&filters.impersonation);
    let acting = acting?;
    if let Some(draft) = note.audit.as_mut().filter(|_| acting.impersonates) {
        draft.impersonates(&acting.user, acting.constraint);
    }
    let seated = acting.seat(ctx, note).await;
    lap(&filters.fairness);
    let permitted = seated?.permit(ctx, note).await;
    lap(&filters.authorization);
    let permitted = permitted?;
    note.reached = true;
    Box::pin(director::direct(ctx, permitted)).await
}
