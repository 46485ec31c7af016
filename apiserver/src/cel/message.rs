//! Objects of named types, which expressions make to say how another object is to change.
//!
//! Nothing is known of the fields of `Object` and of what stands below it (`Object.spec`), but that the
//! name of a type must be the path to where the object stands.

use super::{Value, library};

/// The type of a JSON patch's operation.
pub const JSON_PATCH: &str = "JSONPatch";
/// The type of a whole object.
pub const OBJECT: &str = "Object";

/// An object of a named type.
#[derive(Debug)]
pub struct Made<'a> {
    /// Its type.
    pub name: &'a str,
    /// Its fields, in the order in which they were written.
    pub fields: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Made<'a> {
    pub(super) fn get(&self, field: &str) -> Option<&Value<'a>> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, value)| value)
    }
}

/// Whether there is a type of that name.
pub(super) fn is_type(name: &str) -> bool {
    name == JSON_PATCH || name == OBJECT || name.starts_with("Object.")
}

impl<'a> Value<'a> {
    /// Complaints about objects whose type's name is not the path to where they stand.
    pub fn misnamed(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Value::Message(made) = self {
            misnamed(self, made.name, &mut found);
        }
        found
    }

    /// As JSON.
    ///
    /// # Errors
    /// What has no form there.
    pub fn to_json(&self) -> Result<serde_json::Value, String> {
        use serde_json::Value as Json;
        Ok(match self {
            Value::Null => Json::Null,
            Value::Bool(b) => (*b).into(),
            Value::Int(i) => (*i).into(),
            Value::Uint(u) => (*u).into(),
            Value::Double(d) => (*d).into(),
            Value::String(text) => text.to_string().into(),
            Value::Bytes(bytes) => api::object::base64(bytes).into(),
            Value::Items(list, _) => Json::Array(list.to_vec()),
            Value::Fields(map, _) => Json::Object((*map).clone()),
            Value::Optional(Some(value)) => value.to_json()?,
            Value::Message(made) => {
                let field = |(name, value): &(&str, Value<'a>)| Ok(((*name).to_owned(), value.to_json()?));
                Json::Object(made.fields.iter().map(field).collect::<Result<_, String>>()?)
            }
            Value::List(list) => Json::Array(list.iter().map(Value::to_json).collect::<Result<_, _>>()?),
            Value::Map(map) => {
                let entry = |(key, value): &(Value<'a>, Value<'a>)| match key {
                    Value::String(key) => Ok((key.to_string(), value.to_json()?)),
                    other => Err(format!(
                        "map key {:?} is of type {}, not string",
                        library::shown(other),
                        other.type_name()
                    )),
                };
                Json::Object(map.iter().map(entry).collect::<Result<_, String>>()?)
            }
            Value::Timestamp(_) | Value::Duration(_) | Value::Ip(_) | Value::Cidr(_) | Value::Quantity(_) => {
                match library::to_text(self) {
                    Some(Value::String(text)) => text.to_string().into(),
                    _ => Json::Null,
                }
            }
            other => return Err(format!("unsupported type {}", other.type_name())),
        })
    }
}

fn misnamed(value: &Value<'_>, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Message(made) => {
            if made.name != path {
                found.push(format!(
                    "unexpected type name {:?}, expected {path:?}, which matches field name path from root Object type",
                    made.name
                ));
            }
            for (field, value) in &made.fields {
                misnamed(value, &format!("{path}.{field}"), found);
            }
        }
        Value::List(list) => list.iter().for_each(|item| misnamed(item, path, found)),
        Value::Map(map) => map.iter().for_each(|(_, item)| misnamed(item, path, found)),
        _ => {}
    }
}
