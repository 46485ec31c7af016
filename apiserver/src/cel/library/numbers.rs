//! Arithmetic that does not overflow silently, and conversions between numbers.

use super::{
    super::{
        Value,
        eval::{EvalError, Found},
    },
    bounded, time,
};

fn overflow<'a>(kind: &str) -> Found<'a> {
    Err(EvalError::failed(format!("{kind} overflow")))
}

fn int<'a>(found: Option<i64>) -> Found<'a> {
    found.map_or_else(|| overflow("integer"), |i| Ok(Value::Int(i)))
}

fn uint<'a>(found: Option<u64>) -> Found<'a> {
    found.map_or_else(|| overflow("unsigned integer"), |u| Ok(Value::Uint(u)))
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Option<Found<'a>> {
    Some(match (name, values) {
        ("_+_", [a, b]) => return add(a, b),
        ("_-_", [a, b]) => return subtract(a, b),
        ("_*_", [Value::Int(a), Value::Int(b)]) => int(a.checked_mul(*b)),
        ("_*_", [Value::Uint(a), Value::Uint(b)]) => uint(a.checked_mul(*b)),
        ("_*_", [Value::Double(a), Value::Double(b)]) => Ok(Value::Double(a * b)),
        ("_/_", [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)]) => {
            Err(EvalError::failed("division by zero"))
        }
        ("_/_", [Value::Int(a), Value::Int(b)]) => int(a.checked_div(*b)),
        ("_/_", [Value::Uint(a), Value::Uint(b)]) => uint(a.checked_div(*b)),
        ("_/_", [Value::Double(a), Value::Double(b)]) => Ok(Value::Double(a / b)),
        ("_%_", [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)]) => {
            Err(EvalError::failed("modulus by zero"))
        }
        ("_%_", [Value::Int(a), Value::Int(b)]) => int(a.checked_rem(*b)),
        ("_%_", [Value::Uint(a), Value::Uint(b)]) => uint(a.checked_rem(*b)),
        ("-_", [Value::Int(a)]) => int(a.checked_neg()),
        ("-_", [Value::Double(a)]) => Ok(Value::Double(-a)),
        ("int" | "uint" | "double", [a]) => convert(name, a),
        _ => return None,
    })
}

fn add<'a>(a: &Value<'a>, b: &Value<'a>) -> Option<Found<'a>> {
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_add(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_add(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Value::String(a), Value::String(b)) => bounded(format!("{a}{b}")),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Value::Bytes([a.as_ref(), b.as_ref()].concat().into())),
        (Value::Duration(a), Value::Duration(b)) => match a.checked_add(*b) {
            Some(sum) => Ok(Value::Duration(sum)),
            None => overflow("duration"),
        },
        (Value::Timestamp(t), Value::Duration(d)) | (Value::Duration(d), Value::Timestamp(t)) => {
            match t.checked_add(*d) {
                Ok(sum) => Ok(Value::Timestamp(sum)),
                Err(_) => overflow("timestamp"),
            }
        }
        _ => return None,
    })
}

fn subtract<'a>(a: &Value<'a>, b: &Value<'a>) -> Option<Found<'a>> {
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_sub(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_sub(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        (Value::Duration(a), Value::Duration(b)) => match a.checked_sub(*b) {
            Some(rest) => Ok(Value::Duration(rest)),
            None => overflow("duration"),
        },
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(Value::Duration(a.duration_since(*b))),
        (Value::Timestamp(t), Value::Duration(d)) => match t.checked_sub(*d) {
            Ok(rest) => Ok(Value::Timestamp(rest)),
            Err(_) => overflow("timestamp"),
        },
        _ => return None,
    })
}

fn convert<'a>(to: &str, from: &Value<'a>) -> Found<'a> {
    let unreadable = |text: &str, parser: &str| {
        Err(EvalError::failed(format!("strconv.{parser}: parsing {text:?}: invalid syntax")))
    };
    match (to, from) {
        ("int", Value::Int(i)) => Ok(Value::Int(*i)),
        ("int", Value::Uint(u)) => int(i64::try_from(*u).ok()),
        #[expect(clippy::cast_possible_truncation, reason = "its range is checked")]
        ("int", Value::Double(d)) => {
            int(Some(*d).filter(|d| d.abs() < 9_223_372_036_854_775_807.0).map(|d| d as i64))
        }
        ("int", Value::String(s)) => s.parse().map(Value::Int).or_else(|_| unreadable(s, "ParseInt")),
        ("int", Value::Timestamp(t)) => Ok(Value::Int(t.as_second())),
        ("int", Value::Duration(d)) => int(i64::try_from(time::nanos(*d)).ok()),
        ("int", Value::Quantity(q)) => Ok(Value::Int(q.value())),
        ("uint", Value::Uint(u)) => Ok(Value::Uint(*u)),
        ("uint", Value::Int(i)) => uint(u64::try_from(*i).ok()),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its range is checked")]
        ("uint", Value::Double(d)) => {
            uint(Some(*d).filter(|d| (0.0..18_446_744_073_709_551_615.0).contains(d)).map(|d| d as u64))
        }
        ("uint", Value::String(s)) => s.parse().map(Value::Uint).or_else(|_| unreadable(s, "ParseUint")),
        ("double", Value::Double(d)) => Ok(Value::Double(*d)),
        #[expect(clippy::cast_precision_loss, reason = "what a double is for")]
        ("double", Value::Int(i)) => Ok(Value::Double(*i as f64)),
        #[expect(clippy::cast_precision_loss, reason = "what a double is for")]
        ("double", Value::Uint(u)) => Ok(Value::Double(*u as f64)),
        ("double", Value::String(s)) => s.parse().map(Value::Double).or_else(|_| unreadable(s, "ParseFloat")),
        _ => Err(EvalError::overload()),
    }
}
