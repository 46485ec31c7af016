//! One webhook is asked one question.

use std::time::Duration;

use api::status::{Status, quoted};

use super::{
    super::Review,
    Webhooks,
    hook::Hook,
    review::{self, Question, Response},
};

/// Which of the two plugins asks; they differ in what they call their failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Mutating,
    Validating,
}

impl Step {
    /// `type` of the counters of webhooks.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Mutating => "admit",
            Self::Validating => "validating",
        }
    }

    /// `type` of the counters of match conditions.
    pub(super) fn condition_label(self) -> &'static str {
        match self {
            Self::Mutating => "admit",
            Self::Validating => "validate",
        }
    }

    /// The code under which a call without an answer is counted.
    fn silence(self) -> u16 {
        match self {
            Self::Mutating => 503,
            Self::Validating => 400,
        }
    }

    fn no_client(self) -> u16 {
        match self {
            Self::Mutating => 500,
            Self::Validating => 400,
        }
    }
}

/// Why a webhook did not let a request pass.
#[derive(Debug)]
pub(super) enum Failure {
    /// It could not be asked, or what it answered is no answer: the failure policy decides.
    Calling {
        why: String,
        /// For the counters.
        code: u16,
    },
    /// It said no.
    Denied(Status),
    /// It was not to be asked, or what it wants cannot be done.
    Own(Status),
}

impl Failure {
    pub(super) fn calling(why: impl Into<String>, code: u16) -> Self {
        Self::Calling { why: why.into(), code }
    }
}

/// `failed calling webhook "x": …`
fn failed(hook: &Hook, why: &str) -> String {
    format!("failed calling webhook {}: {why}", quoted(&hook.name))
}

impl Webhooks {
    /// The webhook's answer, if it lets the request pass. What it says besides is passed on in any case.
    pub(super) async fn ask(
        &self,
        hook: &Hook,
        question: &Question<'_>,
        step: Step,
    ) -> Result<Response, Failure> {
        let review = question.review;
        if review.dry_run {
            match hook.side_effects.as_deref() {
                None => return Err(Failure::calling("Webhook SideEffects is nil", 400)),
                Some("None" | "NoneOnDryRun") => {}
                Some(_) => {
                    let name = quoted(&hook.name);
                    let words = format!("admission webhook {name} does not support dry run");
                    return Err(Failure::Own(Status::bad_request(words)));
                }
            }
        }
        let version = hook.review_version.ok_or_else(|| {
            let why = "webhook does not accept known AdmissionReview versions (v1, v1beta1)";
            Failure::calling(format!("could not create admission objects: {why}"), 400)
        })?;
        let callouts = match step {
            Step::Mutating => &self.mutating.callouts,
            Step::Validating => &self.validating.callouts,
        };
        let webhook = hook
            .webhook(callouts)
            .map_err(|why| Failure::calling(format!("could not get REST client: {why}"), step.no_client()))?;
        let uid = self.host.entropy().uuid();
        let document = question.document(version, &uid);
        let answer = webhook.post(document.into(), self.limit(hook, question), hook.timeout).await.map_err(
            |error| {
                let code = error.code.unwrap_or(step.silence());
                Failure::calling(format!("failed to call webhook: {}", error.words), code)
            },
        )?;
        let response = review::read(&answer, version, &uid, step == Step::Mutating)
            .map_err(|why| Failure::calling(format!("received invalid webhook response: {why}"), 503))?;
        for (key, value) in &response.audit_annotations {
            review.remarks.annotate(&format!("{}/{key}", hook.name), value.as_str());
        }
        response.warnings.iter().for_each(|warning| review.remarks.warn(warning.as_str()));
        if response.allowed {
            Ok(response)
        } else {
            Err(Failure::Denied(review::denied(&hook.name, &response.result)))
        }
    }

    /// What becomes of a request about which a webhook could not be asked: its failure policy decides. `place` is
    /// where the audit log finds the webhook.
    ///
    /// # Errors
    /// 500: failures are not ignored.
    pub(super) fn unasked(
        &self,
        hook: &Hook,
        review: &Review<'_>,
        why: &str,
        step: Step,
        place: &str,
    ) -> Result<(), Status> {
        let words = failed(hook, why);
        if !hook.ignores_failure {
            tracing::warn!("Failed calling webhook, failing closed {}: {words}", hook.name);
            return Err(Status::internal(words));
        }
        tracing::warn!("Failed calling webhook, failing open {}: {words}", hook.name);
        self.counts.failed_open(&hook.name, step.label());
        review.remarks.annotate(place, hook.name.as_str());
        Ok(())
    }

    /// What the webhook is told of its time: its own limit, or what is left of the request's. That the
    /// request has no more time is for others to say, in other words.
    fn limit(&self, hook: &Hook, question: &Question<'_>) -> Option<Duration> {
        let now = self.host.clock().monotonic();
        let left = question.review.aside.until.map(|until| until.since(now));
        match (hook.timeout, left) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (own, left) => own.or(left),
        }
    }

    /// Enters what became of a call into the counters; whether it is a refusal.
    pub(super) fn count(
        &self,
        hook: &Hook,
        question: (&str, Step),
        elapsed: Duration,
        failure: Option<&Failure>,
    ) {
        let (operation, step) = question;
        let (kind, code, rejected) = match failure {
            None => ("", 200, false),
            Some(Failure::Calling { code, .. }) => ("calling_webhook_error", *code, !hook.ignores_failure),
            Some(Failure::Denied(status)) => ("no_error", status.code, true),
            Some(Failure::Own(_)) => ("apiserver_internal_error", 0, true),
        };
        let counts = &self.counts;
        if rejected {
            counts.rejected(&hook.name, step.label(), operation, kind, code);
        }
        counts.asked(&hook.name, step.label(), operation, elapsed, rejected, code);
    }
}
