//! Strategic merge patch: a merge patch that knows which lists are really maps.
//!
//! Besides plain fields a patch may hold directives, all of which begin with `$`:
//!
//! | directive | where | effect |
//! |---|---|---|
//! | `$patch: replace` | map | the patch's map takes the place of the current one |
//! | `$patch: delete` | map | the map becomes empty |
//! | `$patch: delete` | element with its key | the element goes |
//! | `$patch: replace` | element alone | the patch's list takes the place of the current one |
//! | `$retainKeys: […]` | map | fields that are not named go |
//! | `$deleteFromPrimitiveList/x: […]` | beside a set `x` | these values go |
//! | `$setElementOrder/x: […]` | beside a list `x` | the order that the client wants |
//!
//! Order without a directive: what the patch names comes in the patch's order, the rest in the
//! current order, and a new element stands before the old ones that it could follow. That is what
//! upstream does, and `kubectl get -o yaml` shows it.

use serde_json::{Map, Value};

use super::{
    PatchError, bounded,
    facts::{self, Strategy, Type},
    list,
};
use crate::{kinds::Kind, status::Status};

pub(super) const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// Merges `patch` into the current object of a kind.
pub fn strategic_merge(kind: &Kind, current: &Value, patch: &Value) -> Result<Value, Status> {
    Ok(merge_object(facts::of_kind(kind.group, kind.kind), current, patch)?)
}

fn merge_object(of: &'static Type, current: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::Decode { why: "a strategic merge patch is a JSON object".into() });
    };
    let Value::Object(current) = current else {
        return Err(PatchError::Decode { why: "only a JSON object can be patched".into() });
    };
    bounded(Value::Object(merge_map(current.clone(), patch, Some(of))?))
}

/// Merges a map of the patch into the current one.
pub(super) fn merge_map(
    mut current: Map<String, Value>,
    patch: &Map<String, Value>,
    of: Option<&'static Type>,
) -> Result<Map<String, Value>, PatchError> {
    match patch.get(DIRECTIVE) {
        None => {}
        Some(Value::String(word)) if word == "replace" => {
            let mut replaced = patch.clone();
            replaced.shift_remove(DIRECTIVE);
            return Ok(replaced);
        }
        Some(Value::String(word)) if word == "delete" => return Ok(Map::new()),
        Some(other) => return Err(unknown_directive(other, patch)),
    }
    retain_keys(&mut current, patch)?;

    for (key, wanted) in patch {
        let Some(field) = directive(key, SET_ORDER, PatchError::SetElementOrder)? else { continue };
        order(&mut current, patch, field, wanted, of)?;
    }
    for (key, value) in patch {
        if key == RETAIN_KEYS || key.starts_with(SET_ORDER) {
            continue;
        }
        if let Some(field) = directive(key, DELETE_FROM, PatchError::PrimitiveList)? {
            delete_from(&mut current, field, value)?;
            continue;
        }
        if patch.contains_key(&format!("{SET_ORDER}/{key}")) && value.is_array() {
            continue;
        }
        merge_field(&mut current, key, value, of)?;
    }
    Ok(current)
}

fn merge_field(
    current: &mut Map<String, Value>,
    key: &str,
    value: &Value,
    of: Option<&'static Type>,
) -> Result<(), PatchError> {
    if value.is_null() {
        current.shift_remove(key);
        return Ok(());
    }
    let Some(slot) = current.get_mut(key) else {
        current.insert(key.to_owned(), plain(value));
        return Ok(());
    };
    let field = of.and_then(|of| of.field(key));
    let strategy = field.map_or(Strategy::Default, |field| field.strategy);
    let inner = field.and_then(|field| field.of);
    match (slot, value) {
        (Value::Object(have), Value::Object(want)) if strategy != Strategy::Replace => {
            *have = merge_map(std::mem::take(have), want, inner)?;
        }
        (Value::Array(have), Value::Array(want)) => {
            *have = list::merge(std::mem::take(have), want, strategy, inner)?;
        }
        (slot, value) => *slot = plain(value),
    }
    Ok(())
}

