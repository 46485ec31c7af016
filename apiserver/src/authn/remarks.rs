//! What an authenticator wants known besides who it is: for the audit log, and for the client to read.

/// Remembered with a token's user, and said again each time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Keys and values of the audit event.
    pub annotations: Vec<(&'static str, String)>,
    /// Warnings of the answer.
    pub warnings: Vec<String>,
    /// Whether what was shown is bad, rather than missing.
    pub failed: bool,
}

impl Remarks {
    pub(super) fn annotate(&mut self, key: &'static str, value: impl Into<String>) {
        self.annotations.push((key, value.into()));
    }

    pub(super) fn warn(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.annotations.extend(other.annotations);
        self.warnings.extend(other.warnings);
    }
}
