//! Lists whose elements must differ: sets, and maps by their keys.

use std::collections::BTreeSet;

use api::{object::ObjectExt, status::FieldError};
use serde_json::{Map, Value};

use super::{additional, properties};

/// Elements that are there already.
pub(super) fn violations(schema: &Value, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(schema, object, "", &mut errors);
    errors
}

fn walk(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                if let Some(schema) = properties(schema).and_then(|p| p.get(key)) {
                    walk(schema, inner, &super::child(path, key), errors);
                } else if let Some(schema) = additional(schema) {
                    walk(schema, inner, &format!("{path}[{key}]"), errors);
                }
            }
        }
        Value::Array(list) => {
            match schema.str_at("/x-kubernetes-list-type") {
                "set" => unique(list, path, errors, |element| Some(element.clone())),
                "map" => {
                    let keys = schema.list_at("/x-kubernetes-list-map-keys");
                    unique(list, path, errors, |element| {
                        let named = |key: &Value| {
                            let name = key.as_str()?;
                            Some((name.to_owned(), element.get(name).cloned().unwrap_or_default()))
                        };
                        element.is_object().then(|| {
                            Value::Object(keys.iter().filter_map(named).collect::<Map<String, Value>>())
                        })
                    });
                }
                _ => {}
            }
            let Some(items) = schema.get("items") else { return };
            for (index, inner) in list.iter().enumerate() {
                walk(items, inner, &format!("{path}[{index}]"), errors);
            }
        }
        _ => {}
    }
}

/// Complains once for each identity that comes again, where it does so first.
fn unique(
    list: &[Value],
    path: &str,
    errors: &mut Vec<FieldError>,
    identity: impl Fn(&Value) -> Option<Value>,
) {
    let (mut seen, mut told) = (BTreeSet::new(), BTreeSet::new());
    for (index, element) in list.iter().enumerate() {
        let Some(identity) = identity(element) else { continue };
        let text = canonical(&identity);
        if !seen.insert(text.clone()) && told.insert(text) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), identity));
        }
    }
}

/// The same text for the same value.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut parts: Vec<String> =
                map.iter().map(|(key, value)| format!("{key:?}:{}", canonical(value))).collect();
            parts.sort();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}
