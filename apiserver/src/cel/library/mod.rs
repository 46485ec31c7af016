//! What the functions do: the standard ones, and Kubernetes' libraries.
//!
//! A call arrives here with its values, the target of a method first. Which types go together was
//! checked where types are known; where they are not (`dyn`), what nobody here takes is
//! `no such overload`.

mod access;
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
    session::{Session, work},
    value::Items,
};

pub(super) use access::{AUTHORIZER, DECISION, GROUP_CHECK, PATH_CHECK, RESOURCE_CHECK};
pub use access::{Access, Asker, Question};
pub(super) use lists::sort_by;
pub use net::Cidr;
pub use semver::Semver;
pub(super) use strings::to_text;
pub use url::Url;

/// Nothing grows beyond this: a request is smaller.
const LARGEST: usize = 16 * 1024 * 1024;

/// A library: what it makes of a call, if it knows it.
type Library = for<'a> fn(&str, &[Value<'a>], &Session<'_>) -> Option<Found<'a>>;

const LIBRARIES: [Library; 13] = [
    operators,
    |name, values, _| numbers::call(name, values),
    strings::call,
    lists::call,
    |name, values, _| time::call(name, values),
    regexes::call,
    url::call,
    |name, values, _| quantity::call(name, values),
    semver::call,
    |name, values, _| net::call(name, values),
    format::call,
    |name, values, _| access::call(name, values),
    |name, values, _| optionals(name, values),
];

/// Calls a function.
pub(super) fn call<'a>(name: &str, values: &[Value<'a>], session: &Session<'_>) -> Found<'a> {
    let found = LIBRARIES.iter().find_map(|library| library(name, values, session));
    found.unwrap_or_else(|| Err(EvalError::overload()))
}

fn operators<'a>(name: &str, values: &[Value<'a>], session: &Session<'_>) -> Option<Found<'a>> {
    Some(match (name, values) {
        ("_==_", [a, b]) => a.equals(b, session).map(Value::Bool),
        ("_!=_", [a, b]) => a.equals(b, session).map(|same| Value::Bool(!same)),
        ("_<_" | "_<=_" | "_>_" | "_>=_", [a, b]) => ordered(name, a, b),
        ("!_", [Value::Bool(b)]) => Ok(Value::Bool(!b)),
        ("dyn", [a]) => Ok(a.clone()),
        ("type", [a]) => Ok(Value::Type(a.type_name())),
        ("bool", [Value::Bool(b)]) => Ok(Value::Bool(*b)),
        ("bool", [Value::String(s)]) => match &**s {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(EvalError::failed("type conversion error from 'string' to 'bool'")),
        },
        ("size", [of]) => return length(of, session),
        ("@in", [a, of]) => match (of.items(), of.count()) {
            (Some(items), _) => contains(&items, a, session).map(Value::Bool),
            (None, Some(_)) => Ok(Value::Bool(of.get(a).is_some())),
            _ => return None,
        },
        ("_[_]" | "_[?_]", [of, at]) => index(of, at, name == "_[?_]"),
        _ => return None,
    })
}

fn contains(items: &Items<'_, '_>, wanted: &Value<'_>, session: &Session<'_>) -> Result<bool, EvalError> {
    for item in items.iter() {
        if item.equals(wanted, session)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ordered<'a>(name: &str, a: &Value<'a>, b: &Value<'a>) -> Found<'a> {
    let both_floats = matches!(a, Value::Double(_)) || matches!(b, Value::Double(_));
    match a.compare(b) {
        Some(order) => Ok(Value::Bool(match name {
            "_<_" => order.is_lt(),
            "_<=_" => order.is_le(),
            "_>_" => order.is_gt(),
            _ => order.is_ge(),
        })),
        None if both_floats => Err(EvalError::failed("NaN values cannot be ordered")),
        None => Err(EvalError::overload()),
    }
}

/// Characters are counted ten times faster than anything else is done with text.
fn length<'a>(of: &Value<'a>, session: &Session<'_>) -> Option<Found<'a>> {
    Some(match of {
        Value::String(s) => match session.walk_bytes(s.len() / 10) {
            Ok(()) => {
                work(s.len() / 10);
                Ok(Value::size(s.chars().count()))
            }
            Err(error) => Err(error),
        },
        Value::Bytes(b) => Ok(Value::size(b.len())),
        other => Ok(Value::size(other.count()?)),
    })
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
