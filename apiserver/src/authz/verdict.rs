//! What an authorizer answers: a decision, and why.

use std::{fmt, ops::Deref, sync::Arc};

/// What an authorizer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes; nobody else is asked.
    Allow,
    /// No; nobody else is asked.
    Deny,
    /// Not for me to say; from the whole chain this means no.
    NoOpinion,
}

/// Why, as text. Every request that is allowed carries one, so those that rules give are written once and shared.
#[derive(Clone, Debug)]
pub enum Reason {
    /// One that is always the same.
    Fixed(&'static str),
    /// One that was written before.
    Shared(Arc<str>),
    /// One about this request.
    Own(String),
}

impl Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Fixed(text) => text,
            Self::Shared(text) => text,
            Self::Own(text) => text,
        }
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Reason {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl From<&'static str> for Reason {
    fn from(text: &'static str) -> Self {
        Self::Fixed(text)
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self::Own(text)
    }
}

impl From<Arc<str>> for Reason {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

/// The answer of one authorizer, or of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// Why: of the one that decided, else of all that had something to say, one per line.
    pub reason: Reason,
    /// What failed on the way. With a decision other than allow the request ends in a 500.
    pub errors: Vec<String>,
}

impl Verdict {
    pub(super) fn new(decision: Decision, reason: impl Into<Reason>) -> Self {
        Self { decision, reason: reason.into(), errors: Vec::new() }
    }

    pub(super) fn allow() -> Self {
        Self::new(Decision::Allow, "")
    }

    pub(super) fn no_opinion(reason: impl Into<Reason>) -> Self {
        Self::new(Decision::NoOpinion, reason)
    }

    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow
    }
}
