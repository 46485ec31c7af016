//! Patches: how a client changes part of an object, in the three forms that `PATCH` takes.
//!
//! | content type | function | lists |
//! |---|---|---|
//! | `application/json-patch+json` | [`json_patch()`] | by index |
//! | `application/merge-patch+json` | [`merge_patch`] | replaced |
//! | `application/strategic-merge-patch+json` | [`strategic_merge`] | merged by key where [`facts`] say so |
//!
//! All of them take the current object and return the patched one; neither is changed in place, so a
//! patch that fails half-way leaves nothing behind, and one that lost a race can be applied again.

pub mod facts;

mod error;
mod json;
mod list;
mod merge;
mod strategic;

pub use error::PatchError;
pub use json::{MAX_OPERATIONS, json_patch, tested_json_patch};
pub(crate) use list::go_value;
pub use merge::merge_patch;
pub use strategic::strategic_merge;

use serde_json::Value;

/// Deepest object that a patch may make. Readers of JSON refuse 128 levels, and so would everybody
/// who reads the object back from the store.
const MAX_DEPTH: usize = 100;

fn bounded(object: Value) -> Result<Value, PatchError> {
    if deeper_than(&object, MAX_DEPTH) { Err(PatchError::TooDeep { limit: MAX_DEPTH }) } else { Ok(object) }
}

fn deeper_than(value: &Value, limit: usize) -> bool {
    let Some(rest) = limit.checked_sub(1) else { return true };
    match value {
        Value::Object(map) => map.values().any(|value| deeper_than(value, rest)),
        Value::Array(list) => list.iter().any(|value| deeper_than(value, rest)),
        _ => false,
    }
}
