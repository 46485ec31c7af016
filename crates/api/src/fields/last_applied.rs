//! What `kubectl apply` left in an annotation before it applied on the server, and how it is kept.

use serde_json::{Map as JsonMap, Value};

use super::{
    compare::{compare, field_set},
    conflict::Conflict,
    schema::Root,
    validate::validate,
};
use crate::{meta::validate_annotations, object::ObjectExt};

/// The manager for whom the annotation is read and written.
pub(super) const MANAGER: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The conflicts that the annotation does not settle: about fields that were not applied, or that
/// have another value by now. All of them if it cannot be read.
pub(super) fn unsettled(
    of: &Root,
    api_version: &str,
    live: &Value,
    conflicts: Vec<Conflict>,
) -> Vec<Conflict> {
    let applied: Option<Value> = live.annotation(ANNOTATION).and_then(|text| serde_json::from_str(text).ok());
    let Some(applied) = applied.filter(|a| a.api_version() == api_version && validate(of, a).is_ok()) else {
        return conflicts;
    };
    let changes = compare(of, &applied, live);
    let settled = field_set(of, &applied)
        .difference(&changes.modified)
        .difference(&changes.added)
        .difference(&changes.removed);
    conflicts.into_iter().filter(|conflict| !settled.contains(&conflict.path)).collect()
}

/// Puts the configuration into the annotation, if the object has it.
pub(super) fn renew(object: &mut Value, config: &Value) {
    if object.annotation(ANNOTATION).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    config.remove_annotation(ANNOTATION);
    object.set_annotation(ANNOTATION, &format!("{}\n", sorted(&config)));
    // Too much for annotations: rather none.
    if !validate_annotations(object.map_at("/metadata/annotations"), "").is_empty() {
        object.remove_annotation(ANNOTATION);
    }
}

/// As Go writes maps: by key.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            Value::Object(
                entries
                    .into_iter()
                    .map(|(name, inner)| (name.clone(), sorted(inner)))
                    .collect::<JsonMap<_, _>>(),
            )
        }
        Value::Array(list) => Value::Array(list.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
