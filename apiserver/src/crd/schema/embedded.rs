//! Whole objects within objects: they say what they are, and their metadata is metadata.

use api::{meta, object::ObjectExt, status::FieldError};
use serde_json::Value;

use super::{additional, child, is_embedded, properties};

/// Complaints about every embedded object.
pub(super) fn validate(schema: &Value, object: &Value, errors: &mut Vec<FieldError>) {
    walk(schema, object, "", errors);
}

fn walk(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            if is_embedded(schema) && !path.is_empty() {
                embedded(value, path, errors);
            }
            for (key, inner) in map {
                if let Some(schema) = properties(schema).and_then(|p| p.get(key)) {
                    walk(schema, inner, &child(path, key), errors);
                } else if let Some(schema) = additional(schema) {
                    walk(schema, inner, &format!("{path}[{key}]"), errors);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = schema.get("items") else { return };
            for (index, inner) in list.iter().enumerate() {
                walk(items, inner, &format!("{path}[{index}]"), errors);
            }
        }
        _ => {}
    }
}

fn embedded(object: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for field in ["apiVersion", "kind"] {
        let at = child(path, field);
        match object.get(field) {
            None => errors.push(FieldError::required(at, "must not be empty")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(FieldError::required(at, "must not be empty"));
            }
            Some(Value::String(text)) if field == "apiVersion" && text.matches('/').count() > 1 => {
                let why = format!("unexpected GroupVersion string: {text}");
                errors.push(FieldError::invalid(at, text.as_str(), why));
            }
            Some(Value::String(text)) if field == "kind" => {
                for why in api::names::dns1035_label(&text.to_lowercase()) {
                    let why = format!("may have mixed case, but should otherwise match: {why}");
                    errors.push(FieldError::invalid(&at, text.as_str(), why));
                }
            }
            Some(Value::String(_)) => {}
            Some(other) => errors.push(FieldError::invalid(at, other.clone(), "must be a string")),
        }
    }
    let at = child(path, "metadata");
    match object.get("metadata") {
        None => {}
        Some(Value::Object(metadata)) => {
            errors.extend(meta::validate_labels(object.map_at("/metadata/labels"), &child(&at, "labels")));
            errors.extend(meta::validate_annotations(
                object.map_at("/metadata/annotations"),
                &child(&at, "annotations"),
            ));
            for field in ["name", "generateName", "namespace"] {
                let Some(Value::String(text)) = metadata.get(field).filter(|v| v.as_str() != Some("")) else {
                    continue;
                };
                for why in api::names::dns1123_subdomain(text.trim_end_matches('-')) {
                    errors.push(FieldError::invalid(child(&at, field), text.as_str(), why));
                }
            }
        }
        Some(other) => errors.push(FieldError::invalid(at, other.clone(), "must be an object")),
    }
}
