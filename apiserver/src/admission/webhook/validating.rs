//! ValidatingAdmissionWebhook: all webhooks at once, on the object as it is to be stored.

use std::sync::Arc;

use api::status::Status;
use parking_lot::Mutex;

use super::{
    super::{Form, Review, Tools},
    Facts, Webhooks,
    call::{Failure, Step},
    hook::Hook,
    review::Question,
    seen::Seen,
};

const FAILED_OPEN: &str = "failed-open.validating.webhook.admission.k8s.io";

impl Webhooks {
    /// Asks all webhooks that the request concerns.
    ///
    /// # Errors
    /// By the one that says no first.
    pub(in super::super) async fn validate(&self, tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
        if self.is_idle(&self.validating, review).await? {
            return Ok(());
        }
        let facts = Facts::of(tools, review);
        // The objects in each of the forms that are asked for.
        let mut forms: Vec<(Form, Seen)> = Vec::new();
        let mut relevant: Vec<(Arc<Hook>, usize)> = Vec::new();
        for hook in self.validating.all() {
            let Some(form) = hook.criteria.form_of(tools, review).await? else { continue };
            let place = match forms.iter().position(|(known, _)| *known == form) {
                Some(place) => place,
                None => {
                    let seen = Seen::of(review, &form).await?;
                    forms.push((form, seen));
                    forms.len() - 1
                }
            };
            let Some((form, seen)) = forms.get(place) else { continue };
            let question = seen.question(review, form, &facts);
            if self.conditions_hold(tools, &hook, &question, Step::Validating).await? {
                relevant.push((hook, place));
            }
        }
        let refusals: Mutex<Vec<Status>> = Mutex::default();
        let calls = relevant.iter().enumerate().filter_map(|(index, (hook, place))| {
            let (form, seen) = forms.get(*place)?;
            let (refusals, facts) = (&refusals, &facts);
            Some(async move {
                let question = seen.question(review, form, facts);
                if let Err(status) = self.check(hook, &question, index).await {
                    refusals.lock().push(status);
                }
            })
        });
        futures::future::join_all(calls).await;
        // Others may have more to say; the first is heard, as upstream.
        refusals.into_inner().into_iter().next().map_or(Ok(()), Err)
    }

    async fn check(&self, hook: &Hook, question: &Question<'_>, index: usize) -> Result<(), Status> {
        let began = self.host.clock().monotonic();
        let outcome = self.ask(hook, question, Step::Validating).await;
        let elapsed = self.host.clock().monotonic().since(began);
        let operation = question.review.operation.as_str();
        self.count(hook, (operation, Step::Validating), elapsed, outcome.as_ref().err());
        match outcome {
            Ok(_) => Ok(()),
            Err(Failure::Calling { why, .. }) => {
                let place = format!("{FAILED_OPEN}/round_0_index_{index}");
                self.unasked(hook, question.review, &why, Step::Validating, &place)
            }
            Err(Failure::Denied(status) | Failure::Own(status)) => Err(status),
        }
    }
}
