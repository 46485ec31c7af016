//! Fills in defaults; a null that the schema does not allow counts as absent.

use api::object::ObjectExt;
use serde_json::Value;

use super::{additional, properties};

pub(super) fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, schema) in properties(schema).into_iter().flatten() {
                if map.get(name).is_some_and(Value::is_null) && !schema.bool_at("/nullable") {
                    map.shift_remove(name);
                }
                if let (Some(standard), None) = (schema.get("default"), map.get(name)) {
                    map.insert(name.clone(), standard.clone());
                }
                if let Some(inner) = map.get_mut(name) {
                    fill(schema, inner);
                }
            }
            if let Some(of) = additional(schema) {
                if !of.bool_at("/nullable") {
                    map.retain(|name, value| {
                        !value.is_null() || properties(schema).is_some_and(|p| p.contains_key(name))
                    });
                }
                map.values_mut().for_each(|inner| fill(of, inner));
            }
        }
        Value::Array(list) => {
            let Some(items) = schema.get("items") else { return };
            list.iter_mut().for_each(|inner| fill(items, inner));
        }
        _ => {}
    }
}
