//! The JSON types of metadata. Everything else reads objects leniently, so this comes first.

use serde_json::Value;

use crate::{
    object::{ObjectExt, json_type, version_of},
    status::{Status, quoted},
};

/// The Go type of a field of `metadata`, which decides what JSON it accepts. Null is accepted by all.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Integer,
    Time,
    TextMap,
    TextList,
    Structs(&'static str, &'static [(&'static str, Type)]),
    Bool,
}

const OWNER: &[(&str, Type)] = &[
    ("apiVersion", Type::Text),
    ("kind", Type::Text),
    ("name", Type::Text),
    ("uid", Type::Text),
    ("controller", Type::Bool),
    ("blockOwnerDeletion", Type::Bool),
];

const MANAGED: &[(&str, Type)] = &[
    ("manager", Type::Text),
    ("operation", Type::Text),
    ("apiVersion", Type::Text),
    ("time", Type::Time),
    ("fieldsType", Type::Text),
    ("subresource", Type::Text),
];

const METADATA: &[(&str, Type)] = &[
    ("name", Type::Text),
    ("generateName", Type::Text),
    ("namespace", Type::Text),
    ("selfLink", Type::Text),
    ("uid", Type::Text),
    ("resourceVersion", Type::Text),
    ("generation", Type::Integer),
    ("creationTimestamp", Type::Time),
    ("deletionTimestamp", Type::Time),
    ("deletionGracePeriodSeconds", Type::Integer),
    ("labels", Type::TextMap),
    ("annotations", Type::TextMap),
    ("ownerReferences", Type::Structs("OwnerReference", OWNER)),
    ("finalizers", Type::TextList),
    ("managedFields", Type::Structs("ManagedFieldsEntry", MANAGED)),
];

/// Refuses an object whose metadata cannot be decoded: 400 in the words of Go's decoder.
pub fn check_types(object: &Value) -> Result<(), Status> {
    let wrong = match object.as_object() {
        None => Some(format!("cannot unmarshal {} into Go value of type v1.ObjectMeta", json_type(object))),
        Some(fields) => match fields.get("metadata") {
            None | Some(Value::Null) => None,
            Some(Value::Object(metadata)) => METADATA.iter().find_map(|(name, kind)| {
                let path = format!("ObjectMeta.metadata.{name}");
                metadata.get(*name).and_then(|value| complaint(value, *kind, &path))
            }),
            Some(other) => Some(mismatch(other, "metadata", "v1.ObjectMeta")),
        },
    };
    match wrong {
        None => Ok(()),
        Some(why) => {
            let (kind, version) = (object.kind(), quoted(version_of(object.api_version())));
            let why = if why.starts_with("cannot") { format!("json: {why}") } else { why };
            Err(Status::bad_request(format!(
                "{kind} in version {version} cannot be handled as a {kind}: {why}"
            )))
        }
    }
}

fn complaint(value: &Value, kind: Type, path: &str) -> Option<String> {
    match (kind, value) {
        (_, Value::Null) | (Type::Text, Value::String(_)) | (Type::Bool, Value::Bool(_)) => None,
        (Type::Integer, Value::Number(number)) if number.is_i64() => None,
        (Type::Integer, Value::Number(number)) => {
            Some(format!("cannot unmarshal number {number} into Go struct field {path} of type int64"))
        }
        (Type::Time, Value::String(text)) => match text.parse::<jiff::Timestamp>() {
            Ok(_) => None,
            Err(_) => Some(format!(
                r#"parsing time {} as "2006-01-02T15:04:05Z07:00": cannot parse {} as "2006""#,
                quoted(text),
                quoted(text)
            )),
        },
        (Type::TextMap, Value::Object(map)) => {
            map.values().find_map(|entry| complaint(entry, Type::Text, path))
        }
        (Type::TextList, Value::Array(list)) => {
            list.iter().find_map(|entry| complaint(entry, Type::Text, path))
        }
        (Type::Structs(name, fields), Value::Array(list)) => list.iter().find_map(|entry| match entry {
            Value::Null => None,
            Value::Object(entry) => fields
                .iter()
                .find_map(|(field, kind)| complaint(entry.get(*field)?, *kind, &format!("{path}.{field}"))),
            other => Some(mismatch(other, path, &format!("v1.{name}"))),
        }),
        (kind, other) => Some(mismatch(other, path, &go_type(kind))),
    }
}

fn mismatch(value: &Value, path: &str, wanted: &str) -> String {
    format!("cannot unmarshal {} into Go struct field {path} of type {wanted}", json_type(value))
}

fn go_type(kind: Type) -> String {
    match kind {
        Type::Text => "string".into(),
        Type::Integer => "int64".into(),
        Type::Bool => "bool".into(),
        Type::Time => "time.Time".into(),
        Type::TextMap => "map[string]string".into(),
        Type::TextList => "[]string".into(),
        Type::Structs(name, _) => format!("[]v1.{name}"),
    }
}
