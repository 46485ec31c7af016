//! Reads an amount: sign, digits, fraction, suffix.

use super::{Format, NANO, Quantity, QuantityError};

/// What a suffix multiplies with.
enum Scale {
    Ten(i64),
    Two(u32),
}

/// The greatest amount in powers of 1024, which upstream keeps within 63 bits.
const BINARY_MAX: i128 = i64::MAX as i128 * NANO;

impl std::str::FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, rest) = digits(unsigned);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => digits(rest),
            None => ("", rest),
        };
        if !well_formed(suffix) {
            return Err(QuantityError::Format);
        }
        let (scale, format) = interpret(suffix).ok_or(QuantityError::Suffix)?;
        let whole = whole.trim_start_matches('0');
        let nanos = match scale {
            Scale::Ten(exponent) => decimal(whole, fraction, exponent).ok_or(QuantityError::Numeric)?,
            Scale::Two(exponent) => binary(whole, fraction, exponent),
        };
        // Half a unit is not printed in powers of 1024, nor is what becomes of it by adding.
        let format =
            if format == Format::BinarySi && (1..NANO).contains(&nanos) { Format::DecimalSi } else { format };
        Ok(Quantity { nanos: if negative { -nanos } else { nanos }, format })
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Letters, then perhaps a sign, then digits.
fn well_formed(suffix: &str) -> bool {
    let rest = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    rest.bytes().all(|c| c.is_ascii_digit())
}

fn interpret(suffix: &str) -> Option<(Scale, Format)> {
    let ten = |exponent| Some((Scale::Ten(exponent), Format::DecimalSi));
    let two = |exponent| Some((Scale::Two(exponent), Format::BinarySi));
    match suffix {
        "" => ten(0),
        "n" => ten(-9),
        "u" => ten(-6),
        "m" => ten(-3),
        "k" => ten(3),
        "M" => ten(6),
        "G" => ten(9),
        "T" => ten(12),
        "P" => ten(15),
        "E" => ten(18),
        "Ki" => two(10),
        "Mi" => two(20),
        "Gi" => two(30),
        "Ti" => two(40),
        "Pi" => two(50),
        "Ei" => two(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i64>().ok()?;
            Some((Scale::Ten(exponent), Format::DecimalExponent))
        }
    }
}

/// `whole.fraction * 10^exponent` in nano-units, rounded away from zero; `None` if that is too much.
fn decimal(whole: &str, fraction: &str, exponent: i64) -> Option<i128> {
    let digits = [whole, fraction].concat();
    if digits.bytes().all(|c| c == b'0') {
        return Some(0);
    }
    // The number is `digits * 10^shift` nano-units.
    let shift = exponent.checked_add(9)?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    if shift >= 0 {
        let factor = 10i128.checked_pow(u32::try_from(shift).ok()?)?;
        return digits.parse::<i128>().ok()?.checked_mul(factor);
    }
    let dropped = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX).min(digits.len());
    let (kept, lost) = digits.split_at(digits.len() - dropped);
    let kept = if kept.is_empty() { 0 } else { kept.parse::<i128>().ok()? };
    kept.checked_add(i128::from(lost.bytes().any(|c| c != b'0')))
}

/// `whole.fraction * 2^exponent` in nano-units, rounded away from zero, at most [`BINARY_MAX`].
fn binary(whole: &str, fraction: &str, exponent: u32) -> i128 {
    // 18 digits of a fraction are more than 2^60 needs to come down to nano-units; any further one
    // only decides about rounding.
    let (fraction, lost) = fraction.split_at(fraction.len().min(18));
    let whole = if whole.is_empty() { Some(0) } else { whole.parse::<i128>().ok() };
    let whole = whole.and_then(|w| w.checked_mul(1 << exponent)).and_then(|w| w.checked_mul(NANO));
    let places = fraction.len() as u32;
    let part = fraction.parse::<i128>().unwrap_or(0) << exponent;
    let mut rounding = i128::from(lost.bytes().any(|c| c != b'0'));
    let part = if places <= 9 {
        part * 10i128.pow(9 - places)
    } else {
        let unit = 10i128.pow(places - 9);
        rounding |= i128::from(part % unit != 0);
        part / unit
    };
    whole.map_or(BINARY_MAX, |w| w.saturating_add(part + rounding).min(BINARY_MAX))
}
