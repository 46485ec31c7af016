//! Patterns of answers: JSON that says what must be there, what may be anything, and what must not be.
//!
//! An object matches one that has at least its members; a list one of the same length. In place of a value:
//!
//! | | |
//! |---|---|
//! | `$any`, `$string`, `$number` | whatever is there, of that type |
//! | `$absent` | nothing |
//! | `$uid`, `$time`, `$version` | a UUID; seconds in RFC 3339; a revision |
//! | `$has:TEXT`, `$starts:TEXT`, `$ends:TEXT` | a text with, from the beginning, to the end TEXT |
//! | `$after:N` | a revision greater than N |
//! | `{"$only": {…}}` | an object with these members and no others |
//! | `{"$items": […]}` | a list that holds all of these, in any order, among others |
//! | `{"$none": PATTERN}` | a list with nothing like this |
//! | `{"$each": PATTERN}` | a list of nothing but these, and at least one |
//! | `{"$length": N}` | a list of so many |
//!
//! `$name` anywhere in a text stands for a captured variable.

use std::collections::BTreeMap;

use serde_json::Value;

/// Variables of a case.
pub type Variables = BTreeMap<String, String>;

/// Puts variables into a text. What is no variable stays as it is.
pub fn fill(text: &str, variables: &Variables) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, behind) = after.split_at(end);
        match variables.get(name) {
            Some(value) => out.push_str(value),
            None => {
                out.push('$');
                out.push_str(name);
            }
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Puts variables into every text of a value, keys included.
pub fn fill_value(value: &Value, variables: &Variables) -> Value {
    match value {
        Value::String(text) => fill(text, variables).into(),
        Value::Array(items) => items.iter().map(|v| fill_value(v, variables)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(k, v)| (fill(k, variables), fill_value(v, variables))).collect()
        }
        other => other.clone(),
    }
}

/// Whether `actual` (`None`: not there) is as `pattern` says; if not, where it is not.
///
/// # Errors
/// One sentence that names the place, what was expected and what is there.
pub fn check(pattern: &Value, actual: Option<&Value>, at: &str) -> Result<(), String> {
    let differs = || {
        let shown = actual.map_or_else(|| "nothing".to_owned(), Value::to_string);
        Err(format!("{} should be {pattern}, is {}", if at.is_empty() { "it" } else { at }, short(&shown)))
    };
    if pattern.as_str() == Some("$absent") {
        return if actual.is_none() { Ok(()) } else { differs() };
    }
    let Some(actual) = actual else { return differs() };
    match pattern {
        Value::String(text) => {
            if text_matches(text, actual) {
                Ok(())
            } else {
                differs()
            }
        }
        Value::Object(fields) => match single(fields) {
            Some(("$only", Value::Object(inner))) => {
                let Value::Object(there) = actual else { return differs() };
                let extra: Vec<&String> = there.keys().filter(|k| !inner.contains_key(*k)).collect();
                if !extra.is_empty() {
                    return Err(format!("{at} has {extra:?} besides"));
                }
                members(inner, actual, at)
            }
            Some((operator, operand)) => {
                let Value::Array(items) = actual else { return differs() };
                let like = |p: &Value| items.iter().filter(|i| check(p, Some(i), at).is_ok()).count();
                let holds = match operator {
                    "$items" => operand.as_array().is_some_and(|all| all.iter().all(|p| like(p) > 0)),
                    "$none" => like(operand) == 0,
                    "$each" => !items.is_empty() && like(operand) == items.len(),
                    "$length" => operand.as_u64() == Some(items.len() as u64),
                    _ => return Err(format!("{at}: there is no pattern {operator}")),
                };
                if holds { Ok(()) } else { differs() }
            }
            None => members(fields, actual, at),
        },
        Value::Array(patterns) => {
            let Value::Array(items) = actual else { return differs() };
            if items.len() != patterns.len() {
                return differs();
            }
            let pairs = patterns.iter().zip(items).enumerate();
            pairs.into_iter().try_for_each(|(n, (p, item))| check(p, Some(item), &format!("{at}[{n}]")))
        }
        plain if plain == actual => Ok(()),
        _ => differs(),
    }
}

