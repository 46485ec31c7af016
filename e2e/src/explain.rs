//! From an error text that somebody pastes to the stories whose symptom it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{catalogue::Entry, scenarios};

/// What differs from case to case in a symptom.
const GAP: char = '…';
/// Of a symptom's words, how many of ten the text must have for a guess.
const LIKE: usize = 7;

/// How well a story fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// Most of a symptom's words are there, in some order: this many of a hundred.
    Like(usize),
    /// A symptom is there word for word: of so many characters, its gaps not counted.
    Words(usize),
}

/// The stories that `text` may be about, the best first, each with the symptom that fits.
pub fn explain(text: &str) -> Vec<Found> {
    let text = plain(text);
    let mut found: Vec<_> = scenarios::all()
        .filter_map(|entry| {
            let fits = entry.symptoms.iter().filter_map(|symptom| Some((*symptom, fit(symptom, &text)?)));
            fits.max_by_key(|(_, fit)| *fit).map(|(symptom, fit)| (entry, symptom, fit))
        })
        .collect();
    found.sort_by_key(|(_, _, fit)| std::cmp::Reverse(*fit));
    // A guess helps only where nothing is known.
    if found.iter().any(|(_, _, fit)| matches!(fit, Fit::Words(_))) {
        found.retain(|(_, _, fit)| matches!(fit, Fit::Words(_)));
    }
    found
}

/// Lower case, one blank between words, as terminals and issue trackers wrap and quote.
fn plain(text: &str) -> String {
    let text = text.replace("\\\"", "\"").replace(['“', '”'], "\"");
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn fit(symptom: &str, text: &str) -> Option<Fit> {
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
        return Some(Fit::Words(parts.iter().map(|part| part.chars().count()).sum()));
    }
    let wanted = words(&symptom);
    let there = words(text);
    let (shared, of) = (wanted.intersection(&there).count(), wanted.len());
    (of > 2 && shared * 10 >= of * LIKE).then(|| Fit::Like(shared * 100 / of))
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 1).collect()
}

/// One story that fits, with the symptom that does, and how well.
pub type Found = (&'static Entry, &'static str, Fit);

/// What `chronoplane explain` says.
pub fn answer(found: &[Found]) -> String {
    let mut out = String::new();
    for (entry, symptom, fit) in found {
        let how = match fit {
            Fit::Words(_) => "shows exactly this",
            Fit::Like(_) => "shows something like it",
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
    out
}

/// The same for programs.
pub fn to_json(found: &[Found]) -> Value {
    let rows = found.iter().map(|(entry, symptom, fit)| {
        let mut row = entry.to_json();
        row["symptom"] = (*symptom).into();
        row["fit"] = match fit {
            Fit::Words(_) => "exactly".into(),
            Fit::Like(_) => "like".into(),
        };
        row
    });
    json!({"stories": rows.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(symptom: &str, text: &str, fits: Option<bool>) {
        let found = fit(symptom, &plain(text)).map(|fit| matches!(fit, Fit::Words(_)));
        assert_eq!(found, fits, "{symptom:?} in {text:?}");
    }

    #[test]
    fn a_symptom_is_found_word_for_word_around_what_differs() {
        let symptom = "x509: certificate has expired or is not yet valid: current time … is after …";
        check(
            symptom,
            "E0101 reflector.go: Failed to list *v1.Role: Get \"https://[::1]:6443\": x509: certificate has expired or is not\n  yet valid: current time 2024-01-02T03:04:05Z is after 2024-01-01T00:00:00Z",
            Some(true),
        );
        check(symptom, "current time is after, certificate expired; x509 says not valid yet", Some(false));
        check(symptom, "connection refused", None);
    }

    #[test]
    fn the_parts_of_a_symptom_stand_in_their_order() {
        check("a node … was lost … today", "today a node x1 was lost", Some(false));
        check("a node … was lost … today", "A NODE x1 was lost not today", Some(true));
    }
}
