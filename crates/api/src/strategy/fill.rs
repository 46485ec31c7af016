//! Small writers that defaulting is made of.

use serde_json::Value;

use crate::{object::ObjectExt, quantity};

/// Sets a field that is absent. Maps on the way are created.
pub(super) fn fill(object: &mut Value, pointer: &str, value: impl Into<Value>) {
    if object.at(pointer).is_none_or(Value::is_null) {
        object.set_at(pointer, value);
    }
}

/// Sets a text that is absent or empty.
pub(super) fn fill_text(object: &mut Value, pointer: &str, value: &str) {
    if object.at(pointer).is_none_or(|have| have.is_null() || have.as_str() == Some("")) {
        object.set_at(pointer, value);
    }
}

/// The elements of a list, to be changed in place.
pub(super) fn each<'a>(object: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    object.at_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Brings a map of amounts into canonical form. What is no amount stays, and validation names it.
pub(super) fn canonicalize(object: &mut Value, pointer: &str) {
    if let Some(amounts) = object.at_mut(pointer) {
        let _ = quantity::canonicalize(amounts);
    }
}

/// Copies a field from the stored object, or removes it if it has none there.
pub(super) fn restore_at(new: &mut Value, old: &Value, pointer: &str) {
    match old.at(pointer) {
        Some(value) => new.set_at(pointer, value.clone()),
        None => {
            new.remove_at(pointer);
        }
    }
}
