//! Small reads that several loops share.

use api::object::ObjectExt as _;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use world::Wall;

pub(crate) fn text<'a>(object: &'a Value, at: &str) -> &'a str {
    object.str_at(at)
}

pub(crate) fn list<'a>(object: &'a Value, at: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.list_at(at).iter()
}

pub(crate) fn number(object: &Value, at: &str) -> Option<i64> {
    object.i64_at(at)
}

pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").find(|c| text(c, "/type") == kind)
}

pub(crate) fn condition_is(object: &Value, kind: &str, status: &str) -> bool {
    condition(object, kind).is_some_and(|c| text(c, "/status") == status)
}

/// A time of the API; `None` if it is absent or unreadable.
pub(crate) fn time(object: &Value, at: &str) -> Option<Wall> {
    text(object, at).parse().ok()
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    object.at("/metadata/deletionTimestamp").is_some_and(|t| !t.is_null())
}

/// UID of the owner that controls the object.
pub(crate) fn controller_uid(object: &Value) -> Option<&str> {
    list(object, "/metadata/ownerReferences")
        .find(|o| o.get("controller").and_then(Value::as_bool) == Some(true))
        .map(|o| text(o, "/uid"))
}

/// Standard base64, as `[]byte` fields are written in JSON.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a `[]byte` field; empty if it is absent or broken.
pub(crate) fn bytes(object: &Value, at: &str) -> Vec<u8> {
    STANDARD.decode(text(object, at)).unwrap_or_default()
}
