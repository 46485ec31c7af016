//! Somebody else decides: the question goes to a webhook as a SubjectAccessReview, and the answer is kept for a while.
//!
//! ```text
//! Attributes ─▶ conditions hold? ─▶ kept answer? ─▶ the webhook, tried five times ─▶ Verdict
//!                  no: no opinion                       no answer: the failure policy
//! ```

mod cache;
mod conditions;
mod review;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use world::Host;

use super::{Attributes, Decision, Verdict};
use crate::{metrics::AuthzCounts, webhook_client::WebhookClient};
use cache::Cache;
pub(super) use conditions::Conditions;
use review::Answer;
pub use review::ReviewVersion;

/// Questions with more than this in what the asker controls are not kept.
const LONGEST_KEPT: usize = 10_000;

/// How a webhook is asked, and what its answers are good for.
#[derive(Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// The form of the review.
    pub version: ReviewVersion,
    /// How long a yes is kept; zero for not at all.
    pub authorized: Duration,
    /// How long any other answer is kept.
    pub unauthorized: Duration,
    /// What follows when there is no answer.
    pub on_error: Decision,
    /// Which questions it is asked at all.
    pub(super) conditions: Conditions,
}

/// The webhook authorizer.
pub struct Webhook {
    host: Host,
    hook: WebhookClient,
    settings: Settings,
    cache: Mutex<Cache>,
    counts: Arc<AuthzCounts>,
}

impl Webhook {
    /// An authorizer that asks `hook`.
    pub fn new(host: &Host, hook: WebhookClient, settings: Settings) -> Self {
        Self { host: host.clone(), hook, settings, cache: Mutex::default(), counts: Arc::default() }
    }

    /// The same webhook, which counts here.
    #[must_use]
    pub(super) fn counting(self, counts: &Arc<AuthzCounts>) -> Self {
        Self { counts: counts.clone(), ..self }
    }

    /// The webhook's answer, or a kept one that is not too old.
    pub async fn authorize(&self, request: &Attributes<'_>) -> Verdict {
        match self.settings.conditions.hold(request) {
            Ok(true) => {}
            Ok(false) => return Verdict::no_opinion(""),
            Err(why) => return self.failed(why),
        }
        let spec = review::spec(request, self.settings.version);
        let key = spec.to_string();
        let kept = self.cache.lock().get(&key, self.host.clock().monotonic());
        if let Some(answer) = kept {
            return answer.verdict();
        }
        let began = self.host.clock().monotonic();
        let answered = self.hook.call(&review::review(spec, self.settings.version)).await;
        let result = match &answered {
            Ok(_) => "success",
            Err(error) if error.is_timeout() => "timeout",
            Err(_) => "error",
        };
        let elapsed = self.host.clock().monotonic().since(began);
        let fails_open = answered.is_err() && self.settings.on_error == Decision::NoOpinion;
        self.counts.evaluated(&self.settings.name, result, elapsed, fails_open);
        let answer = match answered {
            Ok(review) => Answer::read(&review),
            Err(error) => {
                tracing::error!("Failed to make webhook authorizer request: {error}");
                return self.failed(error.to_string());
            }
        };
        let life = if answer.allowed { self.settings.authorized } else { self.settings.unauthorized };
        if !life.is_zero() && controlled(request) < LONGEST_KEPT {
            let until = self.host.clock().monotonic() + life;
            self.cache.lock().put(key, answer.clone(), until);
        }
        answer.verdict()
    }

    fn failed(&self, why: String) -> Verdict {
        Verdict { errors: vec![why], ..Verdict::new(self.settings.on_error, "") }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.settings.name
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Bytes of the question that are the asker's choice.
fn controlled(request: &Attributes<'_>) -> usize {
    let parts = [
        request.namespace,
        request.verb,
        request.group,
        request.version,
        request.resource,
        request.subresource,
        request.name,
        request.path,
    ];
    parts.iter().map(|part| part.len()).sum()
}
