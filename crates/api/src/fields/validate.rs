//! Whether an object is what its schema says, in the words of upstream's typed values.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use super::schema::{ListType, Ref, Root, Schema, Shape, Simple};
use crate::patch::go_value;

/// What is wrong with an object: paths and words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<(String, String)>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |(path, why): &(String, String)| {
            if path.is_empty() { why.clone() } else { format!("{path}: {why}") }
        };
        match self.0.as_slice() {
            [one] => f.write_str(&line(one)),
            many => {
                f.write_str("errors:")?;
                many.iter().try_for_each(|one| write!(f, "\n  {}", line(one)))
            }
        }
    }
}

/// Checks an object that is applied: every field is in the schema and of its type, and no list that is
/// a map or a set has an element twice.
///
/// # Errors
/// All that is wrong.
pub fn validate(of: &Root, object: &Value) -> Result<(), Violations> {
    let mut violations = Violations::default();
    check(&of.schema, of.root, object, "", &mut violations.0);
    if violations.0.is_empty() { Ok(()) } else { Err(violations) }
}

fn check(schema: &Schema, of: Ref, value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    let mut refuse = |why: String| found.push((path.to_owned(), why));
    match schema.shape(of, value) {
        _ if value.is_null() => {}
        Shape::Simple(simple) => {
            if let Some(why) = misfit(simple, value) {
                refuse(why);
            }
        }
        Shape::List(list) => {
            let Value::Array(items) = value else {
                return refuse(format!("expected list, got &{{{}}}", go_value(value)));
            };
            let Some(list) = list else { return };
            let mut seen = BTreeSet::new();
            for (place, item) in items.iter().enumerate() {
                if matches!(list.of, ListType::Atomic) {
                    check(schema, list.element, item, &format!("{path}[{place}]"), found);
                    continue;
                }
                let element = match list.identify(item) {
                    Ok(element) => element,
                    // Nothing below it could be named.
                    Err(why) => {
                        return found.push((path.to_owned(), format!("element {place}: {why}")));
                    }
                };
                check(schema, list.element, item, &format!("{path}{element}"), found);
                let words = format!("duplicate entries for key {element}");
                if !seen.insert(element) {
                    found.push((path.to_owned(), words));
                }
            }
        }
        Shape::Map(map) => {
            let Value::Object(fields) = value else {
                return refuse(format!("expected map, got &{{{}}}", go_value(value)));
            };
            for (name, inner) in fields {
                let at = map.map_or(Some(Schema::DEDUCED), |map| map.entry(name));
                let path = format!("{path}.{name}");
                match at {
                    Some(at) => check(schema, at, inner, &path, found),
                    None => return found.push((path, "field not declared in schema".to_owned())),
                }
            }
        }
    }
}

fn misfit(simple: Simple, value: &Value) -> Option<String> {
    let shown = || match value {
        Value::String(text) => format!("&value.valueUnstructured{{Value:{text:?}}}"),
        Value::Number(_) | Value::Bool(_) => format!("&value.valueUnstructured{{Value:{value}}}"),
        _ => format!("&{{{}}}", go_value(value)),
    };
    let go_type = || match value {
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        _ => "map[string]interface {}",
    };
    match (simple, value) {
        (Simple::Numeric, Value::Number(_))
        | (Simple::Text, Value::String(_))
        | (Simple::Boolean, Value::Bool(_))
        | (Simple::Any, Value::Number(_) | Value::String(_) | Value::Bool(_)) => None,
        (Simple::Numeric, _) => Some(format!("expected numeric (int or float), got {}", go_type())),
        (Simple::Text, _) => Some(format!("expected string, got {}", shown())),
        (Simple::Boolean, _) => Some(format!("expected boolean, got {}", shown())),
        (Simple::Any, _) => Some(format!("expected any scalar, got {}", shown())),
    }
}
