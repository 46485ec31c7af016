//! Drops the fields that a schema does not know.

use api::object::ObjectExt;
use serde_json::Value;

use super::{IDENTITY, additional, child, is_embedded, properties};

/// The fields of metadata; others are dropped wherever metadata stands.
const METADATA: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

pub(super) fn object(schema: &Value, object: &mut Value) -> Vec<String> {
    let mut pruned = Vec::new();
    prune(schema, object, "", true, &mut pruned);
    pruned
}

/// Whether pruning would change a value of a schema that is no whole object.
pub(in crate::crd) fn surplus(schema: &Value, value: &Value) -> bool {
    let mut pruned = Vec::new();
    prune(schema, &mut value.clone(), "", is_embedded(schema), &mut pruned);
    !pruned.is_empty()
}

fn prune(schema: &Value, value: &mut Value, path: &str, whole: bool, pruned: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let keeps = schema.bool_at("/x-kubernetes-preserve-unknown-fields")
                || schema.bool_at("/additionalProperties");
            let mut surplus = Vec::new();
            for (key, inner) in map.iter_mut() {
                let path = child(path, key);
                if whole && IDENTITY.contains(&key.as_str()) {
                    if key == "metadata" {
                        metadata(inner, &path, pruned);
                    }
                    continue;
                }
                match properties(schema).and_then(|p| p.get(key)).or_else(|| additional(schema)) {
                    Some(schema) => prune(schema, inner, &path, is_embedded(schema), pruned),
                    None if keeps => {}
                    None => {
                        surplus.push(key.clone());
                        pruned.push(path);
                    }
                }
            }
            for key in surplus {
                map.shift_remove(&key);
            }
        }
        Value::Array(list) => {
            let Some(items) = schema.get("items") else { return };
            for (index, inner) in list.iter_mut().enumerate() {
                prune(items, inner, &format!("{path}[{index}]"), is_embedded(items), pruned);
            }
        }
        _ => {}
    }
}

fn metadata(value: &mut Value, path: &str, pruned: &mut Vec<String>) {
    let Some(map) = value.as_object_mut() else { return };
    let surplus: Vec<String> = map.keys().filter(|key| !METADATA.contains(&key.as_str())).cloned().collect();
    for key in surplus {
        map.shift_remove(&key);
        pruned.push(child(path, &key));
    }
}
