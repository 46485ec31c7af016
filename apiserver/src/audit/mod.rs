//! The audit log: who asked for what, when, and what became of it, as JSON lines by a policy.
//!
//! ```text
//!  parse ─▶ Draft ─▶ user known: policy ─▶ RequestReceived ─▶ … ─▶ answer ─▶ ResponseComplete
//!                                                                    └─ streams: ResponseStarted first
//! ```
//! Credentials are never written down: headers are not part of an event, and the fields of objects
//! that hold tokens are cut out.

mod event;
mod log;
mod policy;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use api::{object::ObjectExt, status::Status};
use bytes::Bytes;
use http::{Response, header};
use serde_json::Value;
use wire::{Body, body};
use world::Host;

use crate::{
    admission::Annotations,
    context::Ctx,
    identity::User,
    options::Options,
    pipeline::{Framed, Parsed, Remarks, RequestInfo, parse_object},
};
use event::Event;
use log::Log;
pub use log::Rotation;
pub(crate) use policy::{Level, Stage};
use policy::{Policy, Verdict};

/// What an answer may be long to be written down.
const ANSWER_LIMIT: usize = 64 << 20;

/// The policy and the log of one server.
#[derive(Debug)]
pub struct Audit {
    policy: Policy,
    log: Log,
}

/// One request's event on its way.
#[derive(Debug)]
pub(crate) struct Draft {
    event: Event,
    info: RequestInfo,
    /// What admission writes down.
    verdict: Option<Verdict>,
    /// The Status that refused the request.
    refusal: Option<Status>,
}

impl Audit {
    /// From the flags: the flag at fault and what is wrong with its file; `None` without a policy or
    /// without a log.
    pub(crate) fn from_options(
        host: &Host,
        options: &Options,
    ) -> Result<Option<Self>, (&'static str, std::path::PathBuf, String)> {
        let policy = match &options.audit_policy_file {
            None => None,
            Some(path) => {
                let fail = |why: String| ("audit-policy-file", path.clone(), why);
                let text = host.disk().read_to_string(path).map_err(|e| fail(e.to_string()))?;
                Some(Policy::parse(&text).map_err(fail)?)
            }
        };
        let Some(path) = &options.audit_log_path else {
            if policy.is_some() {
                tracing::info!("No audit log is given by --audit-log-path, no events will be recorded");
            }
            return Ok(None);
        };
        let Some(policy) = policy else {
            tracing::info!("No audit policy file provided, no events will be recorded for log backend");
            return Ok(None);
        };
        let log = Log::open(host, Path::new(path), &options.audit_rotation);
        let log = log.map_err(|why| ("audit-log-path", path.clone(), why))?;
        Ok(Some(Self { policy, log }))
    }

    /// Begins an event for a request.
    pub(crate) fn draft(&self, parsed: &Parsed) -> Box<Draft> {
        let event = Event::of(&parsed.framed, &parsed.info);
        Box::new(Draft { event, info: parsed.info.clone(), verdict: None, refusal: None })
    }

    /// The user is known: the policy decides. Nothing comes back if nothing is to be written down.
    pub(crate) async fn received(
        &self,
        ctx: &Ctx,
        mut draft: Box<Draft>,
        framed: &Framed,
        user: &User,
    ) -> Option<Box<Draft>> {
        let verdict = self.policy.evaluate(&draft.info, Some(user));
        if verdict.level == Level::None {
            return None;
        }
        draft.event.level = verdict.level;
        draft.event.user = event::user(user);
        draft.verdict = Some(verdict);
        self.write(ctx, &draft, Stage::RequestReceived);
        // The name of what is created is in the object alone.
        let wanted = match draft.info.verb.as_str() {
            "create" | "update" => true,
            "patch" | "delete" | "deletecollection" => draft.event.level >= Level::Request,
            _ => false,
        };
        if wanted && draft.info.resource_request && !draft.info.long_running() {
            let bytes = framed.peek_body(ctx.options.max_body_bytes).await;
            let object = bytes.and_then(|bytes| draft.object_of_request(framed, &bytes));
            if let Some(object) = &object {
                draft.event.complete_reference(object);
            }
            draft.event.request_object = object.filter(|_| draft.event.level >= Level::Request);
        }
        Some(draft)
    }

    /// The answer is there. What is long-running is complete when its body ends.
    pub(crate) async fn answered(
        self: &Arc<Self>,
        ctx: &Ctx,
        mut draft: Box<Draft>,
        response: Response<Body>,
        panicked: bool,
    ) -> Response<Body> {
        let code = response.status().as_u16();
        let Some(verdict) = &draft.verdict else {
            // Nobody knows who it was; who was sent away before that is not written down.
            if code != 401 {
                return response;
            }
            let verdict = self.policy.evaluate(&draft.info, None);
            if verdict.level == Level::None {
                return response;
            }
            draft.event.level = verdict.level;
            draft.verdict = Some(verdict);
            draft.event.response_status = Some(draft.event.unauthenticated(code));
            self.write(ctx, &draft, Stage::ResponseStarted);
            return response;
        };
        let level = verdict.level;
        draft.event.response_status = Some(event::response_status(code, draft.refusal.as_ref()));
        if panicked {
            self.write(ctx, &draft, Stage::Panic);
            return response;
        }
        if draft.info.long_running() {
            self.write(ctx, &draft, Stage::ResponseStarted);
            let end = End { audit: self.clone(), ctx: ctx.clone(), draft };
            return response.map(|content| body::holding(content, end));
        }
        let mut response = response;
        if level >= Level::RequestResponse && draft.info.resource_request {
            response = draft.take_answer(response).await;
        }
        self.write(ctx, &draft, Stage::ResponseComplete);
        response
    }

