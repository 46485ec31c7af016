//! Amounts of resources: `500m`, `1Gi`, `12e6`. Exact, and printed in the one canonical form.
//!
//! An amount is a whole number of nano-units (`1n`), which is as fine as Kubernetes goes. Amounts
//! beyond what 127 bits of nano-units hold (about 1.7e29) are refused; upstream goes on in big
//! numbers, which no resource needs.

mod parse;

use std::{
    cmp::Ordering,
    fmt,
    ops::{Add, AddAssign, Neg, Sub, SubAssign},
};

use serde_json::Value;

/// Nano-units in one unit.
const NANO: i128 = 1_000_000_000;

/// How an amount was written, and will be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `500m`, `3k`: powers of 1000.
    #[default]
    DecimalSi,
    /// `64Ki`, `1Gi`: powers of 1024.
    BinarySi,
    /// `12e6`.
    DecimalExponent,
}

/// An amount. Two amounts are equal if their values are, however they are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// A text that is no amount, in upstream's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It does not look like a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number cannot be read.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// There is no such suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity { nanos: 0, format: Format::DecimalSi };

    /// So many whole units.
    pub fn units(units: i64, format: Format) -> Quantity {
        Quantity { nanos: i128::from(units) * NANO, format }
    }

    /// So many thousandths, as CPU is counted.
    pub fn millis(millis: i64) -> Quantity {
        Quantity { nanos: i128::from(millis) * (NANO / 1000), format: Format::DecimalSi }
    }

    /// The amount in a field: a text, or a number.
    pub fn from_value(value: &Value) -> Result<Quantity, QuantityError> {
        match value {
            Value::String(text) => text.trim().parse(),
            Value::Number(number) => number.to_string().parse(),
            _ => Err(QuantityError::Format),
        }
    }

    /// Whole units, rounded away from zero.
    pub fn value(self) -> i64 {
        saturate(divide_up(self.nanos, NANO))
    }

    /// Thousandths, rounded away from zero.
    pub fn milli(self) -> i64 {
        saturate(divide_up(self.nanos, NANO / 1000))
    }

    /// Exactly, in nano-units.
    pub fn nanos(self) -> i128 {
        self.nanos
    }

    /// How it is printed.
    pub fn format(self) -> Format {
        self.format
    }

    /// The same amount, printed otherwise.
    pub fn with_format(self, format: Format) -> Quantity {
        Quantity { format, ..self }
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it is less than nothing.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// So many times the amount.
    pub fn times(self, factor: i64) -> Quantity {
        Quantity { nanos: self.nanos.saturating_mul(factor.into()), ..self }
    }

    /// A sum or difference is printed like its first part, or like the second if the first is zero.
    fn joined(self, nanos: i128, other: Quantity) -> Quantity {
        Quantity { nanos, format: if self.is_zero() { other.format } else { self.format } }
    }
}

/// Rewrites the amounts of a map such as `limits` in canonical form; stops at the first that is none
/// and says which.
pub fn canonicalize(amounts: &mut Value) -> Result<(), (String, QuantityError)> {
    let Some(map) = amounts.as_object_mut() else { return Ok(()) };
    for (key, value) in map {
        let quantity = Quantity::from_value(value).map_err(|error| (key.clone(), error))?;
        let text = quantity.to_string();
        if value.as_str() != Some(&text) {
            *value = text.into();
        }
    }
    Ok(())
}

fn divide_up(nanos: i128, unit: i128) -> i128 {
    nanos / unit + (nanos % unit).signum()
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        // A fraction, or less than 1Ki, would lose precision or confuse in powers of 1024.
        let binary =
            self.format == Format::BinarySi && self.nanos % NANO == 0 && self.nanos.abs() >= 1024 * NANO;
        if binary {
            let (number, power) = reduce(self.nanos / NANO, 1024, 6);
            return write!(f, "{number}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]);
        }
        if self.format == Format::DecimalExponent {
            let (number, power) = reduce(self.nanos, 1000, usize::MAX);
            let exponent = 3 * i64::try_from(power).unwrap_or(0) - 9;
            return if exponent == 0 { write!(f, "{number}") } else { write!(f, "{number}e{exponent}") };
        }
        let (number, power) = reduce(self.nanos, 1000, 9);
        write!(f, "{number}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][power])
    }
}

/// Takes out the factor as often as it goes, up to `limit` times.
fn reduce(mut number: i128, factor: i128, limit: usize) -> (i128, usize) {
    let mut power = 0;
    while power < limit && number % factor == 0 {
        number /= factor;
        power += 1;
    }
    (number, power)
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Add for Quantity {
    type Output = Quantity;
    fn add(self, other: Quantity) -> Quantity {
        self.joined(self.nanos.saturating_add(other.nanos), other)
    }
}

impl Sub for Quantity {
    type Output = Quantity;
    fn sub(self, other: Quantity) -> Quantity {
        self.joined(self.nanos.saturating_sub(other.nanos), other)
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}

impl Neg for Quantity {
    type Output = Quantity;
    fn neg(self) -> Quantity {
        Quantity { nanos: self.nanos.saturating_neg(), ..self }
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Quantity>>(amounts: I) -> Quantity {
        amounts.fold(Quantity::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests;
