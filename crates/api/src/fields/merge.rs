//! An applied configuration over the object that is there.

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value};

use super::{
    element::Element,
    schema::{List, ListType, Map, Ref, Root, Schema, Shape, Type, elements, entries},
};

/// The object with everything that the configuration says. Both were validated.
pub fn merge(of: &Root, object: &Value, config: &Value) -> Value {
    value(&of.schema, of.root, object, config)
}

fn value(schema: &Schema, of: Ref, old: &Value, new: &Value) -> Value {
    let shape = schema.shape(of, new);
    let deduced = matches!(schema.get(of), Type::Deduced);
    match shape {
        Shape::List(Some(list)) if !matches!(list.of, ListType::Atomic) => lists(schema, list, old, new),
        Shape::Map(Some(map)) if !map.atomic => maps(schema, Some(map), old, new),
        Shape::Map(None) if deduced && old.is_object() => maps(schema, None, old, new),
        _ => new.clone(),
    }
}

fn maps(schema: &Schema, of: Option<&Map>, old: &Value, new: &Value) -> Value {
    let (before, after) = (entries(Some(old)), entries(Some(new)));
    // Between two that are empty the new one counts: null and {} are not the same.
    if [before, after].iter().all(|map| map.is_none_or(JsonMap::is_empty)) {
        return new.clone();
    }
    let mut out = JsonMap::new();
    for (name, here) in before.into_iter().flatten() {
        let merged = match after.and_then(|map| map.get(name)) {
            Some(there) => match of.map_or(Some(Schema::DEDUCED), |map| map.entry(name)) {
                Some(at) => value(schema, at, here, there),
                None => there.clone(),
            },
            None => here.clone(),
        };
        out.insert(name.clone(), merged);
    }
    for (name, there) in after.into_iter().flatten() {
        if !out.contains_key(name) {
            out.insert(name.clone(), there.clone());
        }
    }
    Value::Object(out)
}

/// Elements of both keep the place that the configuration gives them, the others their place among
/// their neighbours.
fn lists(schema: &Schema, of: &List, old: &Value, new: &Value) -> Value {
    let (before, after) = (elements(Some(old)), elements(Some(new)));
    if before.is_empty() && after.is_empty() {
        return new.clone();
    }
    let identified = |list: &'_ [Value]| -> Vec<(Element, usize)> {
        list.iter().enumerate().filter_map(|(place, item)| Some((of.identify(item).ok()?, place))).collect()
    };
    let (left, right) = (identified(before), identified(after));
    let is: BTreeMap<&Element, usize> =
        right.iter().rev().map(|(element, place)| (element, *place)).collect();
    let was: BTreeMap<&Element, usize> =
        left.iter().rev().map(|(element, place)| (element, *place)).collect();
    let merged = |element: &Element| -> Option<Value> {
        let there = after.get(*is.get(element)?)?;
        Some(match was.get(element).and_then(|place| before.get(*place)) {
            Some(here) => value(schema, of.element, here, there),
            None => there.clone(),
        })
    };
    let mut shared =
        right.iter().map(|(element, _)| element).filter(|element| was.contains_key(element)).peekable();
    let mut out = Vec::with_capacity(before.len().max(after.len()));
    let mut left = left.iter().peekable();
    let mut right = right.iter().peekable();
    loop {
        match (left.peek(), right.peek()) {
            (None, None) => return Value::Array(out),
            (Some((element, _)), Some((other, _))) if element == other => {
                out.extend(merged(element));
                left.next();
                right.next();
                shared.next();
            }
            (Some((element, place)), _) if !is.contains_key(element) => {
                out.extend(before.get(*place).cloned());
                left.next();
            }
            // In both, and its turn comes later, or was before.
            (Some((element, _)), right) if right.is_none() || shared.peek() != Some(&element) => {
                left.next();
            }
            (_, Some((element, _))) => {
                out.extend(merged(element));
                right.next();
                if shared.peek() == Some(&element) {
                    shared.next();
                }
            }
            (Some(_), None) => {
                left.next();
            }
        }
    }
}
