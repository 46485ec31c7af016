//! `date`: the host's wall clock in the usual formats, always in UTC as in most images.

use jiff::{SignedDuration, fmt::strtime};
use world::Wall;

const DEFAULT: &str = "%a %b %e %H:%M:%S UTC %Y";

/// What `date <args>` prints at `now`.
///
/// # Errors
/// date's words for what it does not take.
pub(crate) fn date(args: &[String], now: Wall) -> Result<String, String> {
    let (mut format, mut at) = (DEFAULT.to_owned(), now);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-u" | "--utc" | "--universal" => {}
            "-R" | "--rfc-email" | "--rfc-2822" => format = "%a, %d %b %Y %H:%M:%S +0000".into(),
            "-I" | "-Idate" | "--iso-8601" => format = "%Y-%m-%d".into(),
            "-Iseconds" | "--iso-8601=seconds" => format = "%Y-%m-%dT%H:%M:%S+00:00".into(),
            "-Ins" | "--iso-8601=ns" => format = "%Y-%m-%dT%H:%M:%S,%N+00:00".into(),
            "--rfc-3339=seconds" => format = "%Y-%m-%d %H:%M:%S+00:00".into(),
            "-d" | "--date" => {
                let text = args.next().ok_or("date: option requires an argument -- 'd'")?;
                at = when(text, now).ok_or_else(|| format!("date: invalid date '{text}'"))?;
            }
            other => match (other.strip_prefix('+'), other.strip_prefix("--date=")) {
                (Some(wanted), _) => format = wanted.to_owned(),
                (None, Some(text)) => {
                    at = when(text, now).ok_or_else(|| format!("date: invalid date '{text}'"))?;
                }
                (None, None) if other.starts_with('-') => {
                    return Err(format!("date: unrecognized option '{other}'"));
                }
                (None, None) => return Err(format!("date: invalid date '{other}'")),
            },
        }
    }
    let nanos = format!("{:09}", at.subsec_nanosecond());
    // Of these the library has another opinion, or none.
    let format = format.replace("%N", &nanos).replace("%Z", "UTC").replace("%z", "+0000");
    strtime::format(&format, at).map_err(|e| format!("date: invalid format '{format}': {e}"))
}

/// `@seconds`, an RFC 3339 time, `now`.
fn when(text: &str, now: Wall) -> Option<Wall> {
    match text.strip_prefix('@') {
        Some(seconds) => Wall::UNIX_EPOCH.checked_add(SignedDuration::from_secs(seconds.parse().ok()?)).ok(),
        None if text == "now" => Some(now),
        None => text.parse().ok(),
    }
}
