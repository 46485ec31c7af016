//! What the functions do: the standard ones, and Kubernetes' libraries.
//!
//! A call arrives here with its values, the target of a method first. Which types go together was
//! checked where types are known; where they are not (`dyn`), what nobody here takes is
//! `no such overload`.

mod format;
mod lists;
mod net;
mod numbers;
mod quantity;
mod regexes;
mod semver;
mod strings;
pub(super) mod time;
mod url;

use super::{
    Value,
    eval::{EvalError, Found},
};

pub(super) use lists::sort_by;
pub use net::Cidr;
pub use semver::Semver;
pub use url::Url;

/// Nothing grows beyond this: a request is smaller.
const LARGEST: usize = 16 * 1024 * 1024;

/// Calls a function.
pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Found<'a> {
    for library in [operators, numbers::call, strings::call, lists::call, time::call] {
        if let Some(found) = library(name, values) {
            return found;
        }
    }
    for library in
        [regexes::call, url::call, quantity::call, semver::call, net::call, format::call, optionals]
    {
        if let Some(found) = library(name, values) {
            return found;
        }
    }
    Err(EvalError::overload())
}

fn operators<'a>(name: &str, values: &[Value<'a>]) -> Option<Found<'a>> {
    Some(Ok(match (name, values) {
        ("_==_", [a, b]) => Value::Bool(a.equals(b)),
        ("_!=_", [a, b]) => Value::Bool(!a.equals(b)),
        ("_<_" | "_<=_" | "_>_" | "_>=_", [a, b]) => {
            let both_floats = matches!(a, Value::Double(_)) || matches!(b, Value::Double(_));
            match a.compare(b) {
                Some(order) => Value::Bool(match name {
                    "_<_" => order.is_lt(),
                    "_<=_" => order.is_le(),
                    "_>_" => order.is_gt(),
                    _ => order.is_ge(),
                }),
                None if both_floats => return Some(Err(EvalError::failed("NaN values cannot be ordered"))),
                None => return Some(Err(EvalError::overload())),
            }
        }
        ("!_", [Value::Bool(b)]) => Value::Bool(!b),
        ("dyn", [a]) => a.clone(),
        ("type", [a]) => Value::Type(a.type_name()),
        ("bool", [Value::Bool(b)]) => Value::Bool(*b),
        ("bool", [Value::String(s)]) => match s.as_ref() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Value::Bool(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Value::Bool(false),
            _ => return Some(Err(EvalError::failed("type conversion error from 'string' to 'bool'"))),
        },
        ("size", [Value::String(s)]) => Value::size(s.chars().count()),
        ("size", [Value::Bytes(b)]) => Value::size(b.len()),
        ("size", [other]) => match other.count() {
            Some(count) => Value::size(count),
            None => return None,
        },
        ("@in", [a, of]) => match (of.items(), of.count()) {
            (Some(items), _) => Value::Bool(items.iter().any(|item| item.equals(a))),
            (None, Some(_)) => Value::Bool(of.get(a).is_some()),
            _ => return None,
        },
        ("_[_]" | "_[?_]", [of, at]) => return Some(index(of, at, name == "_[?_]")),
        _ => return None,
    }))
}

fn index<'a>(of: &Value<'a>, at: &Value<'a>, optional: bool) -> Found<'a> {
    let (of, optional) = match of {
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(held)) => (held.as_ref(), true),
        other => (other, optional),
    };
    let found = match of.items() {
        Some(items) => {
            let place = match at {
                Value::Int(i) => Some(*i),
                Value::Uint(u) => i64::try_from(*u).ok(),
                #[expect(clippy::cast_possible_truncation, reason = "checked to be whole")]
                Value::Double(d) if d.fract() == 0.0 => Some(*d as i64),
                _ => return Err(EvalError::overload()),
            };
            let found = place.and_then(|i| usize::try_from(i).ok()).and_then(|i| items.get(i));
            found.ok_or_else(|| format!("index out of bounds: {}", shown(at)))
        }
        None if of.count().is_some() => of.get(at).ok_or_else(|| format!("no such key: {}", shown(at))),
        None => return Err(EvalError::overload()),
    };
    match found {
        Ok(value) if optional => Ok(Value::some(value)),
        Ok(value) => Ok(value),
        Err(_) if optional => Ok(Value::Optional(None)),
        Err(words) => Err(EvalError::failed(words)),
    }
}

fn optionals<'a>(name: &str, values: &[Value<'a>]) -> Option<Found<'a>> {
    Some(Ok(match (name, values) {
        ("optional.of", [a]) => Value::some(a.clone()),
        ("optional.none", []) => Value::Optional(None),
        ("optional.ofNonZeroValue", [a]) => {
            let zero = match a {
                Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) => true,
                Value::Double(d) => *d == 0.0,
                Value::String(s) => s.is_empty(),
                Value::Bytes(b) => b.is_empty(),
                Value::Duration(d) => d.is_zero(),
                other => other.count() == Some(0),
            };
            if zero { Value::Optional(None) } else { Value::some(a.clone()) }
        }
        ("hasValue", [Value::Optional(held)]) => Value::Bool(held.is_some()),
        ("value", [Value::Optional(Some(held))]) => Value::clone(held),
        ("value", [Value::Optional(None)]) => {
            return Some(Err(EvalError::failed("optional.none() dereference")));
        }
        _ => return None,
    }))
}

/// The value that a type's name has.
pub(super) fn type_constant(name: &str) -> &'static str {
    match name {
        "bool" => "bool",
        "int" => "int",
        "uint" => "uint",
        "double" => "double",
        "string" => "string",
        "bytes" => "bytes",
        "list" => "list",
        "map" => "map",
        "null_type" => "null_type",
        "optional_type" => "optional_type",
        _ => "type",
    }
}

/// A value in a message.
pub(super) fn shown(value: &Value<'_>) -> String {
    match value {
        Value::String(s) => s.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Uint(u) => u.to_string(),
        Value::Double(d) => d.to_string(),
        Value::Bool(b) => b.to_string(),
        other => other.type_name().to_owned(),
    }
}

/// Text of a size that can be handled.
fn bounded<'a>(text: String) -> Found<'a> {
    if text.len() > LARGEST {
        return Err(EvalError::failed("string is too large"));
    }
    Ok(Value::text(text))
}
