//! The JSON form of a Status.

use serde_json::{Map, Value, json};

use super::{Cause, Details, GroupResource, Status};
use crate::object::ObjectExt;

impl Status {
    /// The JSON object that goes over the wire.
    pub fn to_value(&self) -> Value {
        let metadata =
            if self.continue_token.is_empty() { json!({}) } else { json!({"continue": self.continue_token}) };
        let mut out = envelope(metadata, "Failure");
        put(&mut out, "message", &self.message);
        put(&mut out, "reason", &self.reason);
        if let Some(details) = &self.details {
            out.insert("details".into(), details.to_value());
        }
        out.insert("code".into(), self.code.into());
        Value::Object(out)
    }

    /// Reads a `Status` object that reports a failure.
    pub fn from_value(value: &Value) -> Option<Status> {
        if value.kind() != "Status" || value.str_at("/status") == "Success" {
            return None;
        }
        Some(Status {
            code: value.i64_at("/code").and_then(|code| u16::try_from(code).ok()).unwrap_or(0),
            reason: value.str_at("/reason").into(),
            message: value.str_at("/message").into(),
            details: value.at("/details").map(Details::from_value),
            continue_token: value.str_at("/metadata/continue").into(),
        })
    }
}

/// The answer to a deletion that removed the object at once.
pub fn deleted<'a>(resource: impl Into<GroupResource<'a>>, name: &str, uid: &str) -> Value {
    let on = resource.into();
    let details = Details {
        name: name.into(),
        group: on.group.into(),
        kind: on.resource.into(),
        uid: uid.into(),
        ..Details::default()
    };
    let mut out = envelope(json!({}), "Success");
    out.insert("details".into(), details.to_value());
    Value::Object(out)
}

fn envelope(metadata: Value, status: &str) -> Map<String, Value> {
    Map::from_iter([
        ("kind".to_owned(), Value::from("Status")),
        ("apiVersion".to_owned(), Value::from("v1")),
        ("metadata".to_owned(), metadata),
        ("status".to_owned(), Value::from(status)),
    ])
}

fn put(out: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        out.insert(key.into(), text.into());
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut out = Map::new();
        put(&mut out, "name", &self.name);
        put(&mut out, "group", &self.group);
        put(&mut out, "kind", &self.kind);
        put(&mut out, "uid", &self.uid);
        if !self.causes.is_empty() {
            let causes: Vec<Value> = self.causes.iter().map(Cause::to_value).collect();
            out.insert("causes".into(), causes.into());
        }
        if self.retry_after_seconds > 0 {
            out.insert("retryAfterSeconds".into(), self.retry_after_seconds.into());
        }
        Value::Object(out)
    }

    fn from_value(value: &Value) -> Details {
        Details {
            name: value.str_at("/name").into(),
            group: value.str_at("/group").into(),
            kind: value.str_at("/kind").into(),
            uid: value.str_at("/uid").into(),
            causes: value.list_at("/causes").iter().map(Cause::from_value).collect(),
            retry_after_seconds: value
                .i64_at("/retryAfterSeconds")
                .and_then(|s| u32::try_from(s).ok())
                .unwrap_or(0),
        }
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut out = Map::new();
        put(&mut out, "reason", &self.reason);
        put(&mut out, "message", &self.message);
        put(&mut out, "field", &self.field);
        Value::Object(out)
    }

    fn from_value(value: &Value) -> Cause {
        Cause {
            reason: value.str_at("/reason").into(),
            message: value.str_at("/message").into(),
            field: value.str_at("/field").into(),
        }
    }
}
