//! Durations in Go's notation (`1h30m`, `500ms`), as flags and configuration files carry them.
//!
//! Every Kubernetes program reads them with `time.ParseDuration` and prints them with
//! `Duration.String` (Go's `src/time/format.go` and `time.go`), so both stand here once. How kubectl
//! prints an age is another notation, which `table` has.

use std::time::Duration;

/// Why a text is no duration; the first three in the words of Go's `time` package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number where one must stand, or more than Go's 292 years.
    #[error("time: invalid duration {given:?}")]
    Invalid {
        /// The whole text.
        given: String,
    },
    /// A number without a unit.
    #[error("time: missing unit in duration {given:?}")]
    MissingUnit {
        /// The whole text.
        given: String,
    },
    /// A unit other than ns, us, µs, ms, s, m and h.
    #[error("time: unknown unit {unit:?} in duration {given:?}")]
    UnknownUnit {
        /// What stands in its place.
        unit: String,
        /// The whole text.
        given: String,
    },
    /// Go reads durations below zero; nothing that reads one here has a use for them.
    #[error("negative duration {given:?}: write one of zero or more")]
    Negative {
        /// The whole text.
        given: String,
    },
}

/// Nanoseconds of each unit. `µs` has two spellings: the micro sign and the Greek letter.
const UNITS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", MICROSECOND),
    ("µs", MICROSECOND),
    ("μs", MICROSECOND),
    ("ms", MILLISECOND),
    ("s", SECOND),
    ("m", MINUTE),
    ("h", 60 * MINUTE),
];
const MICROSECOND: u128 = 1000;
const MILLISECOND: u128 = 1000 * MICROSECOND;
const SECOND: u128 = 1000 * MILLISECOND;
const MINUTE: u128 = 60 * SECOND;
/// Go counts nanoseconds in an int64.
const LONGEST: u128 = i64::MAX as u128;

/// Reads a duration as Go's `time.ParseDuration` does: a sequence of decimal numbers, each with its
/// unit, or a bare `0`.
///
/// # Errors
/// Anything else, and whatever is less than zero.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let given = || text.to_owned();
    let invalid = || DurationError::Invalid { given: given() };
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = split_at_first(rest, |c| !c.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_at_first(after, |c| !c.is_ascii_digit()),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let (unit, after) = split_at_first(after, |c| c == '.' || c.is_ascii_digit());
        if unit.is_empty() {
            return Err(DurationError::MissingUnit { given: given() });
        }
        let nanos = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, nanos)| *nanos);
        let nanos =
            nanos.ok_or_else(|| DurationError::UnknownUnit { unit: unit.to_owned(), given: given() })?;
        total = amount(whole, fraction, nanos)
            .and_then(|amount| total.checked_add(amount))
            .filter(|total| *total <= LONGEST)
            .ok_or_else(invalid)?;
        rest = after;
    }
    if negative && total > 0 {
        return Err(DurationError::Negative { given: given() });
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| invalid())
}

/// `<whole>.<fraction>` times a unit; none where it does not fit.
fn amount(whole: &str, fraction: &str, unit: u128) -> Option<u128> {
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u128>().ok()? };
    // No unit reaches 10¹³ nanoseconds, so what stands further behind the point is lost in any case.
    let fraction = fraction.get(..13).unwrap_or(fraction);
    let digits = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(unit)?.checked_add(digits * unit / scale)
}

fn split_at_first(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

/// Prints a duration as Go's `Duration.String` does: `8760h0m0s`, `1.5s`, `501.25ms`, `0s`.
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".into(),
        1..MICROSECOND => format!("{nanos}ns"),
        MICROSECOND..MILLISECOND => decimal(nanos, MICROSECOND, 3) + "µs",
        MILLISECOND..SECOND => decimal(nanos, MILLISECOND, 6) + "ms",
        _ => {
            let (minutes, seconds) = (nanos / MINUTE, decimal(nanos % MINUTE, SECOND, 9));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, m) => format!("{m}m{seconds}s"),
                (h, m) => format!("{h}h{m}m{seconds}s"),
            }
        }
    }
}

