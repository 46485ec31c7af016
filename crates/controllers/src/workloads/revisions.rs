//! ControllerRevisions: what a DaemonSet's or StatefulSet's pods were made from
//! (`pkg/controller/history`).

use std::sync::Arc;

use api::object::ObjectExt as _;
use client::{ClientError, DeleteParams, Informer, Rest};
use serde_json::{Value, json};

use super::{REVISIONS, rollout};
use crate::{objects::controller_uid, pods::owner_reference};

/// Label of pods and revisions.
pub(super) const HASH: &str = "controller-revision-hash";

/// The revisions of an owner, oldest first.
pub(super) fn history(informer: &Informer, owner: &Value) -> Vec<Arc<Value>> {
    let uid = owner.uid();
    let mut all = informer.by_namespace(owner.namespace());
    all.retain(|r| controller_uid(r) == Some(uid));
    all.sort_by_key(|r| (revision(r), r.name().to_owned()));
    all
}

fn revision(of: &Value) -> i64 {
    of.i64_at("/revision").unwrap_or(0)
}

pub(super) fn hash_of(object: &Value) -> &str {
    let labels = object.pointer("/metadata/labels");
    labels.and_then(|l| l.get(HASH)).and_then(Value::as_str).unwrap_or_default()
}

/// The part of an owner that a revision holds: a patch that restores it.
fn data(owner: &Value) -> Value {
    let mut template = owner.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
    template["$patch"] = "replace".into();
    json!({"spec": {"template": template}})
}

/// What came of looking for the revision of an owner's present template.
pub(super) enum Current {
    /// It is there now.
    Is(Value),
    /// Another template has its name: `status.collisionCount` must grow first.
    Collides,
}

/// Finds the revision of the present template, or makes it. An older one that fits becomes the newest.
pub(super) async fn current(
    rest: &Rest,
    owner: &Value,
    history: &[Arc<Value>],
) -> Result<Current, ClientError> {
    let namespace = owner.namespace();
    let data = data(owner);
    let next = history.last().map_or(0, |r| revision(r)) + 1;
    if let Some(found) = history.iter().rev().find(|r| r.get("data") == Some(&data)) {
        if revision(found) == next - 1 {
            return Ok(Current::Is((**found).clone()));
        }
        let mut newest = (**found).clone();
        newest["revision"] = next.into();
        let name = found.name();
        return rest.update(&REVISIONS, Some(namespace), name, &newest).await.map(Current::Is);
    }
    let collisions = owner.i64_at("/status/collisionCount").unwrap_or(0);
    let hash = rollout::template_hash(owner.pointer("/spec/template").unwrap_or(&Value::Null), collisions);
    let name = format!("{}-{hash}", owner.name());
    let labels = owner.pointer("/spec/template/metadata/labels").cloned();
    let mut object = json!({
        "apiVersion": "apps/v1",
        "data": data,
        "kind": "ControllerRevision",
        "metadata": {
            "labels": labels.unwrap_or_else(|| json!({})),
            "name": name,
            "namespace": namespace,
            "ownerReferences": [owner_reference(owner)],
        },
        "revision": next,
    });
    object["metadata"]["labels"][HASH] = hash.into();
    if let Some(annotations) = owner.pointer("/metadata/annotations") {
        object["metadata"]["annotations"] = annotations.clone();
    }
    match rest.create(&REVISIONS, Some(namespace), &object).await {
        Ok(created) => Ok(Current::Is(created)),
        Err(e) if e.is_already_exists() => {
            let there = rest.get(&REVISIONS, Some(namespace), &name).await?;
            let ours = controller_uid(&there) == Some(owner.uid());
            Ok(if ours && there.get("data") == Some(&data) { Current::Is(there) } else { Current::Collides })
        }
        Err(e) => Err(e),
    }
}

/// Deletes the oldest revisions beyond `spec.revisionHistoryLimit` that no pod in `live` is of.
pub(super) async fn clean_up(
    rest: &Rest,
    owner: &Value,
    history: &[Arc<Value>],
    live: &[&str],
) -> Result<(), ClientError> {
    let limit = usize::try_from(owner.i64_at("/spec/revisionHistoryLimit").unwrap_or(10)).unwrap_or(0);
    let old: Vec<&Arc<Value>> = history.iter().filter(|r| !live.contains(&hash_of(r))).collect();
    for revision in old.iter().take(old.len().saturating_sub(limit)) {
        let (namespace, name) = (revision.namespace(), revision.name());
        match rest.delete(&REVISIONS, Some(namespace), name, &DeleteParams::default()).await {
            Err(e) if !e.is_not_found() => return Err(e),
            _ => {}
        }
    }
    Ok(())
}
