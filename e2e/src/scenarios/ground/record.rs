//! What the processes of a host have recorded, read back from its file.

use std::{collections::BTreeSet, path::Path, sync::LazyLock};

use parking_lot::Mutex;
use serde::Deserialize;
use world::{Event, Wall};

#[derive(Deserialize)]
struct Line {
    at: Wall,
    true_at: Wall,
    host: String,
    actor: String,
    kind: String,
    fields: Vec<(String, String)>,
}

/// The events in a host's record; none where there is no file.
pub(super) fn read(file: &Path) -> Vec<Event> {
    let bytes = std::fs::read(file).unwrap_or_default();
    // The last line may be half written, and so may its last character.
    let text = String::from_utf8_lossy(&bytes);
    text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()).map(event).collect()
}

fn event(line: Line) -> Event {
    let Line { at, true_at, host, actor, kind, fields } = line;
    let fields = fields.into_iter().map(|(key, value)| (word(key), value)).collect();
    Event { at, true_at, host, actor, kind: word(kind), fields }
}

/// Kinds and keys are words of this program's source: there are few, and each is kept once.
fn word(text: String) -> &'static str {
    static WORDS: LazyLock<Mutex<BTreeSet<&'static str>>> = LazyLock::new(<_>::default);
    let mut words = WORDS.lock();
    match words.get(text.as_str()) {
        Some(word) => word,
        None => {
            let word: &'static str = text.leak();
            words.insert(word);
            word
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_up_to_half_a_line() {
        let at = Wall::from_nanosecond(1_700_000_000_123_456_789).unwrap_or_default();
        let one = Event {
            at,
            true_at: at,
            host: "cp1".into(),
            actor: "kube-apiserver".into(),
            kind: "authentication",
            fields: vec![("error", "x509: a \"quoted\"\nline…".into()), ("n", String::new())],
        };
        let line = serde_json::to_string(&one).unwrap_or_default();
        let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let file = dir.path().join("record");
        let within_a_character = line.find('…').unwrap_or_default() + 1;
        for end in [20, within_a_character] {
            let whole = format!("{line}\n{line}\n");
            let bytes = [whole.as_bytes(), &line.as_bytes()[..end]].concat();
            std::fs::write(&file, bytes).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(read(&file), [one.clone(), one.clone()]);
        }
        assert_eq!(read(&dir.path().join("none")), []);
    }
}
