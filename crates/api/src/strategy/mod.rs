//! What each kind makes of a write: its defaults, what an endpoint may touch, and its rules.
//!
//! | step | function | when |
//! |---|---|---|
//! | fill in what the client left out | [`default`] | after every decode, create or update |
//! | first state of a new object | [`prepare_for_create`] | once its uid is there |
//! | restore what this endpoint may not change | [`prepare_for_update`] | before mutating admission is over |
//! | rules, in upstream's words | [`validate_create`], [`validate_update`] | last before the store |
//! | what is allowed and yet worth a word | [`warnings()`] | with the answer |
//!
//! A kind with several versions has its rules in the one that is stored: others are converted on the
//! way in and out. Metadata and its generation are [`crate::meta`]'s. One table holds a row per kind; a
//! kind without a row keeps its status apart from the rest and has no further rules. Everything is total:
//! whatever JSON comes, nothing panics, and what has the wrong type counts as absent.

pub mod certificates;
pub mod definitions;
pub mod pods;

mod access;
mod admission;
mod autoscaling;
mod check;
mod config;
mod coordination;
mod devices;
mod endpoints;
mod events;
mod extension;
mod fill;
mod flowcontrol;
mod limits;
mod namespaces;
mod networking;
mod nodes;
mod path;
mod policy;
mod runtime;
mod secrets;
mod services;
mod storage;
mod warnings;
mod workloads;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    kinds::{self, Kind},
    object::ObjectExt,
    status::FieldError,
};
use check::Complaints;
pub use warnings::warnings;

/// One row: how a kind differs from the rest.
struct Strategy {
    group: &'static str,
    kind: &'static str,
    default: fn(&mut Value),
    create: fn(&Kind, &mut Value, Timestamp),
    update: fn(&Kind, &mut Value, &Value, &str, Timestamp),
    /// Rules for the object alone, on creates and on updates of the main endpoint.
    validate: fn(&Value, &mut Complaints),
    /// Rules for the change, on every endpoint.
    validate_update: fn(&Value, &Value, &str, &mut Complaints),
}

impl Strategy {
    /// The row of a kind about which nothing is special.
    const fn of(group: &'static str, kind: &'static str) -> Strategy {
        Strategy {
            group,
            kind,
            default: |_| {},
            create: clear_status,
            update: restore,
            validate: |_, _| {},
            validate_update: |_, _, _, _| {},
        }
    }
}

static STRATEGIES: &[&[Strategy]] = &[
    pods::STRATEGIES,
    workloads::STRATEGIES,
    nodes::STRATEGIES,
    namespaces::STRATEGIES,
    services::STRATEGIES,
    endpoints::STRATEGIES,
    networking::STRATEGIES,
    config::STRATEGIES,
    secrets::STRATEGIES,
    limits::STRATEGIES,
    events::STRATEGIES,
    coordination::STRATEGIES,
    certificates::STRATEGIES,
    access::STRATEGIES,
    definitions::STRATEGIES,
    extension::STRATEGIES,
    admission::STRATEGIES,
    flowcontrol::STRATEGIES,
    storage::STRATEGIES,
    policy::STRATEGIES,
    autoscaling::STRATEGIES,
    runtime::STRATEGIES,
    devices::STRATEGIES,
];

static GENERIC: Strategy = Strategy::of("", "");

fn strategy(kind: &Kind) -> &'static Strategy {
    STRATEGIES
        .iter()
        .copied()
        .flatten()
        .find(|s| s.kind == kind.kind && s.group == kind.group)
        .unwrap_or(&GENERIC)
}

/// Fills in the fields that a client left out, and brings what it wrote into the one form that is
/// stored: nulls go, amounts become canonical, deprecated spellings become current ones.
pub fn default(kind: &Kind, object: &mut Value) {
    // What a definition's schema says is data, nulls included.
    if !matches!(kind.kind, "CustomResourceDefinition" | "ControllerRevision") {
        drop_nulls(object);
    }
    match stored_row(kind) {
        Some(stored) => through(kind, stored, object, |object| (strategy(stored).default)(object)),
        None => (strategy(kind).default)(object),
    }
}

