//! Types from a definition's structural schema.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::schema::{Field, Key, List, ListType, Map, Ref, Root, Schema, Simple, Type};
use crate::object::ObjectExt;

impl Root {
    /// The types of a custom resource, from `openAPIV3Schema`.
    pub fn structural(of: &Value) -> Self {
        let mut schema = Schema::default();
        schema.may_change = true;
        let root = if of.as_object().is_some_and(|map| !map.is_empty()) {
            add(&mut schema, of, true)
        } else {
            Schema::DEDUCED
        };
        Self { schema: Arc::new(schema), root }
    }
}

fn flag(of: &Value, name: &str) -> bool {
    of.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn add(schema: &mut Schema, of: &Value, root: bool) -> Ref {
    if flag(of, "x-kubernetes-int-or-string") {
        return schema.add(Type::Simple(Simple::Any));
    }
    let simple = match of.str_at("/type") {
        "string" => Simple::Text,
        "integer" | "number" => Simple::Numeric,
        "boolean" => Simple::Boolean,
        "array" => return list(schema, of),
        "object" => return map(schema, of, root),
        _ if root || flag(of, "x-kubernetes-embedded-resource") => return map(schema, of, root),
        _ => return Schema::DEDUCED,
    };
    schema.add(Type::Simple(simple))
}

fn list(schema: &mut Schema, of: &Value) -> Ref {
    let items = of.get("items").cloned().unwrap_or_default();
    let element = add(schema, &items, false);
    let keys = || {
        let names = of.list_at("/x-kubernetes-list-map-keys").iter().filter_map(Value::as_str);
        let default = |name: &str| items.get("properties")?.get(name)?.get("default").cloned();
        names.map(|name| Key { name: name.into(), default: default(name) }).collect()
    };
    let of = match of.str_at("/x-kubernetes-list-type") {
        "set" => ListType::Set,
        "map" => ListType::Map(keys()),
        _ => ListType::Atomic,
    };
    schema.add(Type::List(List { element, of }))
}

fn map(schema: &mut Schema, of: &Value, root: bool) -> Ref {
    let whole_object = root || flag(of, "x-kubernetes-embedded-resource");
    let properties = of.get("properties").and_then(Value::as_object);
    let additional = of.get("additionalProperties");
    let preserves = flag(of, "x-kubernetes-preserve-unknown-fields");
    let atomic = of.str_at("/x-kubernetes-map-type") == "atomic";
    if preserves && properties.is_none() && additional.is_none() && !whole_object && !atomic {
        return Schema::DEDUCED;
    }
    let mut fields = BTreeMap::new();
    for (name, inner) in properties.into_iter().flatten() {
        let of = add(schema, inner, false);
        fields.insert(name.as_str().into(), Field { of, always: false });
    }
    if whole_object {
        let text = schema.add(Type::Simple(Simple::Text));
        let metadata = schema.object_meta();
        for (name, of) in [("apiVersion", text), ("kind", text), ("metadata", metadata)] {
            fields.insert(name.into(), Field { of, always: false });
        }
    }
    let element = match additional {
        Some(Value::Bool(true)) => Some(Schema::DEDUCED),
        Some(inner) if inner.is_object() => Some(add(schema, inner, false)),
        _ if preserves => Some(Schema::DEDUCED),
        _ => None,
    };
    schema.add(Type::Map(Map { fields, element, atomic }))
}