/// `nanos` in a unit of 10^`places` nanoseconds, without zeros at the end.
fn decimal(nanos: u128, unit: u128, places: usize) -> String {
    match nanos % unit {
        0 => (nanos / unit).to_string(),
        rest => {
            let fraction = format!("{rest:0places$}");
            format!("{}.{}", nanos / unit, fraction.trim_end_matches('0'))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3600 * SECOND;

    /// A text with its nanoseconds and how Go prints these, or why it is refused.
    fn check(text: &str, expected: Result<(u64, &str), &str>) {
        match (parse(text), expected) {
            (Ok(duration), Ok((nanos, printed))) => {
                assert_eq!(duration, Duration::from_nanos(nanos), "{text:?}");
                assert_eq!(format(duration), printed, "{text:?} printed again");
            }
            (Err(error), Err(words)) => assert_eq!(error.to_string(), words, "{text:?}"),
            (found, expected) => panic!("{text:?}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn durations_are_gos() {
        for (text, expected) in [
            ("0", Ok((0, "0s"))),
            ("-0", Ok((0, "0s"))),
            ("0s", Ok((0, "0s"))),
            ("0h0m", Ok((0, "0s"))),
            ("1ns", Ok((1, "1ns"))),
            ("999ns", Ok((999, "999ns"))),
            ("1us", Ok((1000, "1µs"))),
            ("1µs", Ok((1000, "1µs"))),
            ("1μs", Ok((1000, "1µs"))),
            ("1.5us", Ok((1500, "1.5µs"))),
            ("250ms", Ok((250_000_000, "250ms"))),
            ("501.25ms", Ok((501_250_000, "501.25ms"))),
            ("999999999ns", Ok((SECOND - 1, "999.999999ms"))),
            ("1s", Ok((SECOND, "1s"))),
            ("1.5s", Ok((SECOND * 3 / 2, "1.5s"))),
            ("1.000000001s", Ok((SECOND + 1, "1.000000001s"))),
            ("59s", Ok((59 * SECOND, "59s"))),
            ("60s", Ok((60 * SECOND, "1m0s"))),
            ("7m30s", Ok((450 * SECOND, "7m30s"))),
            ("90m", Ok((HOUR * 3 / 2, "1h30m0s"))),
            ("1h30m", Ok((HOUR * 3 / 2, "1h30m0s"))),
            ("30m1h", Ok((HOUR * 3 / 2, "1h30m0s"))),
            ("1.5h", Ok((HOUR * 3 / 2, "1h30m0s"))),
            (".5h", Ok((HOUR / 2, "30m0s"))),
            ("1.h", Ok((HOUR, "1h0m0s"))),
            ("+5s", Ok((5 * SECOND, "5s"))),
            ("0.00000000000000000000000001s", Ok((0, "0s"))),
            ("24h0m0s", Ok((24 * HOUR, "24h0m0s"))),
            ("8760h", Ok((8760 * HOUR, "8760h0m0s"))),
            ("8760h0m0s", Ok((8760 * HOUR, "8760h0m0s"))),
            ("9223372036854775807ns", Ok((i64::MAX as u64, "2562047h47m16.854775807s"))),
            ("9223372036854775808ns", Err("time: invalid duration \"9223372036854775808ns\"")),
            ("3000000h", Err("time: invalid duration \"3000000h\"")),
            (
                "99999999999999999999999999999999999999999h",
                Err("time: invalid duration \"99999999999999999999999999999999999999999h\""),
            ),
            ("", Err("time: invalid duration \"\"")),
            ("-", Err("time: invalid duration \"-\"")),
            (".", Err("time: invalid duration \".\"")),
            (".s", Err("time: invalid duration \".s\"")),
            ("soon", Err("time: invalid duration \"soon\"")),
            ("1h s", Err("time: unknown unit \"h s\" in duration \"1h s\"")),
            ("10", Err("time: missing unit in duration \"10\"")),
            ("1.", Err("time: missing unit in duration \"1.\"")),
            ("1h5", Err("time: missing unit in duration \"1h5\"")),
            ("5x", Err("time: unknown unit \"x\" in duration \"5x\"")),
            ("5 m", Err("time: unknown unit \" m\" in duration \"5 m\"")),
            ("1d", Err("time: unknown unit \"d\" in duration \"1d\"")),
            ("-5s", Err("negative duration \"-5s\": write one of zero or more")),
        ] {
            check(text, expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(nanos in 0..=i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
