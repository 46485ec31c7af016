//! The plugins that only add a few lines to an object: TaintNodesByCondition,
//! DefaultTolerationSeconds, StorageObjectInUseProtection.

use api::object::ObjectExt as _;
use serde_json::{Value, json};

use super::{Operation, Review};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// How long a pod stays on a node that is not ready, and on one that cannot be reached, in seconds.
pub(super) const TOLERATIONS: (i64, i64) = (300, 300);

/// A new node takes no pods until the node lifecycle controller has seen it ready.
pub(super) fn taint_new_node(review: &mut Review<'_>) {
    let applies =
        review.operation == Operation::Create && review.is("", "nodes") && review.subresource.is_empty();
    let Some(node) = review.object.as_deref_mut().filter(|_| applies) else { return };
    let is_there =
        |taint: &Value| taint.str_at("/key") == NOT_READY && taint.str_at("/effect") == "NoSchedule";
    if !node.list_at("/spec/taints").iter().any(is_there) {
        push(node, "/spec/taints", json!({ "key": NOT_READY, "effect": "NoSchedule" }));
    }
}

/// Pods outlive a short absence of their node.
pub(super) fn tolerate_not_ready(review: &mut Review<'_>, (not_ready, unreachable): (i64, i64)) {
    let applies = matches!(review.operation, Operation::Create | Operation::Update)
        && review.is("", "pods")
        && review.subresource.is_empty();
    let Some(pod) = review.object.as_deref_mut().filter(|_| applies) else { return };
    for (key, seconds) in [(NOT_READY, not_ready), (UNREACHABLE, unreachable)] {
        let tolerates = |toleration: &Value| {
            matches!(toleration.str_at("/key"), k if k == key || k.is_empty())
                && matches!(toleration.str_at("/effect"), "NoExecute" | "")
        };
        if !pod.list_at("/spec/tolerations").iter().any(tolerates) {
            let toleration = json!({
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": seconds,
            });
            push(pod, "/spec/tolerations", toleration);
        }
    }
}

/// Volumes and claims do not vanish under a pod.
pub(super) fn protect_storage(review: &mut Review<'_>) {
    let finalizer = match (review.group, review.resource) {
        ("", "persistentvolumeclaims") => "kubernetes.io/pvc-protection",
        ("", "persistentvolumes") => "kubernetes.io/pv-protection",
        ("storage.k8s.io", "volumeattributesclasses") => "kubernetes.io/vac-protection",
        _ => return,
    };
    let applies = review.operation == Operation::Create && review.subresource.is_empty();
    if let Some(object) = review.object.as_deref_mut().filter(|_| applies) {
        object.add_finalizer(finalizer);
    }
}

/// Appends to a list that may not be there yet.
pub(super) fn push(object: &mut Value, list: &str, item: Value) {
    match object.at_mut(list).and_then(Value::as_array_mut) {
        Some(items) => items.push(item),
        None => object.set_at(list, json!([item])),
    }
}
