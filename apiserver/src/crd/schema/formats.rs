//! `format`: which texts are of one, and the ranges of numbers.

use std::{net::IpAddr, sync::LazyLock};

use regex::Regex;

/// A pattern that is a constant here, so that it can be read.
struct Pattern(LazyLock<Option<Regex>>);

impl Pattern {
    fn is(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

macro_rules! patterns {
    ($($name:ident = $pattern:literal;)*) => {
        $(static $name: Pattern = Pattern(LazyLock::new(|| Regex::new($pattern).ok()));)*
    };
}

patterns! {
    HOSTNAME = r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$";
    MAC = r"^([0-9a-fA-F]{2}[:-]){5}([0-9a-fA-F]{2})$|^([0-9a-fA-F]{2}[:-]){7}([0-9a-fA-F]{2})$|^([0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}$";
    UUID = r"^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$";
    UUID3 = r"^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$";
    UUID4 = r"^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$";
    UUID5 = r"^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$";
    OBJECT_ID = r"^[0-9a-fA-F]{24}$";
    EMAIL = r"^[^\s@<>(),;:\\]+@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$";
    HEX_COLOR = r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$";
    RGB_COLOR = r"^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$";
    SSN = r"^\d{3}[- ]?\d{2}[- ]?\d{4}$";
    DATE = r"^\d{4}-\d{2}-\d{2}$";
    SHORT_DURATION = r"^\s*\d+(\.\d+)?\s*(ns|us|µs|ms|s|m|h|d|w|nanos?|micros?|millis?|secs?|mins?|hours?|days?|weeks?|seconds?|minutes?|milliseconds?|microseconds?|nanoseconds?)\s*$";
    SCHEME = r"^[A-Za-z][A-Za-z0-9+.-]*:";
}

/// A UUID with or without its dashes.
pub(crate) fn is_uuid(text: &str) -> bool {
    UUID.is(text)
}

/// Whether a text is of a format; of one that is not known every text is.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => DATE.is(text) && text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => api::duration::parse(text.trim_start_matches('-')).is_ok() || SHORT_DURATION.is(text),
        "byte" => api::object::unbase64(text).is_some(),
        "ipv4" => matches!(text.parse(), Ok(IpAddr::V4(_))),
        "ipv6" => matches!(text.parse(), Ok(IpAddr::V6(_))),
        "cidr" => is_cidr(text),
        "mac" => MAC.is(text),
        "uri" => is_uri(text),
        "hostname" => text.len() <= 253 && HOSTNAME.is(text),
        "email" => EMAIL.is(text),
        "uuid" => UUID.is(text),
        "uuid3" => UUID3.is(text),
        "uuid4" => UUID4.is(text),
        "uuid5" => UUID5.is(text),
        "bsonobjectid" => OBJECT_ID.is(text),
        "hexcolor" => HEX_COLOR.is(text),
        "rgbcolor" => RGB_COLOR.is(text),
        "ssn" => SSN.is(text),
        "isbn" => isbn10(text) || isbn13(text),
        "isbn10" => isbn10(text),
        "isbn13" => isbn13(text),
        "creditcard" => luhn(text),
        _ => true,
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    match (address.parse::<IpAddr>(), bits.parse::<u8>()) {
        (Ok(address), Ok(bits)) => bits <= if address.is_ipv4() { 32 } else { 128 },
        _ => false,
    }
}

/// What Go's `url.ParseRequestURI` takes: something absolute.
fn is_uri(text: &str) -> bool {
    let clean = !text.chars().any(|c| c.is_ascii_control() || c == ' ');
    clean && (text.starts_with('/') || SCHEME.is(text))
}

fn digits(text: &str) -> Vec<u32> {
    text.chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| c.to_digit(10).unwrap_or(if matches!(c, 'X' | 'x') { 10 } else { 99 }))
        .collect()
}

fn isbn10(text: &str) -> bool {
    let digits = digits(text);
    let well = digits.len() == 10 && digits.iter().take(9).all(|d| *d < 10) && digits.iter().all(|d| *d < 11);
    well && digits.iter().zip(1..).map(|(d, n)| d * n).sum::<u32>() % 11 == 0
}

fn isbn13(text: &str) -> bool {
    let digits = digits(text);
    let well = digits.len() == 13 && digits.iter().all(|d| *d < 10);
    well && digits.iter().zip([1, 3].into_iter().cycle()).map(|(d, n)| d * n).sum::<u32>() % 10 == 0
}

fn luhn(text: &str) -> bool {
    let digits = digits(text);
    if !(13..=19).contains(&digits.len()) || digits.iter().any(|d| *d > 9) {
        return false;
    }
    let doubled = digits.iter().rev().enumerate().map(|(n, d)| match (n % 2, d * 2) {
        (0, _) => *d,
        (_, twice) if twice > 9 => twice - 9,
        (_, twice) => twice,
    });
    doubled.sum::<u32>() % 10 == 0
}

/// Whether a number lies in the range of a format.
pub(super) fn in_range(format: &str, number: &serde_json::Number) -> bool {
    match format {
        "int32" => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => i32::try_from(whole).is_ok(),
            (None, Some(float)) => float.abs() <= f64::from(i32::MAX),
            _ => false,
        },
        "float" => number.as_f64().is_some_and(|f| f.abs() <= f64::from(f32::MAX)),
        "int64" => {
            number.as_i64().is_some() || number.as_f64().is_some_and(|f| number.is_f64() && f.abs() < 9.3e18)
        }
        _ => true,
    }
}
