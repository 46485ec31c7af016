//! What loops that own pods, and those that own the owners, share: which are theirs, which count, and how one
//! is made.

use std::{sync::Arc, time::Duration};

use api::{object::ObjectExt as _, selector::LabelSelector, status::Status};
use client::{
    Change, ClientError, DeleteParams, Informer, Next, Patch, Resource, Rest, WorkQueue, recorder::Recorder,
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use world::Wall;

use crate::objects::{condition, condition_is, controller_uid};

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
    matches!(pod.str_at("/status/phase"), "Succeeded" | "Failed")
}

/// Not finished and not on its way out.
pub(crate) fn is_active(pod: &Value) -> bool {
    !pod.is_terminating() && !is_finished(pod)
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
    let since = condition(pod, "Ready").and_then(|c| c.time_at("/lastTransitionTime"));
    since.is_some_and(|since| now.duration_since(since) >= min_ready)
}

/// How long until the next ready one of `pods` counts as available; `None` if none is to come.
pub(crate) fn until_available<'a>(
    pods: impl IntoIterator<Item = &'a Arc<Value>>,
    min_ready: SignedDuration,
    now: Wall,
) -> Option<Duration> {
    let waiting = pods.into_iter().filter(|p| is_ready(p) && !is_available(p, min_ready, now));
    let left = waiting.map(|pod| {
        let since = condition(pod, "Ready").and_then(|c| c.time_at("/lastTransitionTime"));
        // A time that lies ahead is of another clock, or of one that was set back.
        since.map_or(min_ready, |since| (min_ready - now.duration_since(since)).min(min_ready))
    });
    left.min().map(|left| Duration::try_from(left).unwrap_or_default())
}

/// Whether the `spec.selector` of a workload selects `object`.
pub(crate) fn selects(owner: &Value, object: &Value) -> bool {
    owner
        .pointer("/spec/selector")
        .and_then(|s| LabelSelector::from_object(s).ok())
        .is_some_and(|s| s.matches(object))
}

/// Keys of the `owners` that want to know of a change of `object`: the one that controls it, or,
/// for an orphan, all that select it.
pub(crate) fn interested(owners: &Informer, object: &Value) -> Vec<String> {
    let uid = controller_uid(object);
    owners
        .by_namespace(object.namespace())
        .iter()
        .filter(|o| match uid {
            Some(uid) => o.uid() == uid,
            None => selects(o, object),
        })
        .map(|o| client::key_of(o))
        .collect()
}

/// Tells `queue` of `owners` that change, and of those that a change of what they own concerns.
pub(crate) fn follow(queue: &WorkQueue, owners: &Informer, owned: &Informer) {
    let feed = queue.clone();
    owners.on(move |change| feed.add(change.key()));
    let (feed, owners) = (queue.clone(), owners.clone());
    owned.on(move |change| {
        interested(&owners, change.object()).into_iter().for_each(|key| feed.add(key));
        if let Change::Updated { old, new } = change
            && controller_uid(old) != controller_uid(new)
        {
            interested(&owners, old).into_iter().for_each(|key| feed.add(key));
        }
    });
}

/// Who claims what.
pub(crate) struct Claim<'a> {
    pub rest: &'a Rest,
    /// Of the owner.
    pub owners: &'a Resource,
    pub owned: &'a Resource,
    pub informer: &'a Informer,
}

impl Claim<'_> {
    /// Objects that `owner` controls; orphans that it selects are adopted, objects it no longer selects let
    /// go (`controller_ref_manager.go`).
    pub(crate) async fn of(&self, owner: &Value) -> Result<Vec<Arc<Value>>, ClientError> {
        let (uid, namespace) = (owner.uid(), owner.namespace());
        let mut mine = Vec::new();
        let mut checked = false;
        for object in self.informer.by_namespace(namespace) {
            match controller_uid(&object) {
                Some(controller) if controller == uid && selects(owner, &object) => mine.push(object),
                Some(controller) if controller == uid && !owner.is_terminating() => {
                    self.patch(&object, json!({"$patch": "delete", "uid": uid})).await?;
                }
                None if is_active(&object) && !owner.is_terminating() && selects(owner, &object) => {
                    if !std::mem::replace(&mut checked, true) {
                        self.check_there(owner).await?;
                    }
                    mine.extend(self.patch(&object, owner_reference(owner)).await?);
                }
                _ => {}
            }
        }
        Ok(mine)
    }

    /// The owner is there still and stays, says the server: what is adopted for one that is gone would follow it
    /// (`RecheckDeletionTimestamp`).
    async fn check_there(&self, owner: &Value) -> Result<(), ClientError> {
        let (namespace, name) = (owner.namespace(), owner.name());
        let live = self.rest.get(self.owners, Some(namespace), name).await?;
        let (got, wanted) = (live.uid(), owner.uid());
        if got != wanted {
            let why = format!("original {namespace}/{name} not found: got uid {got}, wanted {wanted}");
            return Err(Status::conflict(&self.owners.qualified(), name, why).into());
        }
        if let deleted = live.str_at("/metadata/deletionTimestamp")
            && !deleted.is_empty()
        {
            let why = format!("{namespace}/{name} has just been deleted at {deleted}");
            return Err(Status::conflict(&self.owners.qualified(), name, why).into());
        }
        Ok(())
    }

    /// Changes a reference, if it is still the same object; what is gone is nobody's to claim.
    async fn patch(&self, object: &Value, reference: Value) -> Result<Option<Arc<Value>>, ClientError> {
        let (namespace, name) = (object.namespace(), object.name());
        let uid = object.uid();
        let patch = json!({"metadata": {"ownerReferences": [reference], "uid": uid}});
        match self.rest.patch(self.owned, Some(namespace), name, Patch::Strategic(&patch), None).await {
            Ok(patched) => Ok(Some(Arc::new(patched))),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
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
    let (namespace, name) = (pod.namespace(), pod.name());
    let params = DeleteParams::uid(pod.uid());
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
        "generateName": format!("{}-", owner.name()),
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
        "apiVersion": owner.api_version(),
        "blockOwnerDeletion": true,
        "controller": true,
        "kind": owner.kind(),
        "name": owner.name(),
        "uid": owner.uid(),
    })
}
