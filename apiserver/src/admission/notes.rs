//! What admission says beside yes and no: warnings to the client, annotations of the audit event.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

/// A client is not told more than this; a body could be made of nothing but mistakes.
const MOST_WARNINGS: usize = 256;

/// Annotations of a request's audit event. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Annotations(Arc<Mutex<BTreeMap<String, String>>>);

impl Annotations {
    /// What they are now.
    pub fn get(&self) -> BTreeMap<String, String> {
        self.0.lock().clone()
    }
}

/// Where notes of one write go.
#[derive(Clone, Copy, Debug)]
pub struct Notes<'a> {
    /// Warnings, each once.
    pub warnings: &'a Mutex<Vec<String>>,
    /// Annotations.
    pub annotations: &'a Annotations,
}

impl Notes<'_> {
    /// Tells the client something that is no error, once, however often it is attempted.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock();
        if warnings.len() < MOST_WARNINGS && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Adds an annotation. Who comes first has the word: a later value for the same key is only logged.
    pub fn annotate(&self, key: &str, value: &str) {
        let mut annotations = self.annotations.0.lock();
        match annotations.get(key) {
            Some(held) if held == value => {}
            Some(held) => {
                tracing::warn!(
                    "Failed to set annotations[{key:?}] to {value:?} for audit, it has already been set to {held:?}"
                );
            }
            None => _ = annotations.insert(key.to_owned(), value.to_owned()),
        }
    }
}
