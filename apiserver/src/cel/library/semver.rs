//! Semantic versions.

use std::cmp::Ordering;

use super::super::{
    Value,
    eval::{EvalError, Found},
    session::Session,
};

/// A version in its parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Semver {
    numbers: [u64; 3],
    pre: Vec<String>,
    length: usize,
}

fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (plain && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

impl Semver {
    fn parse(text: &str, lenient: bool) -> Option<Semver> {
        let text = if lenient { text.trim_start_matches('v') } else { text };
        let (text, build) = text.split_once('+').map_or((text, None), |(a, b)| (a, Some(b)));
        let (core, pre) = text.split_once('-').map_or((text, None), |(a, b)| (a, Some(b)));
        let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if build.is_some_and(|b| !b.split('.').all(word)) || pre.is_some_and(|p| !p.split('.').all(word)) {
            return None;
        }
        let parts: Vec<&str> = core.split('.').collect();
        if parts.len() > 3 || parts.len() < 3 && !lenient {
            return None;
        }
        let mut numbers = [0; 3];
        for (place, part) in numbers.iter_mut().zip(&parts) {
            let part = if lenient && part.len() > 1 { part.trim_start_matches('0') } else { part };
            *place = number(if part.is_empty() && lenient { "0" } else { part })?;
        }
        let length = pre.map_or(0, str::len);
        let pre = pre.into_iter().flat_map(|p| p.split('.')).map(str::to_owned).collect();
        Some(Semver { numbers, pre, length })
    }

    /// Bytes of what is compared word by word.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// A version before its release is less than it.
    pub(crate) fn compare(&self, other: &Semver) -> Ordering {
        let by_pre = match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let pairs = self.pre.iter().zip(&other.pre).map(|(a, b)| match (number(a), number(b)) {
                    (Some(a), Some(b)) => a.cmp(&b),
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (None, None) => a.cmp(b),
                });
                pairs.fold(Ordering::Equal, Ordering::then).then(self.pre.len().cmp(&other.pre.len()))
            }
        };
        self.numbers.cmp(&other.numbers).then(by_pre)
    }
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>], session: &Session<'_>) -> Option<Found<'a>> {
    if let [Value::Semver(a), Value::Semver(b)] = values
        && let Err(error) = session.walk_bytes(a.length.min(b.length))
    {
        return Some(Err(error));
    }
    let whole = |n: Option<&u64>| Value::Int(n.and_then(|n| i64::try_from(*n).ok()).unwrap_or(i64::MAX));
    Some(Ok(match (name, values) {
        ("semver" | "isSemver", [Value::String(text), rest @ ..]) => {
            let lenient = matches!(rest, [Value::Bool(true)]);
            match (Semver::parse(text, lenient), name) {
                (found, "isSemver") => Value::Bool(found.is_some()),
                (Some(found), _) => Value::Semver(found.into()),
                (None, _) => return Some(Err(EvalError::failed(format!("Invalid semver: {text}")))),
            }
        }
        ("major", [Value::Semver(v)]) => whole(v.numbers.first()),
        ("minor", [Value::Semver(v)]) => whole(v.numbers.get(1)),
        ("patch", [Value::Semver(v)]) => whole(v.numbers.get(2)),
        ("isLessThan", [Value::Semver(a), Value::Semver(b)]) => Value::Bool(a.compare(b).is_lt()),
        ("isGreaterThan", [Value::Semver(a), Value::Semver(b)]) => Value::Bool(a.compare(b).is_gt()),
        ("compareTo", [Value::Semver(a), Value::Semver(b)]) => Value::Int(i64::from(a.compare(b) as i8)),
        _ => return None,
    }))
}
