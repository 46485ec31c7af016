//! Tells the API what runs: statuses of bound pods, and mirrors of static ones.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{ClientError, DeleteParams, Informer, Patch, Rest};
use serde_json::{Value, json};

use super::{Pods, Worker, source::PODS};

/// How often what could not be told is told again.
const RETRY: Duration = Duration::from_secs(10);
/// How soon a change is told: upstream batches for as long.
const BATCH: Duration = Duration::from_millis(100);

/// What was told of a pod.
struct Told {
    status: Value,
    /// The resourceVersion of the answer.
    at: u64,
}

/// Compares what runs with what was told, for ever.
pub(super) async fn tell(pods: Arc<Pods>, rest: Rest, node_uid: String, informer: Informer) {
    let host = pods.host.clone();
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    informer.synced().await;
    loop {
        let running: Vec<_> =
            pods.workers.lock().iter().map(|(uid, e)| (uid.clone(), e.worker.clone())).collect();
        told.retain(|uid, _| running.iter().any(|(u, _)| u == uid));
        let mut failed = false;
        for (uid, worker) in &running {
            if worker.is_static() && !told.contains_key(uid) {
                // What another kubelet said before this one.
                let (key, hash) = (worker.key(), uid.as_str());
                let (namespace, name) = client::split_key(&key);
                if let Some(mirror) = informer.get(namespace, name).filter(|m| is_mirror_of(m, hash)) {
                    worker.recall(mirror.get("status").unwrap_or(&Value::Null));
                }
            }
            let status = worker.status();
            if told
                .get(uid)
                .is_some_and(|told| told.status == status && !is_contradicted(&informer, worker, told))
                && (!worker.is_static() || has_mirror(&informer, &worker.key(), uid))
            {
                continue;
            }
            let outcome = if worker.is_static() {
                mirror(&pods, &rest, &informer, &node_uid, &worker.pod(), &status).await
            } else {
                report(&rest, &worker.pod(), &status).await
            };
            match outcome {
                Ok(at) => {
                    told.insert(uid.clone(), Told { status, at });
                }
                Err(e) => {
                    tracing::error!("Failed to update status for pod {}: {e}", worker.key());
                    failed = true;
                }
            }
        }
        if let Err(e) = forget_mirrors(&pods, &rest, &informer).await {
            tracing::error!("Failed to delete the mirror of a static pod that is gone: {e}");
            failed = true;
        }
        if failed {
            host.clock().sleep(RETRY).await;
            continue;
        }
        // Wake on a change; look again now and then for a mirror that somebody deleted.
        let changes = running.iter().map(|(_, w)| Box::pin(w.changed()));
        let any = async {
            if running.is_empty() {
                std::future::pending().await
            } else {
                futures::future::select_all(changes).await
            }
        };
        let arrival = pods.arrived();
        tokio::select! {
            biased;
            _ = any => {}
            () = arrival => {}
            () = host.recur(RETRY) => {}
        }
        host.clock().sleep(BATCH).await;
    }
}

/// Whether somebody else has changed a condition since it was told, as the node controller does when it has not heard
/// of the node: it is told again (`needsReconcile` of upstream's status manager).
fn is_contradicted(informer: &Informer, worker: &Worker, told: &Told) -> bool {
    let key = worker.key();
    let (namespace, name) = client::split_key(&key);
    let Some(seen) = informer.get(namespace, name).filter(|pod| revision(pod) > told.at) else {
        return false;
    };
    let conditions = seen.list_at("/status/conditions");
    told.status.list_at("/conditions").iter().any(|own| {
        let other = conditions.iter().find(|c| c.str_at("/type") == own.str_at("/type"));
        other.is_none_or(|other| other.str_at("/status") != own.str_at("/status"))
    })
}

fn revision(object: &Value) -> u64 {
    object.resource_version().parse().unwrap_or(0)
}

/// Tells the status of a bound pod; gives the resourceVersion with which it was stored.
pub(super) async fn report(rest: &Rest, pod: &Value, status: &Value) -> Result<u64, ClientError> {
    let text = |at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or_default();
    // The UID keeps a namesake from getting this pod's status.
    let patch = json!({"metadata": {"uid": text("/metadata/uid")}, "status": status});
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    match rest.patch(&PODS, Some(namespace), name, Patch::Strategic(&patch), Some("status")).await {
        Ok(stored) => Ok(revision(&stored)),
        // It is gone, or a namesake is there: nothing that is seen of it contradicts.
        Err(e) if e.is_not_found() || e.is_conflict() => Ok(u64::MAX),
        Err(e) => Err(e),
    }
}

/// Deletes mirrors of static pods that this node no longer has.
async fn forget_mirrors(pods: &Pods, rest: &Rest, informer: &Informer) -> Result<(), ClientError> {
    for mirror in informer.list() {
        let text = |at: &str| mirror.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let hash = text("/metadata/annotations/kubernetes.io~1config.mirror");
        let runs = pods.named(namespace, name).is_some_and(|worker| worker.is_static());
        if hash.is_empty() || runs {
            continue;
        }
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            uid: Some(text("/metadata/uid").to_owned()),
            ..DeleteParams::default()
        };
        match rest.delete(&PODS, Some(namespace), name, &params).await {
            Ok(_) => {}
            Err(e) if e.is_not_found() || e.is_conflict() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn has_mirror(informer: &Informer, key: &str, hash: &str) -> bool {
    let (namespace, name) = client::split_key(key);
    informer.get(namespace, name).is_some_and(|m| is_mirror_of(&m, hash))
}

fn is_mirror_of(mirror: &Value, hash: &str) -> bool {
    mirror.pointer("/metadata/annotations/kubernetes.io~1config.mirror").and_then(Value::as_str) == Some(hash)
        && mirror.pointer("/metadata/deletionTimestamp").is_none()
}

async fn mirror(
    pods: &Pods,
    rest: &Rest,
    informer: &Informer,
    node_uid: &str,
    pod: &Value,
    status: &Value,
) -> Result<u64, ClientError> {
    let text = |at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (namespace, name, hash) =
        (text("/metadata/namespace"), text("/metadata/name"), text("/metadata/uid"));
    // A node may not look for pods that are not there yet: what the informer does not show is made.
    let existing = informer.get(namespace.as_str(), &name).map(|found| (*found).clone());
    match existing {
        Some(found) if is_mirror_of(&found, &hash) => {}
        other => {
            if other.is_some() {
                let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
                rest.delete(&PODS, Some(&namespace), &name, &params).await?;
            }
            let mut object = pod.clone();
            if let Some(object) = object.as_object_mut() {
                object.remove("status");
            }
            if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                meta.remove("uid");
            }
            object["metadata"]["annotations"]["kubernetes.io/config.mirror"] = hash.as_str().into();
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "v1",
                "controller": true,
                "kind": "Node",
                "name": pods.node.options.node_name,
                "uid": node_uid,
            }]);
            match rest.create(&PODS, Some(&namespace), &object).await {
                Ok(_) => {}
                Err(e) if e.is_already_exists() => {}
                Err(e) => return Err(e),
            }
        }
    }
    let patch = json!({"status": status});
    let stored = rest.patch(&PODS, Some(&namespace), &name, Patch::Strategic(&patch), Some("status")).await?;
    Ok(revision(&stored))
}
