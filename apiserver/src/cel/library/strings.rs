//! Text. Places are counted in characters, not bytes.

use super::{
    super::{
        Value,
        eval::{EvalError, Found},
        session::Session,
        text::Text,
    },
    LARGEST, bounded, time,
};

pub(super) fn call<'a>(name: &str, values: &[Value<'a>], session: &Session<'_>) -> Option<Found<'a>> {
    Some(match (name, values) {
        ("string", [a]) => return to_text(a).map(Ok),
        ("bytes", [Value::Bytes(b)]) => Ok(Value::Bytes(b.clone())),
        ("bytes", [Value::String(s)]) => Ok(Value::Bytes(s.as_bytes().into())),
        ("strings.quote", [Value::String(s)]) => bounded(api::status::quoted(s)),
        (_, [Value::String(text), rest @ ..]) => return method(name, text, rest, session),
        ("join", [list, rest @ ..]) => join(list, rest, session),
        _ => return None,
    })
}

/// A value of a plain type as text.
pub(in crate::cel) fn to_text<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    Some(match value {
        Value::String(s) => Value::String(s.clone()),
        Value::Bytes(b) => Value::text(String::from_utf8_lossy(b)),
        Value::Bool(b) => Value::text(b.to_string()),
        Value::Int(i) => Value::text(i.to_string()),
        Value::Uint(u) => Value::text(u.to_string()),
        Value::Double(d) => Value::text(d.to_string()),
        Value::Timestamp(t) => Value::text(t.to_string()),
        Value::Duration(d) => Value::text(time::shown(*d)),
        Value::Ip(ip) => Value::text(ip.to_string()),
        Value::Cidr(cidr) => Value::text(cidr.to_string()),
        Value::Quantity(q) => Value::text(q.to_string()),
        _ => return None,
    })
}

/// The text between two places, if they are such.
fn part(text: &str, from: i64, to: Option<i64>) -> Result<String, EvalError> {
    let count = count(text);
    if let Some(to) = to.filter(|to| from > *to) {
        return Err(EvalError::failed(format!("invalid substring range. start: {from}, end: {to}")));
    }
    let to = to.unwrap_or(count);
    for place in [from, to] {
        if place < 0 || place > count {
            return Err(EvalError::failed(format!("index out of range: {place}")));
        }
    }
    let (from, len) = (usize::try_from(from).unwrap_or(0), usize::try_from(to - from).unwrap_or(0));
    Ok(text.chars().skip(from).take(len).collect())
}

/// Where a text first begins at or after a place, or last at or before it.
fn find(text: &str, wanted: &str, from: i64, last: bool) -> Found<'static> {
    if wanted.is_empty() {
        return Ok(Value::Int(from));
    }
    let Ok(place) = usize::try_from(from) else {
        return Err(EvalError::failed(format!("index out of range: {from}")));
    };
    let Some((start, _)) = text.char_indices().nth(place) else { return Ok(Value::Int(-1)) };
    let found = if last {
        // What begins here at the latest ends here at the latest.
        let end = text.floor_char_boundary(start.saturating_add(wanted.len()));
        text.get(..end).and_then(|head| head.rfind(wanted))
    } else {
        text.get(start..).and_then(|rest| rest.find(wanted)).map(|at| at + start)
    };
    Ok(found.map_or(Value::Int(-1), |at| Value::size(text.get(..at).unwrap_or_default().chars().count())))
}

fn count(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

fn method<'a>(name: &str, text: &Text<'a>, rest: &[Value<'a>], session: &Session<'_>) -> Option<Found<'a>> {
    Some(match (name, rest) {
        ("contains", [Value::String(s)]) => Ok(Value::Bool(text.contains(&**s))),
        ("startsWith", [Value::String(s)]) => Ok(Value::Bool(text.starts_with(&**s))),
        ("endsWith", [Value::String(s)]) => Ok(Value::Bool(text.ends_with(&**s))),
        ("charAt", [Value::Int(i)]) => {
            if let Err(error) = session.walk_bytes(text.len()) {
                return Some(Err(error));
            }
            if *i == count(text) {
                Ok(Value::text(""))
            } else {
                part(text, *i, i.checked_add(1)).map(Value::text)
            }
        }
        ("indexOf", [Value::String(s)]) => find(text, s, 0, false),
        ("indexOf", [Value::String(s), Value::Int(i)]) => find(text, s, *i, false),
        ("lastIndexOf", [Value::String(s)]) => {
            let last = if s.is_empty() { count(text) } else { (count(text) - 1).max(0) };
            find(text, s, last, true)
        }
        ("lastIndexOf", [Value::String(s), Value::Int(i)]) => find(text, s, *i, true),
        ("lowerAscii", []) => Ok(Value::text(text.to_ascii_lowercase())),
        ("upperAscii", []) => Ok(Value::text(text.to_ascii_uppercase())),
        ("trim", []) => Ok(Value::text(text.trim())),
        ("reverse", []) => Ok(Value::text(text.chars().rev().collect::<String>())),
        ("substring", [Value::Int(from)]) => part(text, *from, None).map(Value::text),
        ("substring", [Value::Int(from), Value::Int(to)]) => part(text, *from, Some(*to)).map(Value::text),
        ("replace", [Value::String(old), Value::String(new)]) => replace(text, old, new, -1, session),
        ("replace", [Value::String(old), Value::String(new), Value::Int(n)]) => {
            replace(text, old, new, *n, session)
        }
        ("split", [Value::String(by)]) => Ok(split(text, by, -1)),
        ("split", [Value::String(by), Value::Int(n)]) => Ok(split(text, by, *n)),
        ("format", [list]) => super::format::printf(text, list, session),
        _ => return None,
    })
}

fn replace<'a>(text: &str, old: &str, new: &str, most: i64, session: &Session<'_>) -> Found<'a> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let times = text.matches(old).count().min(most);
    if times.saturating_mul(new.len()).saturating_add(text.len()) > LARGEST {
        return Err(EvalError::failed("string is too large"));
    }
    session.walk_bytes(times.saturating_mul(new.len()))?;
    bounded(text.replacen(old, new, times))
}

fn split<'a>(text: &str, by: &str, most: i64) -> Value<'a> {
    let parts: Vec<String> = match (by.is_empty(), usize::try_from(most)) {
        (_, Ok(0)) => Vec::new(),
        (true, Err(_)) => text.chars().map(String::from).collect(),
        (true, Ok(most)) => {
            let mut parts: Vec<String> = text.chars().take(most - 1).map(String::from).collect();
            let rest: String = text.chars().skip(most - 1).collect();
            if !rest.is_empty() {
                parts.push(rest);
            }
            parts
        }
        (false, Err(_)) => text.split(by).map(str::to_owned).collect(),
        (false, Ok(most)) => text.splitn(most, by).map(str::to_owned).collect(),
    };
    Value::list(parts.into_iter().map(Value::text).collect())
}

fn join<'a>(list: &Value<'a>, rest: &[Value<'a>], session: &Session<'_>) -> Found<'a> {
    let by = match rest {
        [] => "",
        [Value::String(by)] => &**by,
        _ => return Err(EvalError::overload()),
    };
    let Some(items) = list.items() else { return Err(EvalError::overload()) };
    let mut out = String::new();
    for (n, item) in items.iter().enumerate() {
        let Value::String(text) = item else { return Err(EvalError::overload()) };
        if n > 0 {
            out.push_str(by);
        }
        session.walk_bytes(text.len() + by.len())?;
        out.push_str(&text);
        if out.len() > LARGEST {
            return Err(EvalError::failed("string is too large"));
        }
    }
    Ok(Value::text(out))
}
