//! The audit log: who asked for what, when, and what became of it, by a policy: as JSON lines in a file, in
//! batches to a webhook.
//!
//! ```text
//!  parse ─▶ Draft ─▶ user known: policy ─▶ RequestReceived ─▶ … ─▶ answer ─▶ ResponseComplete
//!                                                                    └─ streams: ResponseStarted first
//! ```
//! Credentials are never written down: headers are not part of an event, and the fields of objects
//! that hold tokens are cut out.

mod draft;
mod event;
mod log;
mod policy;
mod webhook;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use http::Response;
use parking_lot::Mutex;
use wire::Body;
use world::Host;

use crate::{
    context::Ctx,
    identity::User,
    options::Options,
    pipeline::{Framed, Open, Parsed},
    respond::Encoded,
};
pub(crate) use draft::Draft;
use log::Log;
pub use log::Rotation;
use policy::Policy;
pub(crate) use policy::{Level, Stage};
pub use webhook::Batching;
use webhook::Webhook;

/// The policy of one server, and where its events go.
#[derive(Debug)]
pub struct Audit {
    policy: Policy,
    log: Option<Log>,
    webhook: Option<Webhook>,
    failures: Arc<Failures>,
}

/// Events that did not arrive, by upstream's name of whose fault it was.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<BTreeMap<&'static str, u64>>);

impl Failures {
    fn note(&self, plugin: &'static str, events: usize, why: &str) {
        tracing::error!("Error in audit plugin '{plugin}' affecting {events} audit events: {why}");
        *self.0.lock().entry(plugin).or_default() += events as u64;
    }

    /// How many there are of each.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().clone()
    }
}

/// A flag at fault, and what is wrong with its file.
type Fault = (&'static str, PathBuf, String);

impl Audit {
    /// From the flags; `None` without a policy or without a place for events.
    pub(crate) fn from_options(host: &Host, options: &Options) -> Result<Option<Self>, Fault> {
        let policy = match &options.audit_policy_file {
            None => None,
            Some(path) => {
                let fail = |why: String| ("audit-policy-file", path.clone(), why);
                let text = host.disk().read_to_string(path).map_err(|e| fail(e.to_string()))?;
                Some(Policy::parse(&text).map_err(fail)?)
            }
        };
        let (log, webhook) = (&options.audit_log_path, &options.audit_webhook_config_file);
        if log.is_none() && webhook.is_none() {
            if policy.is_some() {
                tracing::info!("No audit log is given by --audit-log-path, no events will be recorded");
            }
            return Ok(None);
        }
        let Some(policy) = policy else {
            for (backend, _) in [("log", log), ("webhook", webhook)].iter().filter(|(_, at)| at.is_some()) {
                tracing::info!(
                    "No audit policy file provided, no events will be recorded for {backend} backend"
                );
            }
            return Ok(None);
        };
        let failures = Arc::new(Failures::default());
        let log = match log {
            None => None,
            Some(path) => Some(
                Log::open(host, path, &options.audit_rotation)
                    .map_err(|why| ("audit-log-path", path.clone(), why))?,
            ),
        };
        let webhook = match webhook {
            None => None,
            Some(path) => Some(
                Webhook::start(host, path, options, &failures)
                    .map_err(|error| ("audit-webhook-config-file", path.clone(), error.to_string()))?,
            ),
        };
        Ok(Some(Self { policy, log, webhook, failures }))
    }

    /// What did not arrive.
    pub(crate) fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Waits until what was recorded has arrived, or is given up.
    pub(crate) async fn shutdown(&self) {
        if let Some(webhook) = &self.webhook {
            webhook.shutdown().await;
        }
    }

    /// Begins an event for a request.
    pub(crate) fn draft(&self, parsed: &Parsed) -> Box<Draft> {
        Box::new(Draft::new(&parsed.framed, &parsed.info))
    }

    /// The user is known: the policy decides. Nothing comes back if nothing is to be written down.
    pub(crate) fn received(
        &self,
        ctx: &Ctx,
        mut draft: Box<Draft>,
        framed: &mut Framed,
        user: &User,
    ) -> Option<Box<Draft>> {
        let verdict = self.policy.evaluate(&draft.info, Some(user));
        if verdict.level == Level::None {
            return None;
        }
        draft.event.level = verdict.level;
        draft.event.user = user.to_value();
        draft.verdict = Some(verdict);
        self.write(ctx, &draft, Stage::RequestReceived);
        let wanted = match draft.info.verb.as_str() {
            "create" | "update" => true,
            "patch" | "delete" | "deletecollection" => draft.event.level >= Level::Request,
            _ => false,
        };
        if wanted && draft.info.resource_request {
            draft.listen(framed);
        }
        Some(draft)
    }

    /// The answer is there; `encoded` are its bytes if this server made them out of an object. What is
    /// long-running is complete when its stream ends.
    pub(crate) fn answered(
        self: &Arc<Self>,
        ctx: &Ctx,
        mut draft: Box<Draft>,
        response: Response<Body>,
        encoded: Option<&Encoded>,
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
        draft.note_outcome(code);
        if panicked {
            self.write(ctx, &draft, Stage::Panic);
            return response;
        }
        if level >= Level::RequestResponse
            && draft.info.resource_request
            && let Some(Encoded(bytes)) = encoded
        {
            draft.note_answer(bytes, &response);
        }
        if draft.info.long_running() {
            self.write(ctx, &draft, Stage::ResponseStarted);
            return Open::holding(response, End { audit: self.clone(), ctx: ctx.clone(), draft });
        }
        self.write(ctx, &draft, Stage::ResponseComplete);
        response
    }

    fn write(&self, ctx: &Ctx, draft: &Draft, stage: Stage) {
        if draft.verdict.as_ref().is_some_and(|verdict| verdict.omit_stages.contains(&stage)) {
            return;
        }
        ctx.metrics.audit_events.fetch_add(1, Relaxed);
        let now = ctx.host.clock().wall();
        if let Some(log) = &self.log
            && let Err(why) = log.write(&draft.event.line(stage, now), now)
        {
            self.failures.note("log", 1, &why);
        }
        if let Some(webhook) = &self.webhook {
            webhook.push(draft.event.listed(stage, now).into());
        }
    }
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
