//! Custom resources: from a definition to a served kind and back.
//!
//! ```text
//! definition ─▶ names: NamesAccepted ─▶ Established ─▶ catalog, cache: served
//!      └─ deleted ─▶ Terminating ─▶ instances gone ─▶ finalizer gone ─▶ served no more
//! ```
//! The controller sees definitions through the loopback informer and writes conditions through the
//! loopback client. When that connection is dead, a new definition is accepted, its conditions stay
//! empty, and it is never served.

mod controller;
pub(crate) mod convert;
mod custom;
mod definition;
mod finalize;
mod names;
mod schema;

use api::object::ObjectExt;
use serde_json::Value;

pub(crate) use controller::run as follow;
pub use convert::Webhook;
pub(crate) use definition::validate as validate_definition;
pub(crate) use schema::is_uuid;

/// Holds a definition until its instances are deleted.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Holds a definition that is deleted, and says so.
pub(crate) fn begin_end(definition: &mut Value, now: world::Wall) {
    definition.add_finalizer(FINALIZER);
    let why = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    set_condition(definition, "Terminating", "True", "InstanceDeletionPending", why, now);
}

/// Whether a condition of a definition is true.
pub(crate) fn is_true(definition: &Value, condition: &str) -> bool {
    self::condition(definition, condition).is_some_and(|c| c.str_at("/status") == "True")
}

fn condition<'d>(definition: &'d Value, kind: &str) -> Option<&'d Value> {
    definition.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == kind)
}

fn drop_condition(definition: &mut Value, kind: &str) {
    if condition(definition, kind).is_some() {
        let kept = definition.list_at("/status/conditions").iter().filter(|c| c.str_at("/type") != kind);
        let kept: Vec<Value> = kept.cloned().collect();
        definition.set_at("/status/conditions", kept);
    }
}

/// Puts a condition into a definition; the time is that of the last change of its status.
fn set_condition(
    definition: &mut Value,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: world::Wall,
) {
    let since = match condition(definition, kind) {
        Some(held) if held.str_at("/status") == status => held.str_at("/lastTransitionTime").to_owned(),
        _ => world::rfc3339(now),
    };
    let next = serde_json::json!({
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    });
    let mut conditions = definition.list_at("/status/conditions").to_vec();
    match conditions.iter_mut().find(|c| c.str_at("/type") == kind) {
        Some(held) => *held = next,
        None => conditions.push(next),
    }
    definition.set_at("/status/conditions", conditions);
}
