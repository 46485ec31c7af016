//! What a kubelet may do to pods: create mirrors of its static ones, delete and evict those on its
//! node, report their status.

use std::collections::BTreeMap;

use api::object::ObjectExt as _;
use serde_json::Value;

use super::{Answer, No, not_found, unexpected};
use crate::{
    admission::{Operation, Review, Tools},
    authz::pod_references::{self, MIRROR_POD},
};

pub(super) fn judge(tools: &Tools, review: &Review<'_>, node: &str) -> Answer {
    match (review.subresource, review.operation) {
        ("", Operation::Create) => match review.new_object() {
            Some(pod) => create(tools, pod, node),
            None => Ok(()),
        },
        ("", Operation::Delete) => {
            // Without a name it is a collection's deletion, which has no informer entry either.
            let why =
                || format!("node {node:?} can only delete pods with spec.nodeName set to itself").into();
            is_on(tools, review, review.name, node, why)
        }
        ("", operation) => {
            let operation = operation.as_str();
            Err(format!(
                "unexpected operation {operation:?}, node {node:?} can only create and delete mirror pods"
            )
            .into())
        }
        ("status", Operation::Update) => status(review, node),
        ("status", operation) => Err(unexpected(operation)),
        ("eviction", Operation::Create) => {
            let name = review.object_name();
            if name.is_empty() {
                return Err("could not determine pod from request data".into());
            }
            let why = || format!("node {node} can only evict pods with spec.nodeName set to itself").into();
            is_on(tools, review, name, node, why)
        }
        ("eviction", operation) => Err(format!("unexpected operation {}", operation.as_str()).into()),
        (subresource, _) => Err(format!(
            "unexpected pod subresource {subresource:?}, only 'status' and 'eviction' are allowed"
        )
        .into()),
    }
}

fn is_on(tools: &Tools, review: &Review<'_>, name: &str, node: &str, why: impl Fn() -> No) -> Answer {
    match tools.informers.pods.get(review.namespace, name) {
        None => Err(not_found("pod", name)),
        Some(pod) if pod.str_at("/spec/nodeName") == node => Ok(()),
        Some(_) => Err(why()),
    }
}

fn create(tools: &Tools, pod: &Value, node: &str) -> Answer {
    if pod.annotation(MIRROR_POD).is_none() {
        return Err(format!(
            "pod does not have {MIRROR_POD:?} annotation, node {node:?} can only create mirror pods"
        )
        .into());
    }
    if pod.str_at("/spec/nodeName") != node {
        return Err(format!("node {node:?} can only create pods with spec.nodeName set to itself").into());
    }
    owner(tools, pod, node)?;

    let refers_to =
        |what: &str| Err(format!("node {node:?} can not create pods that reference {what}").into());
    if !pod.str_at("/spec/serviceAccountName").is_empty() {
        return refers_to("a service account");
    }
    if pod_references::secrets(pod).next().is_some() {
        return refers_to("secrets");
    }
    if pod_references::config_maps(pod).next().is_some() {
        return refers_to("configmaps");
    }
    if pod_references::projected_sources(pod).any(|source| source.get("clusterTrustBundle").is_some()) {
        return refers_to("clustertrustbundles");
    }
    if pod.list_at("/spec/volumes").iter().any(|volume| volume.get("persistentVolumeClaim").is_some()) {
        return refers_to("persistentvolumeclaims");
    }
    if !pod.list_at("/spec/resourceClaims").is_empty() {
        return refers_to("resourceclaims");
    }
    Ok(())
}

/// A mirror pod is owned by its node, so that it goes when the node goes.
fn owner(tools: &Tools, pod: &Value, node: &str) -> Answer {
    let owner = match pod.list_at("/metadata/ownerReferences") {
        [owner] => owner,
        [] => {
            return Err(
                format!("node {node:?} can only create pods with an owner reference set to itself").into()
            );
        }
        _ => {
            return Err(format!(
                "node {node:?} can only create pods with a single owner reference set to itself"
            )
            .into());
        }
    };
    let is_self = owner.str_at("/apiVersion") == "v1"
        && owner.str_at("/kind") == "Node"
        && owner.str_at("/name") == node;
    if !is_self {
        return Err(
            format!("node {node:?} can only create pods with an owner reference set to itself").into()
        );
    }
    if !owner.bool_at("/controller") {
        return Err(format!(
            "node {node:?} can only create pods with a controller owner reference set to itself"
        )
        .into());
    }
    if owner.bool_at("/blockOwnerDeletion") {
        return Err(format!("node {node:?} must not set blockOwnerDeletion on an owner reference").into());
    }
    let Some(known) = tools.informers.nodes.get(None, node) else { return Err(not_found("node", node)) };
    let uid = owner.str_at("/uid");
    if uid != known.uid() {
        return Err(format!("node {node} UID mismatch: expected {uid} got {}", known.uid()).into());
    }
    Ok(())
}

fn status(review: &Review<'_>, node: &str) -> Answer {
    let (Some(new), Some(old)) = (review.new_object(), review.old) else { return Ok(()) };
    if old.str_at("/spec/nodeName") != node {
        return Err(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        )
        .into());
    }
    let labels = |pod: &Value| -> BTreeMap<String, String> {
        pod.labels().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    };
    if labels(new) != labels(old) {
        return Err(format!("node {node:?} cannot update labels through pod status").into());
    }
    if new.list_at("/status/resourceClaimStatuses") != old.list_at("/status/resourceClaimStatuses") {
        return Err(format!("node {node:?} cannot update resource claim statuses").into());
    }
    Ok(())
}
