//! Questions to an entry without reading it into a set: most writes change what their manager owns
//! already, and then nothing but a time changes.
//!
//! Only for entries that this server wrote: there every path has one spelling.

use serde_json::{Map as JsonMap, Value};

use super::set::Set;

/// Whether every path of the set is in `fieldsV1`.
pub(super) fn covers(fields: Option<&Value>, set: &Set) -> bool {
    let Some(fields) = fields.and_then(Value::as_object) else { return set.is_empty() };
    set.nodes().all(|(element, node)| match fields.get(&element.encode()) {
        Some(inner) => (!node.member || is_member(inner)) && covers(Some(inner), &node.below),
        None => false,
    })
}

/// Whether any path of the set is in `fieldsV1`.
pub(super) fn touches(fields: Option<&Value>, set: &Set) -> bool {
    let Some(fields) = fields.and_then(Value::as_object) else { return false };
    set.nodes().any(|(element, node)| match fields.get(&element.encode()) {
        Some(inner) => node.member && is_member(inner) || touches(Some(inner), &node.below),
        None => false,
    })
}

fn is_member(inner: &Value) -> bool {
    inner.as_object().is_some_and(|map: &JsonMap<String, Value>| map.is_empty() || map.contains_key("."))
}
