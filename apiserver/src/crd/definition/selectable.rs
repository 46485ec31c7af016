//! `selectableFields`: scalars of the schema, each once.

use std::collections::BTreeSet;

use api::{object::ObjectExt, status::FieldError};
use serde_json::Value;

use crate::crd::schema::field_path;

/// So many fields may selectors name.
const MOST: usize = 8;

pub(super) fn validate(version: &Value, index: usize, versions: &[Value], errors: &mut Vec<FieldError>) {
    let fields = version.list_at("/selectableFields");
    if fields.is_empty() {
        return;
    }
    // The same for all is the definition's own.
    let shared = versions.iter().all(|v| v.get("selectableFields") == version.get("selectableFields"));
    if shared && index > 0 {
        return;
    }
    let at = if shared {
        "spec.selectableFields".to_owned()
    } else {
        format!("spec.versions[{index}].selectableFields")
    };
    let schema = version.at("/schema/openAPIV3Schema").cloned().unwrap_or_default();
    let mut seen = BTreeSet::new();
    for (index, field) in fields.iter().enumerate() {
        let (path, at) = (field.str_at("/jsonPath"), format!("{at}[{index}].jsonPath"));
        if path.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        let found = if path.contains('[') {
            Err("array notation is not allowed".to_owned())
        } else {
            field_path(&schema, path)
        };
        let name = match found {
            Ok(name) => name,
            Err(why) => {
                errors.push(FieldError::invalid(at, path, format!("is an invalid path: {why}")));
                continue;
            }
        };
        if name == "metadata" || name.starts_with("metadata.") {
            errors.push(FieldError::invalid(&at, path, "must not point to fields in metadata"));
        }
        let pointer: String = name.split('.').map(|step| format!("/properties/{step}")).collect();
        if !matches!(schema.str_at(&format!("{pointer}/type")), "string" | "boolean" | "integer") {
            let words = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            errors.push(FieldError::invalid(&at, path, words));
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(at, path));
        }
    }
    if seen.len() > MOST {
        errors.push(FieldError::too_many(at, seen.len(), MOST));
    }
}
