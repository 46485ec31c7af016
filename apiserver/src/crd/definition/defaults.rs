//! Defaults are values of their own schema.

use api::{object::ObjectExt, status::FieldError};
use serde_json::Value;

use crate::crd::schema::{Schema, surplus};

pub(super) fn violations(schema: &Value, at: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(schema, at, true, false, &mut errors);
    errors
}

fn visit(schema: &Value, at: &str, root: bool, meta: bool, errors: &mut Vec<FieldError>) {
    let embedded = schema.bool_at("/x-kubernetes-embedded-resource");
    let meta = meta && !embedded;
    if let Some(default) = schema.get("default") {
        let place = format!("{at}.default");
        if !meta && surplus(schema, default) {
            errors.push(FieldError::invalid(&place, default.clone(), "must not have unknown fields"));
        }
        errors.extend(Schema::part(schema, default, &place));
    }
    if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
        visit(items, &format!("{at}.items"), false, meta, errors);
    }
    for (name, inner) in schema.map_at("/properties").into_iter().flatten() {
        let identity = matches!(name.as_str(), "metadata" | "apiVersion" | "kind");
        let meta = meta || (root || embedded) && identity;
        visit(inner, &format!("{at}.properties[{name}]"), false, meta, errors);
    }
}
