//! Why a patch was refused, and which [`Status`] that is.

use crate::status::Status;

/// Why a patch was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The document is no patch of its kind.
    #[error("error decoding patch: {why}")]
    Decode {
        /// What does not fit.
        why: String,
    },
    /// A merge patch that is no JSON object.
    #[error("Invalid JSON Patch")]
    NotAnObject,
    /// More operations than a JSON patch may have.
    #[error("The allowed maximum operations in a JSON patch is {limit}, got {got}")]
    TooManyOperations {
        /// How many there are.
        got: usize,
        /// How many there may be.
        limit: usize,
    },
    /// An operation of a JSON patch could not be carried out: a `test` that failed, a path that does
    /// not exist.
    #[error("operation {index} ({path}): {why}")]
    Operation {
        /// Which one.
        index: usize,
        /// Where.
        path: String,
        /// Why.
        why: String,
    },
    /// The copies of a JSON patch add up to more than an object may have.
    #[error("the copies of the patch add up to {got} bytes, more than {limit}")]
    CopyTooLarge {
        /// Size of all copies so far.
        got: usize,
        /// How much it may be.
        limit: usize,
    },
    /// The patched object is nested deeper than anybody could read it back.
    #[error("the patched object would be nested deeper than {limit} levels")]
    TooDeep {
        /// How deep it may be.
        limit: usize,
    },
    /// `$deleteFromPrimitiveList` is malformed.
    #[error("invalid patch format of primitive list")]
    PrimitiveList,
    /// `$retainKeys` is malformed, or lacks a key of the patch.
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    /// `$setElementOrder` is malformed.
    #[error("invalid patch format of setElementOrder list")]
    SetElementOrder,
    /// Lists of lists cannot be merged.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// A `$patch` directive that does not exist, or not here.
    #[error("unknown patch type: {directive} in map: {map}")]
    UnknownDirective {
        /// What it says.
        directive: String,
        /// Where it stands.
        map: String,
    },
    /// `$patch: merge` in an element of a list.
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirective,
    /// An element of a list that is merged by key lacks the key.
    #[error("map: {map} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The element.
        map: String,
        /// The key.
        key: String,
    },
    /// An element of a list that is merged by key is no map.
    #[error("expected a {expected}, but received a {received}")]
    WrongType {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        received: &'static str,
    },
    /// The elements of the lists have different types.
    #[error("list element types are not identical: {lists}")]
    MixedTypes {
        /// The lists.
        lists: String,
    },
    /// The patch's list and its `$setElementOrder` contradict each other.
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    OrderMismatch {
        /// The list of the patch.
        patch: String,
        /// The wanted order.
        order: String,
    },
}

impl From<PatchError> for Status {
    fn from(error: PatchError) -> Status {
        match error {
            PatchError::Decode { .. }
            | PatchError::NotAnObject
            | PatchError::PrimitiveList
            | PatchError::RetainKeys
            | PatchError::SetElementOrder => Status::bad_request(error.to_string()),
            PatchError::TooManyOperations { .. } => Status::too_large(error),
            // Upstream keeps the reason of these to itself.
            PatchError::Operation { .. }
            | PatchError::CopyTooLarge { .. }
            | PatchError::TooDeep { .. }
            | PatchError::ListOfLists => Status::unprocessable(),
            // Not classified upstream either; clients know the text.
            PatchError::UnknownDirective { .. }
            | PatchError::MergeDirective
            | PatchError::NoMergeKey { .. }
            | PatchError::WrongType { .. }
            | PatchError::MixedTypes { .. }
            | PatchError::OrderMismatch { .. } => Status::unclassified(error.to_string()),
        }
    }
}
