//! Small reads that several loops share.

use api::object::{ObjectExt as _, unbase64};
use serde_json::Value;

pub(crate) use api::object::base64;

pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == kind)
}

pub(crate) fn condition_is(object: &Value, kind: &str, status: &str) -> bool {
    condition(object, kind).is_some_and(|c| c.str_at("/status") == status)
}

/// UID of the owner that controls the object.
pub(crate) fn controller_uid(object: &Value) -> Option<&str> {
    object.controller_of().map(|owner| owner.uid)
}

/// The bytes of a `[]byte` field; empty if it is absent or broken.
pub(crate) fn bytes(object: &Value, at: &str) -> Vec<u8> {
    unbase64(object.str_at(at)).unwrap_or_default()
}