/// `$setElementOrder/field`: merges the list of the patch, if there is one, and sorts the result.
fn order(
    current: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    field: &str,
    wanted: &Value,
    of: Option<&'static Type>,
) -> Result<(), PatchError> {
    let Value::Array(wanted) = wanted else { return Err(PatchError::SetElementOrder) };
    let facts = of.and_then(|of| of.field(field));
    let strategy = facts.map_or(Strategy::Default, |facts| facts.strategy);
    let have = match current.get(field) {
        None | Some(Value::Null) => None,
        Some(Value::Array(list)) => Some(list.clone()),
        Some(other) => return Err(wrong_type("list", other)),
    };
    let want = match patch.get(field) {
        None | Some(Value::Null) => None,
        Some(Value::Array(list)) => Some(list),
        Some(other) => return Err(wrong_type("list", other)),
    };
    list::check_order(want.map_or(&[], Vec::as_slice), wanted, strategy)?;
    let merged = match (&have, want) {
        (None, None) => return Ok(()),
        (Some(have), None) => have.clone(),
        (have, Some(want)) => {
            list::merge(have.clone().unwrap_or_default(), want, strategy, facts.and_then(|facts| facts.of))?
        }
    };
    let sorted = list::sort(merged, wanted, have.as_deref().unwrap_or_default(), strategy)?;
    current.insert(field.to_owned(), Value::Array(sorted));
    Ok(())
}

fn delete_from(current: &mut Map<String, Value>, field: &str, values: &Value) -> Result<(), PatchError> {
    let Value::Array(values) = values else { return Err(PatchError::PrimitiveList) };
    if let Some(Value::Array(have)) = current.get_mut(field) {
        have.retain(|value| !values.contains(value));
    }
    Ok(())
}

fn retain_keys(current: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), PatchError> {
    let Some(keep) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keep) = keep else { return Err(PatchError::RetainKeys) };
    let kept = |key: &str| keep.iter().any(|name| name.as_str() == Some(key));
    for (key, value) in patch {
        if !value.is_null() && !key.starts_with('$') && !kept(key) {
            return Err(PatchError::RetainKeys);
        }
    }
    current.retain(|key, _| kept(key));
    Ok(())
}

/// The field that a directive such as `$setElementOrder/containers` is about.
fn directive<'a>(key: &'a str, prefix: &str, malformed: PatchError) -> Result<Option<&'a str>, PatchError> {
    match key.strip_prefix(prefix) {
        None => Ok(None),
        Some(rest) => rest.strip_prefix('/').map(Some).ok_or(malformed),
    }
}

/// A value of the patch where there is nothing to merge it with: what it would delete is left out, and
/// so are its directives.
pub(super) fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(key, value)| !value.is_null() && !is_directive(key))
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect(),
        ),
        Value::Array(list) => {
            let stays = |value: &&Value| value.get(DIRECTIVE).is_none();
            Value::Array(list.iter().filter(stays).map(plain).collect())
        }
        other => other.clone(),
    }
}

fn is_directive(key: &str) -> bool {
    key == DIRECTIVE || key == RETAIN_KEYS || key.starts_with(SET_ORDER) || key.starts_with(DELETE_FROM)
}

pub(super) fn unknown_directive(directive: &Value, map: &Map<String, Value>) -> PatchError {
    let directive = directive.as_str().map_or_else(|| directive.to_string(), str::to_owned);
    PatchError::UnknownDirective { directive, map: list::go_map(map) }
}

pub(super) fn wrong_type(expected: &'static str, got: &Value) -> PatchError {
    let received = match got {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    };
    PatchError::WrongType { expected, received }
}

#[cfg(test)]
#[path = "strategic_tests.rs"]
pub(super) mod tests;