/// An object that is one operator.
fn single(fields: &serde_json::Map<String, Value>) -> Option<(&str, &Value)> {
    let mut all = fields.iter();
    match (all.next(), all.next()) {
        (Some((key, operand)), None) if key.starts_with('$') => Some((key, operand)),
        _ => None,
    }
}

fn members(fields: &serde_json::Map<String, Value>, actual: &Value, at: &str) -> Result<(), String> {
    if !actual.is_object() {
        return Err(format!("{at} should be an object, is {}", short(&actual.to_string())));
    }
    fields.iter().try_for_each(|(key, pattern)| check(pattern, actual.get(key), &format!("{at}.{key}")))
}

fn text_matches(pattern: &str, actual: &Value) -> bool {
    let text = actual.as_str();
    let argued = |prefix: &str| pattern.strip_prefix(prefix);
    match pattern {
        "$any" => return true,
        "$string" => return text.is_some(),
        "$number" => return actual.is_number(),
        "$uid" => return text.is_some_and(is_uuid),
        "$time" => return text.is_some_and(|t| t.len() == 20 && t.parse::<jiff::Timestamp>().is_ok()),
        "$version" => return text.and_then(|t| t.parse::<u64>().ok()).is_some_and(|n| n > 0),
        _ => {}
    }
    if let Some(least) = argued("$after:") {
        let number = |t: &str| t.parse::<u64>().ok();
        return text.and_then(number).zip(number(least)).is_some_and(|(is, least)| is > least);
    }
    let Some(text) = text else { return false };
    match (argued("$has:"), argued("$starts:"), argued("$ends:")) {
        (Some(part), ..) => text.contains(part),
        (_, Some(head), _) => text.starts_with(head),
        (.., Some(tail)) => text.ends_with(tail),
        _ => text == pattern,
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(n, c)| match n {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

/// Enough of a long value to see what it is.
fn short(text: &str) -> String {
    const MOST: usize = 400;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_say_what_they_mean() {
        let holds = |pattern: Value, actual: Value, expected: bool| {
            let outcome = check(&pattern, Some(&actual), "");
            assert_eq!(outcome.is_ok(), expected, "{pattern} on {actual}: {outcome:?}");
        };
        holds(json!({"a": 1}), json!({"a": 1, "b": 2}), true);
        holds(json!({"$only": {"a": 1}}), json!({"a": 1, "b": 2}), false);
        holds(json!({"a": "$absent"}), json!({"b": 2}), true);
        holds(json!({"a": "$absent"}), json!({"a": null}), false);
        holds(json!([1]), json!([1, 2]), false);
        holds(json!({"$items": [2]}), json!([1, 2]), true);
        holds(json!({"$none": {"x": 1}}), json!([{"x": 1}]), false);
        holds(json!({"$each": {"x": "$any"}}), json!([{"x": 1}, {}]), false);
        holds(json!({"$each": "$any"}), json!([]), false);
        holds(json!({"$length": 2}), json!([1, 2]), true);
        holds(json!("$after:9"), json!("10"), true);
        holds(json!("$after:10"), json!("10"), false);
        holds(json!("$uid"), json!("x"), false);
        holds(json!("$time"), json!("2026-11-28T10:00:00Z"), true);
        holds(json!("$has:b"), json!("abc"), true);
        holds(json!("$starts:b"), json!("abc"), false);
    }

    #[test]
    fn variables_are_put_in() {
        let variables =
            Variables::from([("ns".to_owned(), "a".to_owned()), ("n".to_owned(), "7".to_owned())]);
        assert_eq!(fill("/$ns/x-$n?$any=$", &variables), "/a/x-7?$any=$");
        assert_eq!(fill_value(&json!({"$ns": ["$n"]}), &variables), json!({"a": ["7"]}));
    }
}
