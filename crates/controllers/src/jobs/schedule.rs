//! Cron schedules as upstream's parser reads them (`github.com/robfig/cron/v3`, standard parser), and
//! which of their times were missed.

use std::time::Duration;

use jiff::{SignedDuration, civil::DateTime, tz::TimeZone};
use world::Wall;

/// When something recurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Schedule {
    /// Five fields.
    Fields(Fields),
    /// `@every 1h30m`, in whole seconds.
    Every(Duration),
}

/// Bit sets of minutes, hours, days, months and weekdays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// `*` in both day fields means both, otherwise either.
    any_day: bool,
    any_weekday: bool,
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// A schedule without a time within so many years has none.
const HORIZON_YEARS: i16 = 5;

impl Schedule {
    /// # Errors
    /// In the parser's words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let spec = text.trim();
        if spec.is_empty() {
            return Err("empty spec string".into());
        }
        let expanded = match spec {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ => match spec.strip_prefix("@every ") {
                Some(every) => {
                    let every = api::duration::parse(every)
                        .map_err(|e| format!("failed to parse duration {spec}: {e}"))?;
                    return Ok(Self::Every(Duration::from_secs(every.as_secs().max(1))));
                }
                None if spec.starts_with('@') => return Err(format!("unrecognized descriptor: {spec}")),
                None => spec,
            },
        };
        let fields: Vec<&str> = expanded.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(format!("expected exactly 5 fields, found {}: {fields:?}", fields.len()));
        };
        let star = |field: &str| field.split(',').any(|part| part.starts_with(['*', '?']));
        Ok(Self::Fields(Fields {
            minutes: bits(minutes, 0, 59, &[])?,
            hours: bits(hours, 0, 23, &[])?,
            days: bits(days, 1, 31, &[])?,
            months: bits(months, 1, 12, MONTHS)?,
            weekdays: bits(weekdays, 0, 6, WEEKDAYS)?,
            any_day: star(days),
            any_weekday: star(weekdays),
        }))
    }

    /// The first time after `after`; `None` if there is none within five years.
    pub(super) fn next(&self, after: Wall, zone: &TimeZone) -> Option<Wall> {
        match self {
            Self::Every(every) => {
                let whole = Wall::from_second(after.as_second()).ok()?;
                whole.checked_add(SignedDuration::try_from(*every).ok()?).ok()
            }
            Self::Fields(fields) => fields.next(after, zone),
        }
    }
}

/// One field: parts of numbers, names, ranges and steps.
fn bits(field: &str, least: u32, most: u32, names: &[&str]) -> Result<u64, String> {
    let number = |text: &str| -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(i) = names.iter().position(|n| *n == lower) {
            return Ok(i as u32 + least);
        }
        text.parse().map_err(|_| {
            format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": invalid syntax")
        })
    };
    let mut set = 0_u64;
    for part in field.split(',').filter(|p| !p.is_empty()) {
        let (range, step) = match part.split_once('/') {
            Some((_, step)) if step.contains('/') => return Err(format!("too many slashes: {part}")),
            Some((range, step)) => (range, Some(number(step)?)),
            None => (part, None),
        };
        let (first, last) = if range == "*" || range == "?" {
            (least, most)
        } else {
            match range.split_once('-') {
                Some((_, end)) if end.contains('-') => return Err(format!("too many hyphens: {part}")),
                Some((first, last)) => (number(first)?, number(last)?),
                // `5/15` means from 5 on.
                None if step.is_some() => (number(range)?, most),
                None => (number(range)?, number(range)?),
            }
        };
        if first < least {
            return Err(format!("beginning of range ({first}) below minimum ({least}): {part}"));
        }
        if last > most {
            return Err(format!("end of range ({last}) above maximum ({most}): {part}"));
        }
        if first > last {
            return Err(format!("beginning of range ({first}) beyond end of range ({last}): {part}"));
        }
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
        (first..=last).step_by(step as usize).for_each(|n| set |= 1 << n);
    }
    Ok(set)
}

impl Fields {
    fn has_date(&self, at: DateTime) -> bool {
        let has = |set: u64, n: i8| set & (1 << n) != 0;
        let day = has(self.days, at.day());
        let weekday = has(self.weekdays, at.date().weekday().to_sunday_zero_offset());
        let either = if self.any_day || self.any_weekday { day && weekday } else { day || weekday };
        has(self.months, at.month()) && either
    }

