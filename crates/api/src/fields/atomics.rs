//! What of a configuration is one value each: whoever applies it would replace all of it.

use serde_json::Value;

use super::schema::{ListType, Ref, Root, Schema, Shape};

/// The paths of all lists and maps in a configuration that are owned as a whole.
pub fn atomics(of: &Root, config: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(&of.schema, of.root, config, "", &mut found);
    found
}

fn walk(schema: &Schema, of: Ref, value: &Value, path: &str, found: &mut Vec<String>) {
    match (schema.shape(of, value), value) {
        (Shape::Map(Some(map)), Value::Object(entries)) => {
            if map.atomic {
                found.push(path.to_owned());
            }
            for (name, value) in entries {
                if let Some(field) = map.fields.get(name.as_str()) {
                    walk(schema, field.of, value, &format!("{path}.{name}"), found);
                }
            }
        }
        (Shape::List(Some(list)), Value::Array(items)) => {
            if matches!(list.of, ListType::Atomic) {
                found.push(path.to_owned());
            }
            for (place, item) in items.iter().enumerate() {
                walk(schema, list.element, item, &format!("{path}[{place}]"), found);
            }
        }
        _ => {}
    }
}
