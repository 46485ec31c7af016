//! Regular expressions.

use regex::Regex;

use super::super::{
    Value,
    eval::{EvalError, Found},
};

fn compile(pattern: &str) -> Result<Regex, EvalError> {
    Regex::new(pattern).map_err(|_| EvalError::failed(format!("error parsing regexp: {pattern}")))
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Option<Found<'a>> {
    let (Value::String(text), Value::String(pattern)) = (values.first()?, values.get(1)?) else {
        return None;
    };
    if !matches!(name, "matches" | "find" | "findAll") {
        return None;
    }
    let regex = match compile(pattern) {
        Ok(regex) => regex,
        Err(error) => return Some(Err(error)),
    };
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
