//! AlwaysPullImages: nobody runs an image that somebody else was allowed to pull.

use api::{
    object::ObjectExt as _,
    status::{FieldError, Status},
};
use serde_json::Value;

use super::{Operation, Review, refusal::forbidden};

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
const ALWAYS: &str = "Always";

fn containers(pod: &Value) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    LISTS.into_iter().flat_map(move |list| {
        let held = pod.at("/spec").and_then(|spec| spec.get(list)).and_then(Value::as_array);
        held.into_iter().flatten().enumerate().map(move |(at, container)| (list, at, container))
    })
}

/// Pods, and changes of pods that bring an image which was not there.
fn applies(review: &Review<'_>) -> bool {
    if !review.is("", "pods") || !review.subresource.is_empty() {
        return false;
    }
    let images = |pod: &'_ Value| -> std::collections::BTreeSet<String> {
        containers(pod).map(|(.., c)| c.str_at("/image").to_owned()).collect()
    };
    match (review.operation, review.new_object(), review.old) {
        (Operation::Create, ..) => true,
        (Operation::Update, Some(new), Some(old)) => !images(new).is_subset(&images(old)),
        _ => false,
    }
}

/// Sets the pull policy of every container and every volume from an image.
pub(super) fn mutate(review: &mut Review<'_>) {
    if !applies(review) {
        return;
    }
    let Some(pod) = review.object.as_deref_mut() else { return };
    for list in LISTS {
        let list = pod.at_mut("/spec").and_then(|spec| spec.get_mut(list)).and_then(Value::as_array_mut);
        list.into_iter().flatten().for_each(|container| container.set_at("/imagePullPolicy", ALWAYS));
    }
    for volume in pod.at_mut("/spec/volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        if volume.get("image").is_some_and(Value::is_object) {
            volume.set_at("/image/pullPolicy", ALWAYS);
        }
    }
}

/// Refuses a policy that somebody after us has changed back.
pub(super) fn validate(review: &Review<'_>) -> Result<(), Status> {
    let Some(pod) = review.new_object().filter(|_| applies(review)) else { return Ok(()) };
    let wrong: Vec<String> = containers(pod)
        .filter(|(.., container)| container.str_at("/imagePullPolicy") != ALWAYS)
        .map(|(list, at, container)| {
            let field = format!("spec.{list}[{at}].imagePullPolicy");
            let error = FieldError::not_supported(field, container.str_at("/imagePullPolicy"), &[ALWAYS]);
            forbidden(review, error).message
        })
        .collect();
    // A list of refusals has no code of its own upstream.
    match wrong.as_slice() {
        [] => Ok(()),
        [one] => Err(Status::unclassified(one.clone())),
        several => Err(Status::unclassified(format!("[{}]", several.join(", ")))),
    }
}
