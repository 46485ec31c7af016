//! What a deletion does to metadata when the object stays for a while.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{FOREGROUND, ORPHAN, write::rfc3339};
use crate::{kinds::Propagation, object::ObjectExt};

/// Which finalizer a deletion leaves behind. `policy` is the caller's `propagationPolicy`, empty if it
/// gave none: then a finalizer that is there decides, and after it the kind.
pub fn gc_finalizer(object: &Value, policy: &str, default: Propagation) -> Option<&'static str> {
    match (default, policy) {
        (Propagation::Unsupported, _) | (_, "Background") => None,
        (_, "Orphan") => Some(ORPHAN),
        (_, "Foreground") => Some(FOREGROUND),
        _ if object.has_finalizer(ORPHAN) => Some(ORPHAN),
        _ if object.has_finalizer(FOREGROUND) => Some(FOREGROUND),
        (Propagation::Orphan, _) => Some(ORPHAN),
        (Propagation::Background, _) => None,
    }
}

/// Leaves exactly `wanted` of the garbage collector's two finalizers; says whether that changed
/// anything.
pub fn set_gc_finalizers(object: &mut Value, wanted: Option<&str>) -> bool {
    let mut changed = false;
    for finalizer in [ORPHAN, FOREGROUND] {
        if wanted == Some(finalizer) {
            changed |= !object.has_finalizer(finalizer);
            object.add_finalizer(finalizer);
        } else {
            changed |= object.remove_finalizer(finalizer);
        }
    }
    changed
}

/// Begins deletion: the time when grace ends, the grace, and one more generation. A later deletion
/// may only shorten the grace, which goes on counting from the first, and is no further generation.
pub fn mark_deleted(object: &mut Value, now: Timestamp, grace_seconds: i64) {
    let grace = grace_seconds.max(0);
    let start = match (object.deletion_timestamp(), object.deletion_grace_period_seconds()) {
        (Some(_), None) => return,
        (Some(_), Some(left)) if left <= grace => return,
        (Some(end), Some(left)) => end.checked_sub(SignedDuration::from_secs(left)).unwrap_or(now),
        (None, _) => {
            if object.generation() > 0 {
                object.set_generation(object.generation().saturating_add(1));
            }
            now
        }
    };
    let end = start.checked_add(SignedDuration::from_secs(grace)).unwrap_or(Timestamp::MAX);
    object.set_at("/metadata/deletionTimestamp", rfc3339(end));
    object.set_at("/metadata/deletionGracePeriodSeconds", grace);
}

/// Whether an object in deletion has used up its grace, so that it goes with its last finalizer.
pub fn only_waits_for_finalizers(object: &Value) -> bool {
    object.is_terminating() && object.deletion_grace_period_seconds().unwrap_or(0) == 0
}
