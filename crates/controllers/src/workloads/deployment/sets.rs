//! What a deployment writes on its sets, and reads there.

use api::object::ObjectExt as _;
use serde_json::{Value, json};

use crate::workloads::rollout;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
pub(super) const HASH: &str = "pod-template-hash";
/// On a set: the size of the deployment, and the most pods it may have, when the set was last scaled.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MOST: &str = "deployment.kubernetes.io/max-replicas";

pub(super) fn age_key(set: &Value) -> (&str, &str) {
    (set.str_at("/metadata/creationTimestamp"), set.name())
}

pub(super) fn annotated_number(set: &Value, key: &str) -> Option<i64> {
    set.pointer("/metadata/annotations")?.get(key)?.as_str()?.parse().ok()
}

pub(super) fn revision(set: &Value) -> i64 {
    annotated_number(set, REVISION).unwrap_or(0)
}

/// Equal but for the label that the controller itself adds.
pub(super) fn same_template(set: &Value, template: &Value) -> bool {
    let mut theirs = set.pointer("/spec/template").cloned().unwrap_or_default();
    if let Some(labels) = theirs.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    theirs == *template
}

pub(super) fn sizes(deployment: &Value, replicas: i64) -> [(&'static str, String); 2] {
    let surge = rollout::bounds(deployment, replicas).surge;
    [(DESIRED, replicas.to_string()), (MOST, (replicas + surge).to_string())]
}

pub(super) fn annotations(deployment: &Value, replicas: i64, revision: i64) -> Value {
    let own = deployment.pointer("/metadata/annotations").and_then(Value::as_object);
    let skip = |k: &str| {
        k.starts_with("deployment.kubernetes.io/") || k == "kubectl.kubernetes.io/last-applied-configuration"
    };
    let mut all = json!({});
    for (key, value) in own.into_iter().flatten().filter(|(k, _)| !skip(k)) {
        all[key] = value.clone();
    }
    all[REVISION] = revision.to_string().into();
    for (key, value) in sizes(deployment, replicas) {
        all[key] = value.into();
    }
    all
}
