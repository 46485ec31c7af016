//! Regular expressions.

use super::super::{
    Value,
    eval::Found,
    session::{Session, work},
};

pub(super) fn call<'a>(name: &str, values: &[Value<'a>], session: &Session<'_>) -> Option<Found<'a>> {
    if !matches!(name, "matches" | "find" | "findAll") {
        return None;
    }
    let (Value::String(text), Value::String(pattern)) = (values.first()?, values.get(1)?) else {
        return None;
    };
    let regex = match session.pattern(pattern) {
        Ok(regex) => regex,
        Err(error) => return Some(Err(error)),
    };
    work(text.len());
    let found =
        |most: usize| regex.find_iter(text).take(most).map(|m| Value::text(m.as_str())).collect::<Vec<_>>();
    Some(Ok(match (name, values.get(2)) {
        ("matches", None) => Value::Bool(regex.is_match(text)),
        ("find", None) => regex.find(text).map_or(Value::text(""), |m| Value::text(m.as_str())),
        ("findAll", None) => Value::list(found(usize::MAX)),
        ("findAll", Some(Value::Int(n))) => Value::list(found(usize::try_from(*n).unwrap_or(usize::MAX))),
        _ => return None,
    }))
}
