//! What plugins say beside yes and no: warnings to the caller, annotations to the audit log.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

/// More than fit into an answer's headers; a body could be made of nothing but mistakes.
const MOST_WARNINGS: usize = 256;

/// Annotations of a request's audit event, shared with the event that is on its way.
pub type Annotations = Arc<Mutex<BTreeMap<String, String>>>;

/// See the module.
#[derive(Debug, Default)]
pub struct Notes {
    warnings: Mutex<Vec<String>>,
    annotations: Annotations,
}

impl Notes {
    /// Notes whose annotations end up in an audit event.
    pub fn of(annotations: &Annotations) -> Self {
        Self { warnings: Mutex::default(), annotations: annotations.clone() }
    }

    /// Tells the caller something that is no error, once.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock();
        if warnings.len() < MOST_WARNINGS && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// All that was warned about; told once.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock())
    }

    /// Writes an annotation into the audit event; the first one with a key stays, as upstream.
    pub fn annotate(&self, key: impl Into<String>, value: impl Into<String>) {
        self.annotations.lock().entry(key.into()).or_insert_with(|| value.into());
    }

    /// What was written so far.
    #[cfg(test)]
    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        self.annotations.lock().clone()
    }
}
