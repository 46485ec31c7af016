//! RuntimeClass: what a pod costs beyond its containers, and where pods of its class can run.

use std::sync::Arc;

use api::{object::ObjectExt as _, status::Status};
use client::Resource;
use serde_json::Value;

use super::{Operation, Review, Tools, amounts, refusal::forbidden, tolerations};

/// The first release in which the overhead counts (gate PodOverhead).
const OVERHEAD_SINCE: u16 = 18;
const OVERHEAD: &str = "/spec/overhead";

fn applies(review: &Review<'_>) -> bool {
    review.operation == Operation::Create && review.is("", "pods") && review.subresource.is_empty()
}

/// The pod's class: the informer's, or one that was made a moment ago.
async fn class_of(tools: &Tools, review: &Review<'_>) -> Result<Option<Arc<Value>>, Status> {
    let named = review.new_object().and_then(|pod| pod.at("/spec/runtimeClassName"));
    let Some(name) = named.and_then(Value::as_str) else { return Ok(None) };
    if let Some(class) = tools.informers.runtime_classes.get(None, name) {
        return Ok(Some(class));
    }
    let resource = Resource::new("node.k8s.io", "v1", "runtimeclasses");
    match tools.rest.get(&resource, None, name).await {
        Ok(class) => Ok(Some(Arc::new(class))),
        Err(error) if error.is_not_found() => {
            Err(forbidden(review, format_args!("pod rejected: RuntimeClass {name:?} not found")))
        }
        Err(error) => Err(super::refusal::raw(&error)),
    }
}

/// Sets the overhead, and merges node selector and tolerations of the class.
pub(super) async fn mutate(tools: &Tools, review: &mut Review<'_>) -> Result<(), Status> {
    if !applies(review) {
        return Ok(());
    }
    let Some(class) = class_of(tools, review).await? else { return Ok(()) };
    let Some(pod) = review.new_object() else { return Ok(()) };
    let overhead = class.at("/overhead").filter(|o| o.is_object() && has_overheads(tools));
    if overhead.is_some() && has_own_overhead(pod) && !is_overhead_of(pod, &class) {
        return Err(mismatch(review));
    }
    let scheduling = class.at("/scheduling").filter(|s| s.is_object());
    let selector = scheduling.and_then(|s| s.map_at("/nodeSelector")).cloned().unwrap_or_default();
    for (key, wanted) in &selector {
        let own = pod.map_at("/spec/nodeSelector").and_then(|own| own.get(key));
        if let Some(own) = own.filter(|own| *own != wanted) {
            let (wanted, own) = (wanted.as_str().unwrap_or_default(), own.as_str().unwrap_or_default());
            return Err(forbidden(
                review,
                format_args!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; \
                     pod.spec.nodeSelector[{key}] = {own}"
                ),
            ));
        }
    }
    let merged =
        scheduling.map(|s| tolerations::merge(pod.list_at("/spec/tolerations"), s.list_at("/tolerations")));
    let Some(pod) = review.object.as_deref_mut() else { return Ok(()) };
    if let Some(fixed) = overhead.and_then(|o| o.get("podFixed")) {
        pod.set_at(OVERHEAD, fixed.clone());
    }
    for (key, value) in selector {
        if pod.map_at("/spec/nodeSelector").is_none() {
            pod.set_at("/spec/nodeSelector", serde_json::Map::new());
        }
        if let Some(own) = pod.at_mut("/spec/nodeSelector").and_then(Value::as_object_mut) {
            own.insert(key, value);
        }
    }
    if let Some(merged) = merged.filter(|m| !m.is_empty()) {
        pod.set_at("/spec/tolerations", merged);
    }
    Ok(())
}

/// Refuses an overhead that is not the class's.
pub(super) async fn validate(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    if !applies(review) || !has_overheads(tools) {
        return Ok(());
    }
    let class = class_of(tools, review).await?;
    let Some(pod) = review.new_object() else { return Ok(()) };
    match class.filter(|class| class.at("/overhead").is_some_and(Value::is_object)) {
        Some(class) if !is_overhead_of(pod, &class) => Err(mismatch(review)),
        None if has_own_overhead(pod) => Err(forbidden(
            review,
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        )),
        _ => Ok(()),
    }
}

fn has_overheads(tools: &Tools) -> bool {
    tools.profile.minor() >= OVERHEAD_SINCE
}

fn has_own_overhead(pod: &Value) -> bool {
    pod.at(OVERHEAD).is_some_and(|v| !v.is_null())
}

fn is_overhead_of(pod: &Value, class: &Value) -> bool {
    amounts::read(pod.at(OVERHEAD)) == amounts::read(class.at("/overhead/podFixed"))
}

fn mismatch(review: &Review<'_>) -> Status {
    forbidden(review, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
}