    fn write(&self, ctx: &Ctx, draft: &Draft, stage: Stage) {
        if draft.verdict.as_ref().is_some_and(|verdict| verdict.omit_stages.contains(&stage)) {
            return;
        }
        let now = ctx.host.clock().wall();
        let line = draft.event.line(stage, now);
        match self.log.write(&line, now) {
            Ok(()) => {
                ctx.metrics.audit_events.fetch_add(1, Relaxed);
            }
            Err(why) => tracing::error!("Error in audit plugin 'log' affecting 1 audit events: {why}"),
        }
    }
}

impl Draft {
    /// The identity that the request is carried out as.
    pub(crate) fn impersonates(&mut self, user: &User) {
        self.event.impersonated_user = Some(event::user(user));
    }

    /// What was noted on the way.
    pub(crate) fn annotated(&mut self, remarks: &Remarks) {
        for (key, value) in remarks.annotations(self.event.level) {
            self.event.annotations.entry(key.into()).or_insert(value);
        }
    }

    /// What the authorizers said.
    pub(crate) fn authorized(&mut self, allowed: bool, reason: &str) {
        let annotations = &mut self.event.annotations;
        let decision = if allowed { "allow" } else { "forbid" };
        annotations.insert("authorization.k8s.io/decision".into(), decision.to_owned());
        annotations.insert("authorization.k8s.io/reason".into(), reason.to_owned());
    }

    /// The Status that is about to be the answer.
    pub(crate) fn refused(&mut self, status: &Status) {
        self.refusal = Some(status.clone());
    }

    fn object_of_request(&self, framed: &Framed, bytes: &[u8]) -> Option<Value> {
        if bytes.is_empty() {
            return None;
        }
        let media = crate::pipeline::content_type(framed);
        let value = match self.info.verb.as_str() {
            // The patch itself, in whichever form.
            "patch" => serde_json::from_slice(bytes)
                .ok()
                .or_else(|| serde_saphyr::from_str(std::str::from_utf8(bytes).ok()?).ok()),
            _ => parse_object(bytes, media).ok(),
        };
        value.map(|value| self.presentable(value))
    }

    /// Takes a copy of the answer's object.
    async fn take_answer(&mut self, response: Response<Body>) -> Response<Body> {
        let (head, content) = response.into_parts();
        let zipped = head.headers.contains_key(header::CONTENT_ENCODING);
        let bytes = match body::collect(content, ANSWER_LIMIT).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!("an answer cannot be written down: {error}");
                return Response::from_parts(head, body::empty());
            }
        };
        let plain = if zipped { unzip(&bytes) } else { bytes.clone() };
        let media = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if let Ok(value) = parse_object(&plain, media.split(';').next().unwrap_or_default()) {
            self.event.response_object = Some(self.presentable(value));
        }
        Response::from_parts(head, body::full(bytes))
    }

    /// Without what the policy leaves out, and without tokens. A body need not say its kind: the endpoint counts too.
    fn presentable(&self, mut value: Value) -> Value {
        let about_tokens = self.info.resource == "tokenreviews"
            || (self.info.resource == "serviceaccounts" && self.info.subresource == "token");
        let omit = self.verdict.as_ref().is_some_and(|verdict| verdict.omit_managed_fields);
        let cut = |object: &mut Value| {
            if omit {
                object.remove_at("/metadata/managedFields");
            }
            if about_tokens || matches!(object.kind(), "TokenRequest" | "TokenReview") {
                object.remove_at("/status/token");
                object.remove_at("/spec/token");
            }
        };
        cut(&mut value);
        if let Some(items) = value.get_mut("items").and_then(Value::as_array_mut) {
            items.iter_mut().for_each(cut);
        }
        value
    }
}

fn unzip(bytes: &[u8]) -> Bytes {
    use std::io::Read as _;
    let mut plain = Vec::new();
    // What is no gzip is no object either, and is left out.
    let _ = flate2::read::GzDecoder::new(bytes).take(ANSWER_LIMIT as u64).read_to_end(&mut plain);
    plain.into()
}

/// Writes the last stage of a stream when the stream's body is dropped.
struct End {
    audit: Arc<Audit>,
    ctx: Ctx,
    draft: Box<Draft>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.audit.write(&self.ctx, &self.draft, Stage::ResponseComplete);
    }
}
