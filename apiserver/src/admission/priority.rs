//! Priority: the name of a priority class becomes a number on the pod, and only one class is the default.

use std::sync::Arc;

use api::{object::ObjectExt as _, status::Status};
use serde_json::Value;

use super::{Operation, Review, Tools, refusal::forbidden};

const PREEMPT: &str = "PreemptLowerPriority";

/// Resolves the class of a new pod; on an update, keeps what was resolved when the pod was created.
pub(super) async fn mutate(tools: &Tools, review: &mut Review<'_>) -> Result<(), Status> {
    if !(review.is("", "pods") && review.subresource.is_empty()) {
        return Ok(());
    }
    match review.operation {
        Operation::Create => resolve(tools, review).await,
        Operation::Update => {
            if let (Some(pod), Some(old)) = (review.object.as_deref_mut(), review.old) {
                for field in ["/spec/priority", "/spec/preemptionPolicy"] {
                    if let (None, Some(value)) = (pod.at(field), old.at(field)) {
                        pod.set_at(field, value.clone());
                    }
                }
            }
            Ok(())
        }
        Operation::Delete | Operation::Connect => Ok(()),
    }
}

async fn resolve(tools: &Tools, review: &mut Review<'_>) -> Result<(), Status> {
    tools.ready(review, &[&tools.informers.priority_classes]).await?;
    let Some(pod) = review.new_object() else { return Ok(()) };
    let asked = pod.str_at("/spec/priorityClassName").to_owned();
    let class =
        if asked.is_empty() {
            default_class(tools)
        } else {
            let found = tools.informers.priority_classes.get(None, &asked);
            Some(found.ok_or_else(|| {
                forbidden(review, format_args!("no PriorityClass with name {asked} was found"))
            })?)
        };
    let priority = class.as_ref().and_then(|c| c.i64_at("/value")).unwrap_or(0);
    let policy = match class.as_ref().map(|c| c.str_at("/preemptionPolicy")) {
        None | Some("") => PREEMPT,
        Some(policy) => policy,
    }
    .to_owned();
    if let Some(given) = pod.i64_at("/spec/priority").filter(|given| *given != priority) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission \
             controller computed {priority} from the given PriorityClass name"
        );
        return Err(forbidden(review, why));
    }
    let given = pod.str_at("/spec/preemptionPolicy");
    if !given.is_empty() && given != policy {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority \
             admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(forbidden(review, why));
    }
    if let Some(pod) = review.object.as_deref_mut() {
        if let Some(class) = class.filter(|_| asked.is_empty()) {
            pod.set_at("/spec/priorityClassName", class.name());
        }
        pod.set_at("/spec/priority", priority);
        pod.set_at("/spec/preemptionPolicy", policy);
    }
    Ok(())
}

/// The default class; of several, the least.
fn default_class(tools: &Tools) -> Option<Arc<Value>> {
    let classes = tools.informers.priority_classes.list();
    let defaults = classes.into_iter().filter(|class| class.bool_at("/globalDefault"));
    defaults.min_by_key(|class| class.i64_at("/value").unwrap_or(0))
}

/// Refuses a second default.
pub(super) async fn validate(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    let applies = review.is("scheduling.k8s.io", "priorityclasses")
        && matches!(review.operation, Operation::Create | Operation::Update);
    let Some(class) = review.new_object().filter(|class| applies && class.bool_at("/globalDefault")) else {
        return Ok(());
    };
    tools.ready(review, &[&tools.informers.priority_classes]).await?;
    match default_class(tools) {
        Some(held) if review.operation == Operation::Create || held.name() != class.name() => {
            let why = format!(
                "PriorityClass {} is already marked as default. Only one default can exist",
                held.name()
            );
            Err(forbidden(review, why))
        }
        _ => Ok(()),
    }
}
