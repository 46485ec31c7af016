//! What is said beside the answer to a request, whatever the answer is: warnings to the client, and
//! notes in the audit log.

use std::collections::BTreeMap;

use api::names;
use http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;

use crate::audit::Level;

/// More than fit into an answer's headers; a body could be made of nothing but mistakes.
const MOST_WARNINGS: usize = 256;
/// All warnings of a response together; beyond that, each is cut to [`LONGEST_WARNING`], and the rest not said.
const ALL_WARNINGS: usize = 4096;
const LONGEST_WARNING: usize = 256;

/// The remarks of one request.
#[derive(Debug, Default)]
pub struct Remarks {
    warnings: Mutex<Vec<String>>,
    annotations: Mutex<BTreeMap<String, (Level, String)>>,
}

impl Remarks {
    /// Tells the client something that is no error, once, however often it is said.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock();
        if !text.is_empty() && warnings.len() < MOST_WARNINGS && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Notes something for the audit log; what was noted under a key stays.
    pub(crate) fn annotate(&self, key: &str, value: impl Into<String>) {
        self.annotate_from(Level::Metadata, key, value);
    }

    /// As [`Remarks::annotate`], for events of a level or more.
    pub(crate) fn annotate_from(&self, level: Level, key: &str, value: impl Into<String>) {
        if key.matches('/').count() != 1 || !names::qualified_name(key).is_empty() {
            tracing::warn!(
                key,
                "Failed to set admission audit annotation: the right format is a DNS subdomain prefix and '/' \
                 and key name"
            );
            return;
        }
        self.annotations.lock().entry(key.to_owned()).or_insert_with(|| (level, value.into()));
    }

    /// The notes for an event of this level.
    pub(crate) fn annotations(&self, of: Level) -> Vec<(String, String)> {
        let notes = self.annotations.lock();
        notes
            .iter()
            .filter(|(_, (least, _))| *least <= of)
            .map(|(k, (_, v))| (k.clone(), v.clone()))
            .collect()
    }

    /// What was warned about so far; told once.
    #[cfg(test)]
    pub(crate) fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock())
    }

    /// Everything that was warned about, as headers.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let mut warnings = std::mem::take(&mut *self.warnings.lock());
        if warnings.iter().map(String::len).sum::<usize>() > ALL_WARNINGS {
            let mut left = ALL_WARNINGS;
            warnings.retain_mut(|text| {
                *text = text.chars().take(LONGEST_WARNING).collect();
                let fits = text.len() <= left;
                left = left.saturating_sub(text.len());
                fits
            });
        }
        warnings.iter().for_each(|warning| write_warning(headers, warning));
    }
}

/// Adds a `Warning` header. What no header can hold is not said.
pub(crate) fn write_warning(headers: &mut HeaderMap, warning: &str) {
    let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
    if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
        headers.append(header::WARNING, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(warnings: &[String]) -> Vec<String> {
        let remarks = Remarks::default();
        warnings.iter().for_each(|text| remarks.warn(text.as_str()));
        let mut headers = HeaderMap::new();
        remarks.write(&mut headers);
        let all = headers.get_all(header::WARNING).into_iter();
        all.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }

    #[test]
    fn warnings_are_said_once_and_quoted() {
        let said = shown(&[
            "a \"b\" \\".to_owned(),
            "ü".to_owned(),
            "ü".to_owned(),
            String::new(),
            "x\ny".to_owned(),
        ]);
        assert_eq!(said, ["299 - \"a \\\"b\\\" \\\\\"", "299 - \"ü\""]);
    }

    #[test]
    fn warnings_that_are_too_long_are_cut() {
        let long = |c: char, n: usize| c.to_string().repeat(n);
        let whole = shown(&[long('a', 2048), long('b', 2048)]);
        assert_eq!(whole.iter().map(String::len).collect::<Vec<_>>(), [2048 + 8, 2048 + 8]);
        let cut = shown(&[long('a', 2048), long('b', 2049)]);
        assert_eq!(cut.iter().map(String::len).collect::<Vec<_>>(), [256 + 8, 256 + 8]);
        let many: Vec<String> = ('a'..='z').map(|c| long(c, 300)).collect();
        assert_eq!(shown(&many).len(), 16);
    }

    #[test]
    fn notes_are_for_a_level_and_never_change() {
        let remarks = Remarks::default();
        remarks.annotate("a.example.com/k", "1");
        remarks.annotate("a.example.com/k", "2");
        remarks.annotate_from(Level::Request, "b.example.com/k", "3");
        for bad in ["k", "a/b/c", "A_/k", "a.example.com/"] {
            remarks.annotate(bad, "no");
        }
        let shown = |level| -> Vec<String> {
            remarks.annotations(level).into_iter().map(|(k, v)| format!("{k}={v}")).collect()
        };
        assert_eq!(shown(Level::Metadata), ["a.example.com/k=1"]);
        assert_eq!(shown(Level::RequestResponse), ["a.example.com/k=1", "b.example.com/k=3"]);
    }
}
