//! The indexes of an Indexed job, as `status.completedIndexes` writes them: `0,2-4`.

use std::collections::BTreeSet;

use api::object::ObjectExt as _;
use serde_json::Value;

/// Annotation and label of a pod.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Reads `0,2-4`; what cannot be read, or lies beyond `completions`, is not there.
pub(super) fn parse(written: &str, completions: i64) -> BTreeSet<i64> {
    let mut found = BTreeSet::new();
    for part in written.split(',').filter(|p| !p.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) {
            found.extend(first.max(0)..=last.min(completions - 1));
        }
    }
    found
}

/// Writes runs of three and more as ranges, as upstream does.
pub(super) fn format(indexes: &BTreeSet<i64>) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for &i in indexes {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == i => *last = i,
            _ => runs.push((i, i)),
        }
    }
    let written = runs.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    written.collect::<Vec<_>>().join(",")
}

/// The index of a pod.
pub(super) fn of(pod: &Value) -> Option<i64> {
    pod.str_at("/metadata/annotations/batch.kubernetes.io~1job-completion-index").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(indexes: &[i64], written: &str) {
        let set: BTreeSet<i64> = indexes.iter().copied().collect();
        assert_eq!(format(&set), written);
        assert_eq!(parse(written, 10), set);
    }

    #[test]
    fn indexes_are_written_in_runs() {
        check(&[], "");
        check(&[3], "3");
        check(&[0, 1], "0,1");
        check(&[0, 1, 2], "0-2");
        check(&[0, 2, 3, 4, 6, 7, 9], "0,2-4,6,7,9");
        assert_eq!(parse("0-99,x,4-", 3), BTreeSet::from([0, 1, 2]));
    }
}
