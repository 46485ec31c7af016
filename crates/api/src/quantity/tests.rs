//! Amounts in and out, and as numbers.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn read(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn canonical_forms() {
    for (text, canonical) in [
        ("0", "0"),
        ("0Ki", "0"),
        ("-0", "0"),
        ("1", "1"),
        ("+1", "1"),
        ("-1", "-1"),
        ("007", "7"),
        ("1.5", "1500m"),
        (".5", "500m"),
        ("1.", "1"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1000", "1k"),
        ("1100", "1100"),
        ("0.1m", "100u"),
        ("0.0001m", "100n"),
        ("1.5Gi", "1536Mi"),
        ("1Gi", "1Gi"),
        ("1024Mi", "1Gi"),
        ("1025Ki", "1025Ki"),
        ("1000Ki", "1000Ki"),
        ("0.5Ki", "512"),
        ("512", "512"),
        ("0.001Ki", "1024m"),
        ("0.1Ki", "102400m"),
        ("1.1Ki", "1126400m"),
        ("-2Ki", "-2Ki"),
        ("12e6", "12e6"),
        ("12E6", "12e6"),
        ("1e3", "1e3"),
        ("1000e0", "1e3"),
        ("1.5e0", "1500e-3"),
        ("100e1", "1e3"),
        ("1E", "1E"),
        ("1000E", "1000E"),
        ("10n", "10n"),
        ("0.1n", "1n"),
        ("-0.1n", "-1n"),
        ("1e-30", "1e-9"),
        ("1.0000000001", "1000000001n"),
        ("8Ei", "9223372036854775807"),
        ("100Ei", "9223372036854775807"),
        ("123456789012345678901234567890Ki", "9223372036854775807"),
    ] {
        let quantity = read(text);
        assert_eq!(quantity.to_string(), canonical, "{text}");
        assert_eq!(read(canonical), quantity, "{text} does not survive its own canonical form");
    }
}

#[test]
fn what_is_no_amount() {
    for (text, error) in [
        ("", QuantityError::Format),
        (" 1", QuantityError::Format),
        ("1 ", QuantityError::Format),
        ("1.1.M", QuantityError::Format),
        ("1+1.0M", QuantityError::Format),
        ("0.1am", QuantityError::Format),
        ("aoeu", QuantityError::Format),
        ("0.1mi", QuantityError::Suffix),
        (".5i", QuantityError::Suffix),
        ("1i", QuantityError::Suffix),
        ("1ki", QuantityError::Suffix),
        ("1K", QuantityError::Suffix),
        ("-3.01e-", QuantityError::Suffix),
        ("1e99999999999999999999", QuantityError::Suffix),
        ("1e60", QuantityError::Numeric),
        ("1234567890123456789012345678901234567890", QuantityError::Numeric),
    ] {
        assert_eq!(text.parse::<Quantity>(), Err(error), "{text}");
    }
}

#[test]
fn fields_hold_text_or_numbers() {
    for (value, canonical) in
        [(json!("250m"), "250m"), (json!(2), "2"), (json!(0.5), "500m"), (json!(1e3), "1k")]
    {
        assert_eq!(Quantity::from_value(&value).map(|q| q.to_string()).as_deref(), Ok(canonical), "{value}");
    }
    assert_eq!(Quantity::from_value(&json!(true)), Err(QuantityError::Format));
    let mut limits = json!({"cpu": 0.5, "memory": "1024Mi"});
    canonicalize(&mut limits).unwrap();
    assert_eq!(limits, json!({"cpu": "500m", "memory": "1Gi"}));
    let bad = canonicalize(&mut json!({"cpu": "lots"}));
    assert_eq!(bad, Err(("cpu".into(), QuantityError::Format)));
}

#[test]
fn rounding_goes_away_from_zero() {
    for (text, value, milli) in [
        ("1500m", 2, 1500),
        ("-1500m", -2, -1500),
        ("1n", 1, 1),
        ("1Ki", 1024, 1_024_000),
        ("9E", 9_000_000_000_000_000_000, i64::MAX),
    ] {
        assert_eq!((read(text).value(), read(text).milli()), (value, milli), "{text}");
    }
}

#[test]
fn a_sum_is_printed_like_its_first_part() {
    for (a, b, sum, difference) in [
        ("1Gi", "1M", "1074741824", "1072741824"),
        ("0", "1Gi", "1Gi", "-1Gi"),
        ("1Gi", "1Gi", "2Gi", "0"),
        ("1", "1m", "1001m", "999m"),
        ("1e3", "1", "1001", "999"),
    ] {
        assert_eq!((read(a) + read(b)).to_string(), sum, "{a} + {b}");
        assert_eq!((read(a) - read(b)).to_string(), difference, "{a} - {b}");
    }
    assert_eq!(["1", "500m", "500m"].map(read).into_iter().sum::<Quantity>().to_string(), "2");
}

fn amount() -> impl Strategy<Value = Quantity> {
    let format = prop_oneof![Just(Format::DecimalSi), Just(Format::BinarySi), Just(Format::DecimalExponent)];
    (-(1i128 << 92)..(1i128 << 92), 0u32..30, format)
        .prop_map(|(nanos, shift, format)| Quantity { nanos: (nanos >> shift) << shift, format })
}

proptest! {
    #[test]
    fn printing_loses_nothing(quantity in amount()) {
        let printed = quantity.to_string();
        let back: Quantity = printed.parse().unwrap();
        prop_assert_eq!(back, quantity);
        prop_assert_eq!(back.to_string(), printed);
    }

    #[test]
    fn order_is_that_of_numbers(a in -9999i64..9999, b in -9999i64..9999, c in 0usize..4, d in 0usize..4) {
        let scale = [("n", 1i128), ("u", 1_000), ("m", 1_000_000), ("", 1_000_000_000)];
        let (x, y) = (read(&format!("{a}{}", scale[c].0)), read(&format!("{b}{}", scale[d].0)));
        prop_assert_eq!(x.cmp(&y), (i128::from(a) * scale[c].1).cmp(&(i128::from(b) * scale[d].1)));
        prop_assert_eq!((x + y) - y, x);
    }

    #[test]
    fn no_text_brings_the_parser_down(text in "[-+]?[0-9.]{0,45}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,12}|.{0,12}") {
        let _ = text.parse::<Quantity>();
    }
}
