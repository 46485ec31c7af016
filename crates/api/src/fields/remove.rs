//! An object without some of its fields.

use serde_json::{Map as JsonMap, Value};

use super::{
    element::Element,
    schema::{ListType, Ref, Root, Schema, Shape, elements, entries},
    set::Set,
};

/// The object without the fields of a set. What is left empty becomes null.
pub fn remove(of: &Root, object: &Value, fields: &Set) -> Value {
    match without(&of.schema, of.root, object, fields) {
        Value::Null => Value::Object(JsonMap::new()),
        left => left,
    }
}

fn without(schema: &Schema, of: Ref, value: &Value, fields: &Set) -> Value {
    match schema.shape(of, value) {
        Shape::Simple(_) => value.clone(),
        Shape::List(None) => Value::Null,
        Shape::List(Some(list)) => {
            if matches!(list.of, ListType::Atomic) {
                return Value::Null;
            }
            let mut left = Vec::new();
            for item in elements(Some(value)) {
                let node = list.identify(item).ok().and_then(|element| fields.node(&element));
                match node {
                    Some(node) if node.member => {}
                    Some(node) if !node.below.is_empty() => {
                        left.push(without(schema, list.element, item, &node.below));
                    }
                    _ => left.push(item.clone()),
                }
            }
            if left.is_empty() { Value::Null } else { Value::Array(left) }
        }
        Shape::Map(Some(map)) if map.atomic => Value::Null,
        Shape::Map(map) => {
            let mut left = JsonMap::new();
            for (name, inner) in entries(Some(value)).into_iter().flatten() {
                let at = map.map_or(Some(Schema::DEDUCED), |map| map.entry(name));
                match (fields.node(&Element::field(name)), at) {
                    (Some(node), _) if node.member => {}
                    (Some(node), Some(at)) if !node.below.is_empty() => {
                        left.insert(name.clone(), without(schema, at, inner, &node.below));
                    }
                    _ => {
                        left.insert(name.clone(), inner.clone());
                    }
                }
            }
            if left.is_empty() { Value::Null } else { Value::Object(left) }
        }
    }
}
