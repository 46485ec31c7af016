//! Small texts that many printers share: labels, selectors, lists that are cut short.

use serde_json::{Map, Value};

use crate::object::ObjectExt;

pub(super) const NONE: &str = "<none>";
pub(super) const UNSET: &str = "<unset>";

/// `text`, or `other` if it is empty.
pub(super) fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

/// A map of labels as `a=1,b=2`, or `<none>`.
pub(super) fn labels(map: Option<&Map<String, Value>>) -> String {
    let mut pairs: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    if pairs.is_empty() { NONE.into() } else { pairs.join(",") }
}

/// A `LabelSelector` in the syntax of a query: `app=web,tier in (a,b),!old`; empty if it selects
/// everything.
pub(super) fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    let mut parts: Vec<(String, String)> = selector
        .map_at("/matchLabels")
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), format!("{key}={}", value.as_str().unwrap_or_default())))
        .collect();
    for expression in selector.list_at("/matchExpressions") {
        let key = expression.str_at("/key");
        let mut values: Vec<&str> = expression.list_at("/values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let part = match expression.str_at("/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".into(),
        };
        parts.push((key.to_owned(), part));
    }
    parts.sort_by(|(a, _), (b, _)| a.cmp(b));
    parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(",")
}

/// Names and images of the containers of a pod template's spec.
pub(super) fn containers(object: &Value, pointer: &str) -> (Value, Value) {
    let list = object.list_at(pointer);
    let column = |field: &str| join(list.iter().map(|container| container.str_at(field)));
    (column("/name").into(), column("/image").into())
}

/// Texts with commas between them.
pub(super) fn join<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<Vec<_>>().join(",")
}

/// The first three of a list, then how many more there are.
pub(super) fn first_three(all: Vec<String>, if_empty: &str) -> String {
    let more = all.len().saturating_sub(3);
    let shown = all.into_iter().take(3).collect::<Vec<_>>().join(",");
    match more {
        0 if shown.is_empty() => if_empty.into(),
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

/// A number or a text (`IntOrString`, quantities) as text.
pub(super) fn scalar(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The integer at a pointer as a cell, 0 if there is none.
pub(super) fn count(object: &Value, pointer: &str) -> Value {
    object.i64_at(pointer).unwrap_or(0).into()
}

/// The status of a condition, empty if it is not there.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    find_condition(object, kind).map_or("", |condition| condition.str_at("/status"))
}

/// A condition of `status.conditions`.
pub(super) fn find_condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.list_at("/status/conditions").iter().find(|condition| condition.str_at("/type") == kind)
}
