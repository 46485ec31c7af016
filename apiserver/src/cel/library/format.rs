//! Named formats (`format.dns1123Label()`), and `'%s'.format([…])`.

use std::fmt::Write as _;

use api::names;

use super::{
    super::{
        Value,
        eval::{EvalError, Found},
        session::{Session, work},
        signatures::FORMAT_NAMES,
    },
    LARGEST, bounded, time,
    url::Url,
};

fn complaints(format: &str, text: &str) -> Vec<String> {
    let one = |fine: bool, words: &str| if fine { Vec::new() } else { vec![words.to_owned()] };
    match format {
        "dns1123Label" => names::dns1123_label(text),
        "dns1123Subdomain" => names::dns1123_subdomain(text),
        "dns1035Label" => names::dns1035_label(text),
        "dns1123LabelPrefix" => names::dns1123_label(text.strip_suffix('-').unwrap_or(text)),
        "dns1123SubdomainPrefix" => names::dns1123_subdomain(text.strip_suffix('-').unwrap_or(text)),
        "dns1035LabelPrefix" => names::dns1035_label(text.strip_suffix('-').unwrap_or(text)),
        "qualifiedName" => names::qualified_name(text),
        "labelValue" => names::label_value(text),
        "uri" => one(Url::parse(text).is_some(), "invalid URI for request"),
        "uuid" => one(crate::crd::is_uuid(text), "does not match the UUID format"),
        "byte" => one(api::object::unbase64(text).is_some(), "invalid base64"),
        "date" => one(text.len() == 10 && time::timestamp(text).is_ok(), "invalid date"),
        _ => one(text.len() > 10 && time::timestamp(text).is_ok(), "invalid datetime"),
    }
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>], _: &Session<'_>) -> Option<Found<'a>> {
    let named = |wanted: &str| {
        let found = FORMAT_NAMES.into_iter().find(|format| *format == wanted);
        found.map_or(Value::Optional(None), |format| Value::some(Value::Format(format)))
    };
    Some(Ok(match (name, values) {
        ("format.named", [Value::String(wanted)]) => named(wanted),
        ("validate", [Value::Format(format), Value::String(text)]) => match complaints(format, text) {
            none if none.is_empty() => Value::Optional(None),
            some => Value::some(Value::list(some.into_iter().map(Value::text).collect())),
        },
        (name, []) => named(name.strip_prefix("format.")?),
        _ => return None,
    }))
}

/// `%s %d %f %e %b %x %X %o`, as cel-go has them.
pub(super) fn printf<'a>(template: &str, list: &Value<'a>, session: &Session<'_>) -> Found<'a> {
    let Some(items) = list.items() else { return Err(EvalError::overload()) };
    let mut out = String::new();
    let mut next = 0;
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut precision = None;
        if chars.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            // Enough for any number that has so many places.
            precision = digits.parse::<usize>().ok().map(|p| p.min(1000));
        }
        let Some(verb) = chars.next() else {
            return Err(EvalError::failed("unexpected end of format string"));
        };
        let before = out.len();
        let Some(value) = items.get(next) else {
            return Err(EvalError::failed(format!("index {next} out of range")));
        };
        next += 1;
        let wrong = || {
            EvalError::failed(format!(
                "error during formatting: {verb} clause can't be used on values of type {}",
                value.type_name()
            ))
        };
        let _ = match (verb, &value) {
            ('s', value) => {
                plain(value, &mut out, session)?;
                Ok(())
            }
            ('d', Value::Int(i)) => write!(out, "{i}"),
            ('d', Value::Uint(u)) => write!(out, "{u}"),
            ('f', Value::Double(d)) => write!(out, "{d:.*}", precision.unwrap_or(6)),
            ('e', Value::Double(d)) => write!(out, "{d:.*e}", precision.unwrap_or(6)),
            ('b', Value::Int(i)) => write!(out, "{i:b}"),
            ('b', Value::Uint(u)) => write!(out, "{u:b}"),
            ('b', Value::Bool(b)) => write!(out, "{}", u8::from(*b)),
            ('o', Value::Int(i)) => write!(out, "{i:o}"),
            ('o', Value::Uint(u)) => write!(out, "{u:o}"),
            ('x', Value::Int(i)) => write!(out, "{i:x}"),
            ('x', Value::Uint(u)) => write!(out, "{u:x}"),
            ('X', Value::Int(i)) => write!(out, "{i:X}"),
            ('X', Value::Uint(u)) => write!(out, "{u:X}"),
            ('x' | 'X', Value::String(s)) => s.bytes().try_for_each(|b| write!(out, "{b:02x}")),
            ('x' | 'X', Value::Bytes(b)) => b.iter().try_for_each(|b| write!(out, "{b:02x}")),
            ('d' | 'f' | 'e' | 'b' | 'o' | 'x' | 'X', _) => return Err(wrong()),
            _ => {
                return Err(EvalError::failed(format!(
                    "could not parse formatting clause: unrecognized formatting clause \"{verb}\""
                )));
            }
        };
        session.walk_bytes(out.len().saturating_sub(before))?;
        work(out.len().saturating_sub(before));
    }
    bounded(out)
}

/// A value as `%s` prints it.
fn plain(value: &Value<'_>, out: &mut String, session: &Session<'_>) -> Result<(), EvalError> {
    session.walk(1)?;
    work(1);
    if out.len() > LARGEST {
        return Err(EvalError::failed("string is too large"));
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::String(s) => out.push_str(s),
        Value::Bytes(b) => out.push_str(&String::from_utf8_lossy(b)),
        Value::Timestamp(t) => out.push_str(&t.to_string()),
        Value::Duration(d) => out.push_str(&time::shown(*d)),
        Value::Type(name) => out.push_str(name),
        Value::Quantity(q) => out.push_str(&q.to_string()),
        Value::Ip(ip) => out.push_str(&ip.to_string()),
        Value::Cidr(cidr) => out.push_str(&cidr.to_string()),
        other => match (other.items(), other.entries()) {
            (Some(items), _) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push_str(", ");
                    }
                    plain(&item, out, session)?;
                }
                out.push(']');
            }
            (None, Some(entries)) => {
                let mut parts = Vec::new();
                for (key, value) in entries {
                    let mut part = String::new();
                    plain(&key, &mut part, session)?;
                    part.push_str(": ");
                    plain(&value, &mut part, session)?;
                    session.walk_bytes(part.len())?;
                    work(part.len());
                    parts.push(part);
                }
                parts.sort();
                out.push('{');
                out.push_str(&parts.join(", "));
                out.push('}');
            }
            _ => out.push_str(&super::shown(other)),
        },
    }
    Ok(())
}
