//! What loops that own pods share: which are theirs, which count, and how one is made.

use std::sync::Arc;

use api::selector::LabelSelector;
use client::{ClientError, DeleteParams, Informer, Next, Patch, Resource, Rest, recorder::Recorder};
use jiff::SignedDuration;
use serde_json::{Value, json};
use world::Wall;

use crate::objects::{condition, condition_is, controller_uid, is_deleting, text, time};

pub(crate) const PODS: Resource = Resource::core("pods");

/// What a sync's outcome means for its key: a lost race is run again, not reported.
pub(crate) fn settled(outcome: Result<Next, ClientError>) -> Result<Next, String> {
    match outcome {
        // The informer will show what the other one wrote.
        Err(e) if e.is_conflict() => Ok(Next::Retry),
        Err(e) if e.is_namespace_terminating() => Ok(Next::OnChange),
        other => other.map_err(|e| e.to_string()),
    }
}

pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Not finished and not on its way out.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_deleting(pod) && !is_finished(pod)
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    condition_is(pod, "Ready", "True")
}

/// Ready for at least `min_ready`.
pub(crate) fn is_available(pod: &Value, min_ready: SignedDuration, now: Wall) -> bool {
    if !is_ready(pod) {
        return false;
    }
    if min_ready.is_zero() {
        return true;
    }
    let since = condition(pod, "Ready").and_then(|c| time(c, "/lastTransitionTime"));
    since.is_some_and(|since| now.duration_since(since) >= min_ready)
}

/// Whether the `spec.selector` of a workload selects `pod`.
pub(crate) fn selects(owner: &Value, pod: &Value) -> bool {
    owner
        .pointer("/spec/selector")
        .and_then(|s| LabelSelector::from_object(s).ok())
        .is_some_and(|s| s.matches(pod))
}

/// Keys of the `owners` that want to know of a change of `object`: the one that controls it, or,
/// for an orphan, all that select it.
pub(crate) fn interested(owners: &Informer, object: &Value) -> Vec<String> {
    let uid = controller_uid(object);
    owners
        .by_namespace(text(object, "/metadata/namespace"))
        .iter()
        .filter(|o| match uid {
            Some(uid) => text(o, "/metadata/uid") == uid,
            None => selects(o, object),
        })
        .map(|o| client::key_of(o))
        .collect()
}

/// Pods that `owner` controls; orphans that it selects are adopted, pods it no longer selects let go.
pub(crate) async fn claimed(
    rest: &Rest,
    pods: &Informer,
    owner: &Value,
) -> Result<Vec<Arc<Value>>, ClientError> {
    let (uid, namespace) = (text(owner, "/metadata/uid"), text(owner, "/metadata/namespace"));
    let mut mine = Vec::new();
    for pod in pods.by_namespace(namespace) {
        match controller_uid(&pod) {
            Some(controller) if controller == uid && selects(owner, &pod) => mine.push(pod),
            Some(controller) if controller == uid && !is_deleting(&pod) => {
                let patch = json!({"metadata": {"ownerReferences": [{"$patch": "delete", "uid": uid}], "uid": text(&pod, "/metadata/uid")}});
                patch_pod(rest, &pod, &patch).await?;
            }
            None if is_active(&pod) && !is_deleting(owner) && selects(owner, &pod) => {
                let patch = json!({"metadata": {"ownerReferences": [owner_reference(owner)], "uid": text(&pod, "/metadata/uid")}});
                patch_pod(rest, &pod, &patch).await?;
                mine.push(pod);
            }
            _ => {}
        }
    }
    Ok(mine)
}

/// Patches a pod; one that is gone or another one meanwhile needs nothing.
pub(crate) async fn patch_pod(rest: &Rest, pod: &Value, patch: &Value) -> Result<(), ClientError> {
    let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    match rest.patch(&PODS, Some(namespace), name, Patch::Strategic(patch), None).await {
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() || e.is_conflict() => Ok(()),
        Err(e) => Err(e),
    }
}

/// Deletes a pod for its owner and tells of it; whether it was still there
/// (`controller_utils.go`, RealPodControl).
pub(crate) async fn delete_for(
    rest: &Rest,
    recorder: &Recorder,
    owner: &Value,
    pod: &Value,
) -> Result<bool, ClientError> {
    let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    let params = DeleteParams::uid(text(pod, "/metadata/uid"));
    match rest.delete(&PODS, Some(namespace), name, &params).await {
        Ok(_) => {
            recorder.normal(owner, "SuccessfulDelete", format!("Deleted pod: {name}"));
            Ok(true)
        }
        Err(e) if e.is_not_found() || e.is_conflict() => Ok(false),
        Err(e) => {
            recorder.warning(owner, "FailedDelete", format!("Error deleting: {e}"));
            Err(e)
        }
    }
}

/// A pod of `owner`'s template whose name the server makes (`GetPodFromTemplate`).
pub(crate) fn from_template(owner: &Value) -> Value {
    let part = |at: &str| owner.pointer(at).filter(|v| !v.is_null()).cloned().unwrap_or_else(|| json!({}));
    let mut metadata = json!({
        "annotations": part("/spec/template/metadata/annotations"),
        "generateName": format!("{}-", text(owner, "/metadata/name")),
        "labels": part("/spec/template/metadata/labels"),
        "ownerReferences": [owner_reference(owner)],
    });
    if let Some(finalizers) = owner.pointer("/spec/template/metadata/finalizers") {
        metadata["finalizers"] = finalizers.clone();
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": part("/spec/template/spec")})
}

pub(crate) fn owner_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": text(owner, "/apiVersion"),
        "blockOwnerDeletion": true,
        "controller": true,
        "kind": text(owner, "/kind"),
        "name": text(owner, "/metadata/name"),
        "uid": text(owner, "/metadata/uid"),
    })
}
