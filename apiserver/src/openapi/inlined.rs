//! A built-in kind's schema with everything that it refers to in its place, for who reads schemas as
//! definitions have them.

use serde_json::{Map, Value};

use super::schemas::{Schemas, definition_name};

/// Schemas that were unpacked once, for several kinds.
pub struct Inlined(Schemas);

impl Inlined {
    /// Unpacks the schemas.
    pub fn unpack() -> Self {
        Self(Schemas::unpack())
    }

    /// The schema of a kind. Where a type holds itself, the inner one is open.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<Value> {
        let name = definition_name(group, version, kind);
        let schema = self.0.get(&name)?;
        Some(self.inline(schema, &mut vec![name]))
    }

    fn inline(&self, schema: Value, within: &mut Vec<String>) -> Value {
        let Value::Object(map) = schema else { return schema };
        if let Some(name) = reference(&map) {
            let Some(of) = self.0.get(&name).filter(|_| !within.contains(&name)) else { return open() };
            within.push(name);
            let inlined = self.inline(of, within);
            within.pop();
            return inlined;
        }
        // Amounts, and what is a number or a text.
        if !map.contains_key("type") {
            return open();
        }
        let mut out = Map::new();
        for (key, value) in map {
            let value = match (key.as_str(), value) {
                ("properties", Value::Object(fields)) => Value::Object(
                    fields.into_iter().map(|(name, of)| (name, self.inline(of, within))).collect(),
                ),
                ("items" | "additionalProperties", of) => self.inline(of, within),
                (_, value) => value,
            };
            out.insert(key, value);
        }
        Value::Object(out)
    }
}

/// Of anything.
fn open() -> Value {
    serde_json::json!({ "x-kubernetes-int-or-string": true })
}

/// What a schema refers to: by itself, or as the one thing that it is besides its description.
fn reference(map: &Map<String, Value>) -> Option<String> {
    let direct = map.get("$ref");
    let wrapped = || match map.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
        Some([one]) => one.get("$ref"),
        _ => None,
    };
    let path = direct.or_else(wrapped)?.as_str()?;
    Some(path.rsplit('/').next().unwrap_or(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kind_refers_to_stands_in_its_place() {
        let schemas = Inlined::unpack();
        let deployment = schemas.kind("apps", "v1", "Deployment").unwrap();
        let at = |pointer: &str| deployment.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(at("/properties/spec/properties/replicas/type"), "integer");
        let containers = "/properties/spec/properties/template/properties/spec/properties/containers/items";
        assert_eq!(at(&format!("{containers}/properties/image/type")), "string");
        // A field may be called so; a reference is a text.
        assert!(!deployment.to_string().contains("\"$ref\":\""));
        // A schema holds schemas: somewhere it has to end.
        let definition = schemas.kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap();
        assert!(!definition.to_string().contains("\"$ref\":\""));
        assert!(schemas.kind("apps", "v1", "Nonsense").is_none());
    }
}
