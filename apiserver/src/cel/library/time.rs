//! Points and spans of time.

use std::sync::LazyLock;

use jiff::{
    SignedDuration, Timestamp,
    tz::{Offset, TimeZone, TimeZoneDatabase},
};

use super::super::{
    Value,
    eval::{EvalError, Found},
};

/// The zones that come with the program, whatever the machine has.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A span as Go writes it (`1h30m`), with a sign if there is one.
pub fn duration(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("time: invalid duration {text:?}");
    let (negative, body) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let span = api::duration::parse(body).map_err(|_| wrong())?;
    let span = SignedDuration::try_from(span).map_err(|_| wrong())?;
    Ok(if negative { -span } else { span })
}

/// RFC 3339, or a date alone.
pub fn timestamp(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse");
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    whole.parse().map_err(|_| wrong())
}

/// All of a span.
pub(super) fn nanos(span: SignedDuration) -> i128 {
    span.as_nanos()
}

/// Seconds, as the language prints a span: `5400s`.
pub(super) fn shown(span: SignedDuration) -> String {
    format!("{}s", span.as_secs_f64())
}

fn zone(name: &str) -> Result<TimeZone, EvalError> {
    let unknown = || EvalError::failed(format!("unknown time zone {name}"));
    // A server's own zone is the world's.
    if matches!(name, "" | "UTC" | "Local") {
        return Ok(TimeZone::UTC);
    }
    if !name.contains(':') {
        // Names are names of files upstream: their case matters.
        let zone = ZONES.get(name).map_err(|_| unknown())?;
        return if zone.iana_name() == Some(name) { Ok(zone) } else { Err(unknown()) };
    }
    let (negative, body) = match name.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, name.strip_prefix('+').unwrap_or(name)),
    };
    let (hours, minutes) = body.split_once(':').ok_or_else(unknown)?;
    let (hours, minutes): (i32, i32) =
        (hours.parse().map_err(|_| unknown())?, minutes.parse().map_err(|_| unknown())?);
    let seconds = hours.saturating_mul(3600).saturating_add(minutes.saturating_mul(60));
    let offset = Offset::from_seconds(if negative { -seconds } else { seconds }).map_err(|_| unknown())?;
    Ok(TimeZone::fixed(offset))
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Option<Found<'a>> {
    Some(match (name, values) {
        ("timestamp", [Value::Timestamp(t)]) => Ok(Value::Timestamp(*t)),
        ("timestamp", [Value::String(s)]) => timestamp(s).map(Value::Timestamp).map_err(EvalError::failed),
        ("timestamp", [Value::Int(i)]) => Timestamp::from_second(*i)
            .map(Value::Timestamp)
            .map_err(|_| EvalError::failed("timestamp overflow")),
        ("duration", [Value::Duration(d)]) => Ok(Value::Duration(*d)),
        ("duration", [Value::String(s)]) => duration(s).map(Value::Duration).map_err(EvalError::failed),
        ("duration", [Value::Int(i)]) => Ok(Value::Duration(SignedDuration::from_nanos(*i))),
        (_, [Value::Timestamp(t)]) => return field(name, *t, TimeZone::UTC).map(Ok),
        (_, [Value::Timestamp(t), Value::String(zone_name)]) => match zone(zone_name) {
            Ok(zone) => return field(name, *t, zone).map(Ok),
            Err(error) => Err(error),
        },
        ("getHours", [Value::Duration(d)]) => Ok(Value::Int(d.as_secs() / 3600)),
        ("getMinutes", [Value::Duration(d)]) => Ok(Value::Int(d.as_secs() / 60)),
        ("getSeconds", [Value::Duration(d)]) => Ok(Value::Int(d.as_secs())),
        ("getMilliseconds", [Value::Duration(d)]) => Ok(Value::Int(i64::from(d.subsec_millis()))),
        _ => return None,
    })
}

fn field<'a>(name: &str, at: Timestamp, zone: TimeZone) -> Option<Value<'a>> {
    let at = at.to_zoned(zone);
    Some(Value::Int(match name {
        "getFullYear" => i64::from(at.year()),
        "getMonth" => i64::from(at.month()) - 1,
        "getDayOfYear" => i64::from(at.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(at.day()) - 1,
        "getDate" => i64::from(at.day()),
        "getDayOfWeek" => i64::from(at.weekday().to_sunday_zero_offset()),
        "getHours" => i64::from(at.hour()),
        "getMinutes" => i64::from(at.minute()),
        "getSeconds" => i64::from(at.second()),
        "getMilliseconds" => i64::from(at.millisecond()),
        _ => return None,
    }))
}
