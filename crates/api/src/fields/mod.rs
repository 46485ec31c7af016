//! Who owns which field: sets of field paths, and objects read by the schemas that say where one field
//! ends and the next begins.
//!
//! ```text
//! schema    what a list or a map of a kind is: one value, a set, or entries told apart by keys
//! element   one step of a path: `.spec`, `[name="a"]`, `[="x"]`, `[0]`
//! set       paths as a trie, with the algebra on it; codec writes it as `fieldsV1`
//! compare   what one object has and another has not
//! merge     an applied configuration over an object
//! atomics   what of a configuration would replace all that is there
//! remove    an object without some of its fields
//! validate  whether an object is what its schema says, in upstream's words
//! entries   `metadata.managedFields`, read and written
//! update    what a write does to the entries; apply: what an apply does to object and entries
//! ```
//!
//! All of it is pure: schemas of versions and conversions between them come through [`Versions`].

mod apply;
mod atomics;
mod capped;
mod codec;
mod compare;
mod conflict;
mod element;
mod entries;
mod last_applied;
mod merge;
mod owned;
mod reconcile;
mod remove;
mod reset;
mod scale;
mod schema;
mod set;
mod structural;
mod update;
mod validate;

pub use apply::{ApplyError, Applying, apply};
pub use atomics::atomics;
pub use codec::FieldsError;
pub use compare::{Comparison, compare, field_set};
pub use conflict::Conflict;
pub use element::{Element, Scalar};
pub use entries::{Entry, Id, Managed, Operation, same_but_times};
pub use merge::merge;
pub use remove::remove;
pub use reset::Reset;
pub use scale::{scale_to_parent, scale_view};
pub use schema::{Field, Key, List, ListType, Map, Ref, Root, Schema, Simple, Type};
pub use set::Set;
pub use update::{Updating, update};
pub use validate::{Violations, validate};

use std::borrow::Cow;

use serde_json::Value;

/// The versions that a kind is served in.
pub trait Versions {
    /// The schema of a version (`apps/v1`); `None` if it is not served.
    fn schema(&self, api_version: &str) -> Option<Root>;
    /// An object in another version; `None` if that is not served.
    fn convert<'v>(&self, object: &'v Value, api_version: &str) -> Option<Cow<'v, Value>>;
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
