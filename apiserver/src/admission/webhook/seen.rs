//! The objects of a request as one webhook is to see them.

use api::status::Status;
use serde_json::Value;

use super::{
    super::{Form, Review, Tools, asking::Asking},
    Facts, Webhooks,
    call::Step,
    conditions::{Verdict, unknown},
    hook::Hook,
    review::Question,
};

/// Those that had to be converted.
pub(super) struct Seen {
    object: Option<Value>,
    old: Option<Value>,
}

impl Seen {
    /// # Errors
    /// 500: an object cannot be converted.
    pub(super) async fn of(review: &Review<'_>, form: &Form) -> Result<Self, Status> {
        let show = async |object: Option<&Value>| match (review.aside.outside, object) {
            (Some(outside), Some(object)) => {
                outside.show(object, form).await.map_err(|status| Status::internal(status.message))
            }
            _ => Ok(None),
        };
        Ok(Self { object: show(review.new_object()).await?, old: show(review.old).await? })
    }

    /// The question to a webhook about these objects.
    pub(super) fn question<'a>(
        &'a self,
        review: &'a Review<'a>,
        form: &'a Form,
        facts: &'a Facts,
    ) -> Question<'a> {
        Question {
            review,
            form,
            object: self.object.as_ref().or(review.new_object()),
            old: self.old.as_ref().or(review.old),
            facts,
        }
    }

    /// The new object, if it was converted.
    pub(super) fn into_object(self) -> Option<Value> {
        self.object
    }
}

impl Webhooks {
    /// Whether the webhook's conditions hold.
    ///
    /// # Errors
    /// 403: nobody knows, and failures are not ignored.
    pub(super) async fn conditions_hold(
        &self,
        tools: &Tools,
        hook: &Hook,
        question: &Question<'_>,
        step: Step,
    ) -> Result<bool, Status> {
        if hook.conditions.is_empty() {
            return Ok(true);
        }
        let (request, asking) = (question.variables(), Asking::new(&tools.authz, question.review));
        let verdict = loop {
            let verdict = hook.conditions.check(question.object, question.old, &request, &asking);
            if !asking.settle().await {
                break verdict;
            }
        };
        let (operation, step) = (question.review.operation.as_str(), step.condition_label());
        match verdict {
            Verdict::Matches => Ok(true),
            Verdict::Excluded { errors } => {
                self.counts.conditions(&hook.name, step, operation, errors, true);
                Ok(false)
            }
            Verdict::Fails { why, errors } => {
                self.counts.conditions(&hook.name, step, operation, errors, false);
                tracing::warn!("Failed evaluating match conditions, failing closed {}: {why}", hook.name);
                Err(unknown(question.review, &why))
            }
        }
    }
}
