//! Amounts such as `1.5Gi`.

use api::quantity::{Format, Quantity};

use super::super::{
    Value,
    eval::{EvalError, Found},
};

const NANO: i128 = 1_000_000_000;

fn parse(text: &str) -> Option<Quantity> {
    text.parse().ok()
}

fn sum<'a>(a: Quantity, b: i128) -> Found<'a> {
    let total = a.nanos().checked_add(b);
    let made = total.and_then(|nanos| {
        // Nano-units are what an amount can be at its finest.
        let text = if nanos % NANO == 0 { (nanos / NANO).to_string() } else { format!("{nanos}n") };
        parse(&text)
    });
    made.map(|q| Value::Quantity(q.with_format(a.format())))
        .ok_or_else(|| EvalError::failed("integer overflow"))
}

#[expect(clippy::cast_precision_loss, reason = "asked for as an approximation")]
fn float(amount: Quantity) -> f64 {
    amount.nanos() as f64 / NANO as f64
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Option<Found<'a>> {
    Some(match (name, values) {
        ("quantity", [Value::String(text)]) => parse(text).map(Value::Quantity).ok_or_else(|| {
            EvalError::failed(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            )
        }),
        ("isQuantity", [Value::String(text)]) => Ok(Value::Bool(parse(text).is_some())),
        ("sign", [Value::Quantity(q)]) => Ok(Value::Int(i64::try_from(q.nanos().signum()).unwrap_or(0))),
        ("isInteger", [Value::Quantity(q)]) => {
            Ok(Value::Bool(q.nanos() % NANO == 0 && i64::try_from(q.nanos() / NANO).is_ok()))
        }
        ("asInteger", [Value::Quantity(q)]) => match i64::try_from(q.nanos() / NANO) {
            Ok(whole) if q.nanos() % NANO == 0 => Ok(Value::Int(whole)),
            _ => Err(EvalError::failed("cannot convert value to integer")),
        },
        ("asApproximateFloat", [Value::Quantity(q)]) => Ok(Value::Double(float(*q))),
        ("add", [Value::Quantity(a), Value::Quantity(b)]) => sum(*a, b.nanos()),
        ("sub", [Value::Quantity(a), Value::Quantity(b)]) => sum(*a, -b.nanos()),
        ("add", [Value::Quantity(a), Value::Int(b)]) => {
            sum(*a, Quantity::units(*b, Format::DecimalSi).nanos())
        }
        ("sub", [Value::Quantity(a), Value::Int(b)]) => {
            sum(*a, -Quantity::units(*b, Format::DecimalSi).nanos())
        }
        ("isLessThan", [Value::Quantity(a), Value::Quantity(b)]) => Ok(Value::Bool(a.nanos() < b.nanos())),
        ("isGreaterThan", [Value::Quantity(a), Value::Quantity(b)]) => Ok(Value::Bool(a.nanos() > b.nanos())),
        ("compareTo", [Value::Quantity(a), Value::Quantity(b)]) => {
            Ok(Value::Int(i64::from(a.nanos().cmp(&b.nanos()) as i8)))
        }
        _ => return None,
    })
}
