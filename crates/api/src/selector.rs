//! Which objects a list, a watch or a controller means.
//!
//! [`LabelSelector`] reads `a=b,c in (d,e),!f` and the `matchLabels`/`matchExpressions` form;
//! [`FieldSelector`] reads `spec.nodeName=n1,status.phase!=Running`. Both complain in upstream's words.

mod field;
mod label;
mod lexer;
mod parser;

pub use field::{FieldRequirement, FieldSelector};
pub use label::{LabelSelector, Operator, Requirement};

/// A selector that cannot be used; the sentence is the message of the 400 that a client gets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

impl From<SelectorError> for crate::status::Status {
    fn from(error: SelectorError) -> Self {
        crate::status::Status::bad_request(error.0)
    }
}