    /// Walks over dates, then hours, then minutes of the zone's civil time. A time that a zone skips
    /// does not come; one that it repeats comes at its first turn.
    fn next(&self, after: Wall, zone: &TimeZone) -> Option<Wall> {
        let start = after.to_zoned(zone.clone()).datetime();
        let mut date = start.date();
        let horizon = start.date().year() + HORIZON_YEARS;
        while date.year() <= horizon {
            if self.has_date(date.at(0, 0, 0, 0)) {
                let hours = (0..24_i8).filter(|h| self.hours & (1 << h) != 0);
                let times = hours
                    .flat_map(|h| (0..60_i8).filter(|m| self.minutes & (1 << m) != 0).map(move |m| (h, m)));
                for (hour, minute) in times {
                    let civil = date.at(hour, minute, 0, 0);
                    let Ok(zoned) = civil.to_zoned(zone.clone()) else { continue };
                    if zoned.datetime() == civil && zoned.timestamp() > after {
                        return Some(zoned.timestamp());
                    }
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }
}

/// The latest time that has come since `earliest`, and how many have: more than a hundred are
/// reported as suspicious (`mostRecentScheduleTime`).
pub(super) fn missed(schedule: &Schedule, zone: &TimeZone, earliest: Wall, now: Wall) -> Option<(Wall, i64)> {
    let first = schedule.next(earliest, zone).filter(|t| *t <= now)?;
    let Some(second) = schedule.next(first, zone).filter(|t| *t <= now) else { return Some((first, 1)) };
    let between = second.duration_since(first).as_secs().max(1);
    let count = now.duration_since(first).as_secs() / between + 1;
    // From shortly before the end: a month is not always as long as the first one.
    let jump = SignedDuration::from_secs(between.saturating_mul((count - 2).max(0)));
    let mut at = first.checked_add(jump).ok().filter(|t| *t <= now).unwrap_or(first);
    let mut latest = first;
    while let Some(next) = schedule.next(at, zone).filter(|t| *t <= now) {
        (latest, at) = (next, next);
    }
    Some((latest, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Wall {
        text.parse().expect("a time")
    }

    fn check(spec: &str, after: &str, expect: &str) {
        let schedule = Schedule::parse(spec).expect(spec);
        let next = schedule.next(at(after), &TimeZone::UTC).map(world::rfc3339);
        assert_eq!(next.as_deref().unwrap_or("never"), expect, "{spec} after {after}");
    }

    #[test]
    fn when_it_comes_next() {
        let new_year = "2026-01-01T00:00:00Z";
        check("* * * * *", new_year, "2026-01-01T00:01:00Z");
        check("*/15 * * * *", "2026-01-01T00:14:59Z", "2026-01-01T00:15:00Z");
        check("5/20 3 * * *", new_year, "2026-01-01T03:05:00Z");
        check("0 0 29 2 *", new_year, "2028-02-29T00:00:00Z");
        check("0 0 31 2 *", new_year, "never");
        // 2026-01-01 is a Thursday. Both day fields restricted: either is enough.
        check("0 12 * * MON", new_year, "2026-01-05T12:00:00Z");
        check("0 12 13 * fri", new_year, "2026-01-02T12:00:00Z");
        check("0 12 13 * ?", new_year, "2026-01-13T12:00:00Z");
        check("0 0 1 jul-sep *", new_year, "2026-07-01T00:00:00Z");
        check("@hourly", "2026-01-01T00:00:01Z", "2026-01-01T01:00:00Z");
        check("@yearly", new_year, "2027-01-01T00:00:00Z");
        check("@every 90s", "2026-01-01T00:00:00.5Z", "2026-01-01T00:01:30Z");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let check = |spec: &str, words: &str| {
            let error = Schedule::parse(spec).expect_err(spec);
            assert!(error.contains(words), "{spec}: {error}");
        };
        check("", "empty spec string");
        check("* * * *", "expected exactly 5 fields, found 4");
        check("60 * * * *", "end of range (60) above maximum (59): 60");
        check("* * 0 * *", "beginning of range (0) below minimum (1): 0");
        check("x * * * *", "failed to parse int from x");
        check("*/0 * * * *", "step of range should be a positive number: */0");
        check("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1");
        check("@never", "unrecognized descriptor: @never");
    }

    #[test]
    fn the_latest_of_those_missed() {
        let check = |spec: &str, earliest: &str, now: &str, expect: Option<(&str, i64)>| {
            let schedule = Schedule::parse(spec).expect(spec);
            let found = missed(&schedule, &TimeZone::UTC, at(earliest), at(now));
            assert_eq!(found, expect.map(|(t, n)| (at(t), n)), "{spec} from {earliest} to {now}");
        };
        let from = "2026-01-01T00:00:30Z";
        check("* * * * *", from, "2026-01-01T00:00:59Z", None);
        check("* * * * *", from, "2026-01-01T00:01:00Z", Some(("2026-01-01T00:01:00Z", 1)));
        check("* * * * *", from, "2026-01-01T00:05:10Z", Some(("2026-01-01T00:05:00Z", 5)));
        check("* * * * *", from, "2026-01-01T02:00:00Z", Some(("2026-01-01T02:00:00Z", 120)));
        check("0 0 1 * *", from, "2026-04-15T00:00:00Z", Some(("2026-04-01T00:00:00Z", 3)));
    }
}
