//! What to do about one default role or binding, given what the cluster holds under its name.
//!
//! Rules, subjects, labels and annotations that are missing are added; what an administrator added
//! stays. An object with the annotation `autoupdate: "false"` is left alone.

use serde_json::{Map, Value};

use super::AUTOUPDATE;
use crate::authz::rule::{Rule, covers};

/// What to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Nothing: all there, or not ours to touch.
    Nothing,
    /// Create this object.
    Create(Value),
    /// Update to this object (it carries the resource version that was read).
    Update(Value),
    /// A binding to another role: delete what is there, then create this object, for a role
    /// reference can never change.
    Recreate(Value),
}

/// Compares a role or cluster role with the one of the table.
pub fn role(existing: Option<&Value>, expected: &Value) -> Action {
    let Some(existing) = existing else { return Action::Create(expected.clone()) };
    if is_protected(existing) {
        return Action::Nothing;
    }
    let mut merged = existing.clone();
    let mut changed = merge_metadata(&mut merged, expected);

    let missing = covers(&rules(existing), &rules(expected));
    if !missing.is_empty() {
        extend(&mut merged, "rules", missing.iter().map(Rule::to_value).collect());
        changed = true;
    }

    let selectors = |role: &Value| -> Vec<Value> {
        role.pointer("/aggregationRule/clusterRoleSelectors")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let held = selectors(existing);
    let missing: Vec<Value> = selectors(expected).into_iter().filter(|s| !held.contains(s)).collect();
    if !missing.is_empty() {
        let all: Vec<Value> = held.into_iter().chain(missing).collect();
        merged["aggregationRule"] = serde_json::json!({ "clusterRoleSelectors": all });
        changed = true;
    }
    if changed { Action::Update(merged) } else { Action::Nothing }
}

/// Compares a role binding or cluster role binding with the one of the table.
pub fn binding(existing: Option<&Value>, expected: &Value) -> Action {
    let Some(existing) = existing else { return Action::Create(expected.clone()) };
    if is_protected(existing) {
        return Action::Nothing;
    }
    if existing.get("roleRef") != expected.get("roleRef") {
        let mut fresh = expected.clone();
        let held = subjects(existing);
        let missing: Vec<Value> = subjects(expected).into_iter().filter(|s| !held.contains(s)).collect();
        let all: Vec<Value> = held.into_iter().chain(missing).collect();
        if !all.is_empty() {
            fresh["subjects"] = all.into();
        }
        return Action::Recreate(fresh);
    }
    let mut merged = existing.clone();
    let mut changed = merge_metadata(&mut merged, expected);
    let held = subjects(existing);
    let missing: Vec<Value> = subjects(expected).into_iter().filter(|s| !held.contains(s)).collect();
    if !missing.is_empty() {
        extend(&mut merged, "subjects", missing);
        changed = true;
    }
    if changed { Action::Update(merged) } else { Action::Nothing }
}

fn is_protected(existing: &Value) -> bool {
    existing.pointer("/metadata/annotations").and_then(|a| a.get(AUTOUPDATE)).and_then(Value::as_str)
        == Some("false")
}

fn rules(role: &Value) -> Vec<Rule> {
    role.get("rules").and_then(Value::as_array).into_iter().flatten().map(Rule::from_value).collect()
}

fn subjects(binding: &Value) -> Vec<Value> {
    binding.get("subjects").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn extend(object: &mut Value, list: &str, more: Vec<Value>) {
    match object.get_mut(list).and_then(Value::as_array_mut) {
        Some(held) => held.extend(more),
        None => object[list] = more.into(),
    }
}

/// Adds labels and annotations that are missing; those that are there win.
fn merge_metadata(merged: &mut Value, expected: &Value) -> bool {
    let mut changed = false;
    for map in ["labels", "annotations"] {
        let wanted = expected.pointer(&format!("/metadata/{map}")).and_then(Value::as_object);
        for (key, value) in wanted.into_iter().flatten() {
            let metadata = &mut merged["metadata"];
            if !metadata.get(map).is_some_and(Value::is_object) {
                metadata[map] = Value::Object(Map::new());
            }
            if let Some(held) = metadata[map].as_object_mut()
                && !held.contains_key(key)
            {
                held.insert(key.clone(), value.clone());
                changed = true;
            }
        }
    }
    changed
}