/// The row in whose version the rules of a kind are written, if it is not the kind's own. The two
/// kinds of events have rules of their own.
fn stored_row(kind: &Kind) -> Option<&'static Kind> {
    if kind.is_storage_version() || kind.stored.0 != kind.group {
        return None;
    }
    kinds::by_kind(kind.stored.0, kind.stored.1, kind.kind)
}

/// Changes an object in the form that is stored.
fn through(kind: &Kind, stored: &Kind, object: &mut Value, change: impl FnOnce(&mut Value)) {
    kinds::convert(kind, stored, object);
    change(object);
    kinds::convert(stored, kind, object);
}

fn as_stored(kind: &Kind, stored: &Kind, object: &Value) -> Value {
    let mut object = object.clone();
    kinds::convert(kind, stored, &mut object);
    object
}

/// Brings a new object into its first state. Its uid and name are there already.
pub fn prepare_for_create(kind: &Kind, object: &mut Value, now: Timestamp) {
    match stored_row(kind) {
        Some(stored) => {
            through(kind, stored, object, |object| (strategy(stored).create)(stored, object, now))
        }
        None => (strategy(kind).create)(kind, object, now),
    }
}

/// Restores from the stored object what the endpoint may not change: `""` is the main endpoint,
/// others are named as in the path (`status`, `approval`, `finalize`, …).
pub fn prepare_for_update(kind: &Kind, new: &mut Value, old: &Value, subresource: &str, now: Timestamp) {
    match stored_row(kind) {
        Some(stored) => {
            let old = as_stored(kind, stored, old);
            through(kind, stored, new, |new| (strategy(stored).update)(stored, new, &old, subresource, now));
        }
        None => (strategy(kind).update)(kind, new, old, subresource, now),
    }
}

/// What is wrong with a new object, besides its metadata.
pub fn validate_create(kind: &Kind, object: &Value) -> Vec<FieldError> {
    if let Some(stored) = stored_row(kind) {
        return validate_create(stored, &as_stored(kind, stored, object));
    }
    let mut complaints = Complaints::default();
    (strategy(kind).validate)(object, &mut complaints);
    complaints.into()
}

/// What is wrong with a changed object, besides its metadata.
pub fn validate_update(kind: &Kind, new: &Value, old: &Value, subresource: &str) -> Vec<FieldError> {
    if let Some(stored) = stored_row(kind) {
        let (new, old) = (as_stored(kind, stored, new), as_stored(kind, stored, old));
        return validate_update(stored, &new, &old, subresource);
    }
    let strategy = strategy(kind);
    let mut complaints = Complaints::default();
    if !matches!(subresource, "status" | "approval" | "finalize" | "binding" | "eviction") {
        (strategy.validate)(new, &mut complaints);
    }
    (strategy.validate_update)(new, old, subresource, &mut complaints);
    complaints.into()
}

/// A new object has no status yet.
fn clear_status(kind: &Kind, object: &mut Value, _now: Timestamp) {
    if kind.has_status() {
        object.set_at("/status", json!({}));
    }
}

/// `/status` changes the status and metadata, every other endpoint everything but the status.
fn restore(kind: &Kind, new: &mut Value, old: &Value, subresource: &str, _now: Timestamp) {
    if subresource == "status" {
        restore_all_but(new, old, &["status"]);
    } else if kind.has_status() {
        restore_field(new, old, "status");
    }
}

/// Restores one top-level field.
fn restore_field(new: &mut Value, old: &Value, field: &str) {
    let Some(map) = new.as_object_mut() else { return };
    match old.get(field) {
        Some(value) => {
            map.insert(field.into(), value.clone());
        }
        None => {
            map.shift_remove(field);
        }
    }
}

/// Restores all top-level fields but metadata and those that are named.
fn restore_all_but(new: &mut Value, old: &Value, fields: &[&str]) {
    let none = Map::new();
    let kept = |key: &str| fields.contains(&key) || matches!(key, "apiVersion" | "kind" | "metadata");
    let Some(map) = new.as_object_mut() else { return };
    let old = old.as_object().unwrap_or(&none);
    map.retain(|key, _| kept(key) || old.contains_key(key));
    for (key, value) in old.iter().filter(|(key, _)| !kept(key)) {
        map.insert(key.clone(), value.clone());
    }
}

/// Typed clients write null where they mean nothing.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
