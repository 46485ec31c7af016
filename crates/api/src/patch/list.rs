//! Merging and ordering the lists of a strategic merge patch.

use serde_json::{Map, Value};

use super::{
    PatchError,
    facts::{Strategy, Type},
    strategic::{DIRECTIVE, merge_map, plain, unknown_directive, wrong_type},
};

/// Merges a list of the patch into the current one and brings it into order.
pub(super) fn merge(
    current: Vec<Value>,
    patch: &[Value],
    strategy: Strategy,
    of: Option<&'static Type>,
) -> Result<Vec<Value>, PatchError> {
    match strategy {
        Strategy::Default | Strategy::Replace => Ok(patch.iter().map(plain).collect()),
        Strategy::MergeSet => {
            same_type(&current, patch)?;
            let before = current.clone();
            let mut merged = current;
            for value in patch {
                if !merged.contains(value) {
                    merged.push(value.clone());
                }
            }
            sort(merged, patch, &before, strategy)
        }
        Strategy::MergeBy(key) => {
            same_type(&current, patch)?;
            let before = current.clone();
            let (current, patch, replaced) = carry_out_directives(current, patch, key)?;
            if replaced {
                return Ok(current);
            }
            let merged = merge_by_key(current, &patch, key, of)?;
            sort(merged, &patch, &before, strategy)
        }
    }
}

/// The list in its order: elements that `wanted` names as they stand there, the others as they stand
/// in `before`, and both woven together so that nobody overtakes without need.
pub(super) fn sort(
    merged: Vec<Value>,
    wanted: &[Value],
    before: &[Value],
    strategy: Strategy,
) -> Result<Vec<Value>, PatchError> {
    let mut named = Vec::new();
    let mut others = Vec::new();
    for value in merged {
        let id = identity(&value, strategy)?;
        let at = position(wanted, id, strategy);
        let was = position(before, id, strategy);
        match at {
            Some(at) => named.push((at, was, value)),
            None => others.push((was, value)),
        }
    }
    named.sort_by_key(|(at, ..)| *at);
    others.sort_by_key(|(was, _)| *was);

    let mut woven = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    loop {
        let other_first = match (others.peek(), named.peek()) {
            (None, None) => return Ok(woven),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((Some(other), _)), Some((_, Some(was), _))) => other < was,
            (Some(_), Some(_)) => false,
        };
        if other_first {
            woven.extend(others.next().map(|(_, value)| value));
        } else {
            woven.extend(named.next().map(|(_, _, value)| value));
        }
    }
}

/// A list of the patch may only name what `$setElementOrder` names, in the same order.
pub(super) fn check_order(patch: &[Value], wanted: &[Value], strategy: Strategy) -> Result<(), PatchError> {
    if wanted.is_empty() || patch.is_empty() {
        return Ok(());
    }
    let mut rest = wanted.iter();
    for value in patch.iter().filter(|value| value.get(DIRECTIVE).is_none()) {
        let id = identity(value, strategy)?;
        let found = rest.try_fold((), |(), next| match identity(next, strategy) {
            Err(error) => Err(Some(error)),
            Ok(next) if next == id => Err(None),
            Ok(_) => Ok(()),
        });
        match found {
            Err(None) => {}
            Err(Some(error)) => return Err(error),
            Ok(()) => {
                return Err(PatchError::OrderMismatch { patch: go_list(patch), order: go_list(wanted) });
            }
        }
    }
    Ok(())
}

/// Takes the elements with `$patch` out of the patch and does what they say. The flag says that the
/// rest of the patch has taken the place of the current list.
fn carry_out_directives(
    mut current: Vec<Value>,
    patch: &[Value],
    key: &'static str,
) -> Result<(Vec<Value>, Vec<Value>, bool), PatchError> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut replace = false;
    for element in patch {
        let Value::Object(map) = element else { return Err(wrong_type("map", element)) };
        match map.get(DIRECTIVE) {
            None => rest.push(element.clone()),
            Some(Value::String(word)) if word == "delete" => {
                let id = map.get(key).ok_or_else(|| no_key(map, key))?;
                current.retain(|have| have.get(key) != Some(id));
            }
            Some(Value::String(word)) if word == "replace" => replace = true,
            Some(Value::String(word)) if word == "merge" => return Err(PatchError::MergeDirective),
            Some(other) => return Err(unknown_directive(other, map)),
        }
    }
    if replace {
        return Ok((rest.iter().map(plain).collect(), Vec::new(), true));
    }
    Ok((current, rest, false))
}

fn merge_by_key(
    mut current: Vec<Value>,
    patch: &[Value],
    key: &'static str,
    of: Option<&'static Type>,
) -> Result<Vec<Value>, PatchError> {
    for element in patch {
        let Value::Object(map) = element else { return Err(wrong_type("map", element)) };
        let id = map.get(key).ok_or_else(|| no_key(map, key))?;
        let found = current.iter_mut().find(|have| have.get(key) == Some(id));
        match found {
            Some(Value::Object(have)) => *have = merge_map(std::mem::take(have), map, of)?,
            _ => current.push(plain(element)),
        }
    }
    Ok(current)
}

/// What tells an element of a merged list from the others: its key, or its value in a set.
fn identity(value: &Value, strategy: Strategy) -> Result<&Value, PatchError> {
    match (strategy, value) {
        (Strategy::MergeBy(key), Value::Object(map)) => map.get(key).ok_or_else(|| no_key(map, key)),
        (Strategy::MergeBy(_), other) => Err(wrong_type("map", other)),
        (_, value) => Ok(value),
    }
}

fn position(list: &[Value], id: &Value, strategy: Strategy) -> Option<usize> {
    list.iter().position(|value| identity(value, strategy).is_ok_and(|other| other == id))
}

fn same_type(current: &[Value], patch: &[Value]) -> Result<(), PatchError> {
    let mut all = current.iter().chain(patch).map(std::mem::discriminant);
    if current.iter().chain(patch).any(Value::is_array) {
        return Err(PatchError::ListOfLists);
    }
    let Some(first) = all.next() else { return Ok(()) };
    if all.all(|other| other == first) {
        return Ok(());
    }
    Err(PatchError::MixedTypes { lists: format!("[{} {}]", go_list(current), go_list(patch)) })
}

fn no_key(map: &Map<String, Value>, key: &str) -> PatchError {
    PatchError::NoMergeKey { map: go_map(map), key: key.into() }
}

/// A map as Go prints it: `map[a:1 b:x]`, sorted by key.
pub(super) fn go_map(map: &Map<String, Value>) -> String {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    let entries: Vec<_> =
        entries.into_iter().map(|(key, value)| format!("{key}:{}", go_value(value))).collect();
    format!("map[{}]", entries.join(" "))
}

fn go_list(list: &[Value]) -> String {
    let items: Vec<_> = list.iter().map(go_value).collect();
    format!("[{}]", items.join(" "))
}

/// A value as Go prints it.
pub(crate) fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(list) => go_list(list),
        Value::Object(map) => go_map(map),
        other => other.to_string(),
    }
}
