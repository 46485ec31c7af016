//! Revisions of daemon sets and stateful sets: data that only their controllers understand.

use super::super::{Strategy, path::Path};
use crate::object::ObjectExt;

pub(super) const STRATEGY: Strategy = Strategy {
    validate: |revision, complaints| {
        if revision.get("data").is_none_or(|data| data.is_null()) {
            complaints.required(Path::root("data"), "data is mandatory");
        }
        complaints.non_negative(Path::root("revision"), revision.i64_at("/revision"));
    },
    validate_update: |new, old, _, complaints| {
        complaints.immutable(Path::root("data"), new, old, "/data");
    },
    ..Strategy::of("apps", "ControllerRevision")
};
