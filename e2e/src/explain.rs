//! From an error text that somebody pastes to the stories whose symptom it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{catalogue::Entry, scenarios};

/// What differs from case to case in a symptom.
const GAP: char = '…';
/// Of a symptom's words, how many of ten the text must have for a guess.
const LIKE: usize = 7;
/// A text of fewer words than this says too little to be looked for within a symptom.
const FEWEST: usize = 3;
/// Who shares so many hundredths of the best one's evidence fits as well: a word more or less tells nothing.
const AS_WELL: usize = 90;
/// So many stories are shown; of the others, their names.
const SHOWN: usize = 5;
/// How the reference of a story begins that nobody has met yet.
const NOT_MET: &[&str] = &["read in the source", "observed on"];

/// How well a story fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// A symptom is there word for word.
    Words,
    /// The text is a part of a symptom, word for word.
    Part,
    /// Most of a symptom's words are there, in some order.
    Like,
}

/// One story that fits.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The story.
    pub entry: &'static Entry,
    /// Its symptom that fits best.
    pub symptom: &'static str,
    /// How.
    pub fit: Fit,
    /// How many characters of text and symptom say so.
    evidence: usize,
}

/// The stories that `text` may be about, the best first. Of those that fit as well as the best, the ones that people
/// have met come first, in the order of the catalogue.
pub fn explain(text: &str) -> Vec<Found> {
    let text = plain(text);
    let mut found: Vec<Found> = scenarios::all()
        .filter_map(|entry| {
            let fits = entry.symptoms.iter().filter_map(|symptom| {
                let (fit, evidence) = fit(symptom, &text)?;
                Some(Found { entry, symptom, fit, evidence })
            });
            fits.max_by_key(|found| found.evidence)
        })
        .collect();
    // A guess helps only where nothing that is known says as much.
    let known = found.iter().filter(|f| f.fit != Fit::Like).map(|f| f.evidence).max().unwrap_or_default();
    found.retain(|f| f.fit != Fit::Like || f.evidence > known);
    let best = found.iter().map(|f| f.evidence).max().unwrap_or_default();
    let rank = |f: &Found| match f.evidence * 100 >= best * AS_WELL {
        true => (0, usize::from(NOT_MET.iter().any(|words| f.entry.reference.starts_with(words)))),
        false => (1, usize::MAX - f.evidence),
    };
    found.sort_by_key(rank);
    found
}

/// Whether `text` shows that symptom word for word.
pub fn shows(symptom: &str, text: &str) -> bool {
    matches!(fit(symptom, &plain(text)), Some((Fit::Words, _)))
}

/// Lower case, one blank between words, without quotes and what escapes them, as terminals, logs in JSON and issue
/// trackers wrap and quote.
fn plain(text: &str) -> String {
    let text = text.replace("\\n", " ").replace("\\t", " ").replace(['"', '\\', '“', '”', '`'], "");
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// How a symptom and a text fit, and how many characters say so.
fn fit(symptom: &str, text: &str) -> Option<(Fit, usize)> {
    let symptom = plain(symptom);
    let parts: Vec<&str> = symptom.split(GAP).map(str::trim).filter(|part| !part.is_empty()).collect();
    let mut rest = text;
    let all = parts.iter().all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    });
    if all && !parts.is_empty() {
        return Some((Fit::Words, parts.iter().map(|part| part.chars().count()).sum()));
    }
    if text.split(' ').count() >= FEWEST && parts.iter().any(|part| part.contains(text)) {
        return Some((Fit::Part, text.chars().count()));
    }
    let wanted = words(&symptom);
    let there = words(text);
    let shared: Vec<_> = wanted.intersection(&there).collect();
    let alike = wanted.len() > 2 && shared.len() * 10 >= wanted.len() * LIKE;
    alike.then(|| (Fit::Like, shared.iter().map(|word| word.chars().count()).sum()))
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 1).collect()
}

/// What `chronoplane explain` says.
pub fn answer(found: &[Found]) -> String {
    let mut out = String::new();
    if found.len() > 1 {
        out += &format!(
            "{} stories fit this text, the likelier ones first; more lines of the log tell them apart.\n\n",
            found.len()
        );
    }
    for Found { entry, symptom, fit, .. } in found.iter().take(SHOWN) {
        let how = match fit {
            Fit::Words => "shows exactly this",
            Fit::Part => "shows this among other words",
            Fit::Like => "shows something like it",
        };
        out += &format!(
            "{} ({}) {how}:\n  {symptom}\n  {}\n  {}\n",
            entry.id,
            entry.releases(),
            entry.sentence,
            entry.reference
        );
        out += &format!("  chronoplane run {}\n\n", entry.id);
    }
    let others: Vec<&str> = found.iter().skip(SHOWN).map(|f| f.entry.id).collect();
    if !others.is_empty() {
        out += &format!("the others: {}\n", others.join(", "));
    }
    out
}

/// The same for programs.
pub fn to_json(found: &[Found]) -> Value {
    let rows = found.iter().map(|found| {
        let mut row = found.entry.to_json();
        row["symptom"] = found.symptom.into();
        row["fit"] = match found.fit {
            Fit::Words => "exactly".into(),
            Fit::Part => "part".into(),
            Fit::Like => "like".into(),
        };
        row
    });
    json!({"stories": rows.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(symptom: &str, text: &str, fits: Option<Fit>) {
        let found = fit(symptom, &plain(text)).map(|(fit, _)| fit);
        assert_eq!(found, fits, "{symptom:?} in {text:?}");
    }

    #[test]
    fn a_symptom_is_found_word_for_word_around_what_differs() {
        let symptom = "x509: certificate has expired or is not yet valid: current time … is after …";
        check(
            symptom,
            "E0101 reflector.go: Failed to list *v1.Role: Get \"https://[::1]:6443\": x509: certificate has expired or is not\n  yet valid: current time 2024-01-02T03:04:05Z is after 2024-01-01T00:00:00Z",
            Some(Fit::Words),
        );
        check(
            symptom,
            "current time is after, certificate expired; x509 says not valid yet",
            Some(Fit::Like),
        );
        check(symptom, "connection refused", None);
        check(symptom, "certificate has expired", Some(Fit::Part));
        check(symptom, "current time", None);
    }

    #[test]
    fn quotes_are_of_no_account_however_often_they_are_escaped() {
        let symptom = "failed calling webhook \"…\": Post \"https://…\": EOF";
        for text in [
            r#"failed calling webhook "a.b": Post "https://x:443": EOF"#,
            r#"err="failed calling webhook \"a.b\": Post \"https://x:443\": EOF""#,
            r#"{"msg":"failed calling webhook \\\"a.b\\\":\nPost \\\"https://x:443\\\": EOF"}"#,
            "failed calling webhook “a.b”: Post https://x:443: EOF",
        ] {
            check(symptom, text, Some(Fit::Words));
        }
    }

    #[test]
    fn the_parts_of_a_symptom_stand_in_their_order() {
        check("a node … was lost … today", "today a node x1 was lost", Some(Fit::Like));
        check("a node … was lost … today", "A NODE x1 was lost not today", Some(Fit::Words));
    }
}
