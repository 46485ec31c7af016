//! Every refusal that a client can see: `metav1.Status`, with upstream's codes, reasons and words.
//!
//! A [`Status`] is a failure. It is the error type of the server, and what a client makes of a
//! response that is not a success. The one success that is a Status, the answer to a deletion, is
//! built by [`deleted`].

mod field;
mod refusals;
mod response;
mod wire;

use std::fmt;

use crate::kinds::Kind;
pub(crate) use field::aggregate;
pub use field::{FieldError, FieldErrorKind, quoted};
pub use wire::deleted;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// HTTP code.
    pub code: u16,
    /// Machine-readable reason, empty for errors that upstream does not classify.
    pub reason: String,
    /// The sentence for people.
    pub message: String,
    /// What it is about.
    pub details: Option<Details>,
    /// `metadata.continue`: how to go on listing after an expired continue token, otherwise empty.
    pub continue_token: String,
}

/// What a [`Status`] is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// Name of the object.
    pub name: String,
    /// API group.
    pub group: String,
    /// Plural resource in most refusals; the kind in `Invalid`.
    pub kind: String,
    /// UID of the object.
    pub uid: String,
    /// Single reasons, one per field.
    pub causes: Vec<Cause>,
    /// When to try again; 0 is not written.
    pub retry_after_seconds: u32,
}

/// One reason within [`Details`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cause {
    /// Machine-readable, such as `FieldValueInvalid`.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Path of the field, such as `spec.containers[0].name`.
    pub field: String,
}

/// A resource with its group: `deployments.apps`, `pods`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupResource<'a> {
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Plural name.
    pub resource: &'a str,
}

/// A kind with its group: `Deployment.apps`, `Pod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupKind<'a> {
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Kind.
    pub kind: &'a str,
}

impl<'a> From<&'a str> for GroupResource<'a> {
    fn from(qualified: &'a str) -> Self {
        let (resource, group) = qualified.split_once('.').unwrap_or((qualified, ""));
        GroupResource { group, resource }
    }
}

impl<'a> From<&'a String> for GroupResource<'a> {
    fn from(qualified: &'a String) -> Self {
        qualified.as_str().into()
    }
}

impl From<&Kind> for GroupResource<'static> {
    fn from(kind: &Kind) -> Self {
        GroupResource { group: kind.group, resource: kind.plural }
    }
}

impl<'a> From<&'a str> for GroupKind<'a> {
    fn from(qualified: &'a str) -> Self {
        let (kind, group) = qualified.split_once('.').unwrap_or((qualified, ""));
        GroupKind { group, kind }
    }
}

impl<'a> From<&'a String> for GroupKind<'a> {
    fn from(qualified: &'a String) -> Self {
        qualified.as_str().into()
    }
}

impl From<&Kind> for GroupKind<'static> {
    fn from(kind: &Kind) -> Self {
        GroupKind { group: kind.group, kind: kind.kind }
    }
}

impl fmt::Display for GroupResource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        dotted(f, self.resource, self.group)
    }
}

impl fmt::Display for GroupKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        dotted(f, self.kind, self.group)
    }
}

fn dotted(f: &mut fmt::Formatter<'_>, name: &str, group: &str) -> fmt::Result {
    if group.is_empty() { f.write_str(name) } else { write!(f, "{name}.{group}") }
}

/// What the server says to an update that was made from an older version of the object.
pub const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Cause of a 403: the namespace is on its way out.
pub const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";
pub(crate) const TOO_LARGE_VERSION: &str = "ResourceVersionTooLarge";

impl Status {
    /// Says when to try again; the response carries it as `Retry-After` too.
    pub fn retry_after(mut self, seconds: u32) -> Status {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// Adds a cause.
    pub fn push_cause(&mut self, reason: &str, message: &str, field: &str) {
        let cause = Cause { reason: reason.into(), message: message.into(), field: field.into() };
        self.details.get_or_insert_default().causes.push(cause);
    }

    /// After how many seconds to try again.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0)
    }

    /// Whether a cause with this reason is among the details.
    pub fn has_cause(&self, reason: &str) -> bool {
        self.details.as_ref().is_some_and(|d| d.causes.iter().any(|c| c.reason == reason))
    }

    /// The object did not exist.
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound" || (self.reason.is_empty() && self.code == 404)
    }
    /// The name was taken.
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }
    /// The write contradicted what is stored.
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict" || (self.reason.is_empty() && self.code == 409)
    }
    /// The wanted versions are gone; list again.
    pub fn is_expired(&self) -> bool {
        self.reason == "Expired" || self.reason == "Gone" || (self.reason.is_empty() && self.code == 410)
    }
    /// The object broke rules.
    pub fn is_invalid(&self) -> bool {
        self.reason == "Invalid" || (self.reason.is_empty() && self.code == 422)
    }
    /// The caller may not do this.
    pub fn is_forbidden(&self) -> bool {
        self.reason == "Forbidden" || (self.reason.is_empty() && self.code == 403)
    }
    /// The caller is not known.
    pub fn is_unauthorized(&self) -> bool {
        self.reason == "Unauthorized" || (self.reason.is_empty() && self.code == 401)
    }
    /// The server gave up waiting (504).
    pub fn is_timeout(&self) -> bool {
        self.reason == "Timeout" || (self.reason.is_empty() && self.code == 504)
    }
    /// The server asked for another attempt.
    pub fn is_server_timeout(&self) -> bool {
        self.reason == "ServerTimeout"
    }
    /// The caller was told to slow down.
    pub fn is_too_many_requests(&self) -> bool {
        self.reason == "TooManyRequests" || self.code == 429
    }
    /// An internal error.
    pub fn is_internal(&self) -> bool {
        self.reason == "InternalError"
    }
    /// The namespace is being deleted, hence the refusal of a creation.
    pub fn is_namespace_terminating(&self) -> bool {
        self.has_cause(NAMESPACE_TERMINATING)
    }
    /// The server has not reached the wanted version.
    pub fn is_version_too_large(&self) -> bool {
        self.is_timeout() && self.has_cause(TOO_LARGE_VERSION)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests;
