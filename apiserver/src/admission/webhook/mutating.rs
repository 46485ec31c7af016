//! MutatingAdmissionWebhook: one webhook after the other, each sees what those before it made.

use api::status::{Status, quoted};
use serde_json::{Value, json};

use super::{
    super::{Form, Review, Tools},
    Facts, Webhooks,
    call::{Failure, Step},
    hook::Hook,
    patch,
    review::Response,
    rounds::Rounds,
    seen::Seen,
};
use crate::audit::Level;

const MUTATION: &str = "mutation.webhook.admission.k8s.io";
const PATCH: &str = "patch.webhook.admission.k8s.io";

/// What a webhook's answer came to.
struct Outcome {
    /// As its webhook sees it.
    object: Value,
    patch: Value,
    changed: bool,
}

impl Webhooks {
    /// Asks all webhooks that the request concerns, and lets them change its object.
    ///
    /// # Errors
    /// By the first that does not let it pass.
    pub(in super::super) async fn mutate(
        &self,
        tools: &Tools,
        review: &mut Review<'_>,
        rounds: &mut Rounds,
    ) -> Result<(), Status> {
        if self.is_idle(&self.mutating, review).await? {
            return Ok(());
        }
        rounds.begin(review.new_object());
        let facts = Facts::of(tools, review);
        for (index, hook) in self.mutating.all().iter().enumerate() {
            let Some(form) = hook.criteria.form_of(tools, review).await? else { continue };
            self.one(tools, hook, review, rounds, (&form, &facts, index)).await?;
        }
        rounds.end(review.new_object());
        Ok(())
    }

    async fn one(
        &self,
        tools: &Tools,
        hook: &Hook,
        review: &mut Review<'_>,
        rounds: &mut Rounds,
        (form, facts, index): (&Form, &Facts, usize),
    ) -> Result<(), Status> {
        let seen = Seen::of(review, form).await?;
        let question = seen.question(review, form, facts);
        let hold = self.conditions_hold(tools, hook, &question, Step::Mutating).await?;
        if !hold || !rounds.asks(&hook.uid) {
            return Ok(());
        }
        let began = self.host.clock().monotonic();
        let answered = self.ask(hook, &question, Step::Mutating).await;
        let outcome =
            answered.and_then(|response| patched(hook, question.review, question.object, response, form));
        let elapsed = self.host.clock().monotonic().since(began);
        let operation = review.operation.as_str();
        self.count(hook, (operation, Step::Mutating), elapsed, outcome.as_ref().err());
        let place = format!("round_{}_index_{index}", rounds.number());
        let changed = outcome.as_ref().is_ok_and(|o| o.as_ref().is_some_and(|o| o.changed));
        annotate(review, hook, &place, changed);
        if hook.reinvoked && !changed {
            rounds.invoke(&hook.uid);
        }
        match outcome {
            Ok(None) => Ok(()),
            Ok(Some(outcome)) => {
                annotate_patch(review, hook, &place, &outcome.patch);
                let converted = seen.into_object().is_some();
                if changed {
                    rounds.change(review.new_object());
                    if hook.reinvoked {
                        rounds.invoke(&hook.uid);
                    }
                }
                let Some(object) = review.object.as_deref_mut() else { return Ok(()) };
                match review.aside.outside.filter(|_| converted) {
                    Some(outside) => outside
                        .take_back(outcome.object, form, object)
                        .await
                        .map_err(|status| Status::internal(status.message)),
                    None => {
                        *object = outcome.object;
                        Ok(())
                    }
                }
            }
            Err(Failure::Calling { why, .. }) => {
                let place = format!("failed-open.{MUTATION}/{place}");
                self.unasked(hook, review, &why, Step::Mutating, &place)
            }
            Err(Failure::Denied(status) | Failure::Own(status)) => Err(status),
        }
    }
}

/// The object as the webhook wants it; `None` if it wants nothing.
fn patched(
    hook: &Hook,
    review: &Review<'_>,
    object: Option<&Value>,
    response: Response,
    form: &Form,
) -> Result<Option<Outcome>, Failure> {
    if response.patch.is_empty() {
        return Ok(None);
    }
    let list: Vec<Value> = serde_json::from_slice(&response.patch)
        .map_err(|e| Failure::calling(format!("received undecodable patch in webhook response: {e}"), 503))?;
    if list.is_empty() {
        return Ok(None);
    }
    let Some(object) = object else {
        return Err(Failure::Own(Status::internal(format!(
            "admission webhook {} attempted to modify the object, which is not supported for this operation",
            quoted(&hook.name)
        ))));
    };
    if response.patch_type != "JSONPatch" {
        let why = format!("unsupported patch type {}", quoted(&response.patch_type));
        return Err(Failure::calling(why, 400));
    }
    let patch = Value::Array(list);
    let own = |why: String| Failure::Own(Status::internal(why));
    let mut after = patch::apply(object, &patch).map_err(own)?;
    if let Some(outside) = review.aside.outside {
        outside.read(&mut after, form).map_err(own)?;
    }
    Ok(Some(Outcome { changed: after != *object, object: after, patch }))
}

fn annotate(review: &Review<'_>, hook: &Hook, place: &str, mutated: bool) {
    let value = json!({ "configuration": hook.configuration, "webhook": hook.name, "mutated": mutated });
    review.remarks.annotate(&format!("{MUTATION}/{place}"), value.to_string());
}

/// Only for who may see the request's body anyway.
fn annotate_patch(review: &Review<'_>, hook: &Hook, place: &str, patch: &Value) {
    let value = json!({ "configuration": hook.configuration, "webhook": hook.name, "patch": patch, "patchType": "JSONPatch" });
    review.remarks.annotate_from(Level::Request, &format!("{PATCH}/{place}"), value.to_string());
}
