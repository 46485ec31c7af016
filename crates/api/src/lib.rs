//! What a Kubernetes API object is, as pure functions: no I/O, no clock, no chance.
//!
//! An object is a `serde_json::Value`. Everything here reads or rewrites such values, or describes
//! them; whoever needs the time passes `now`.
//!
//! | module | answers |
//! |---|---|
//! | [`kinds`] | which kinds there are, how they are spelled, what may be done with them |
//! | [`object`] | reading and writing the fields that all objects share |
//! | [`meta`] | what metadata must look like, and what a write may change in it |
//! | [`names`] | what a name, label or annotation key may be |
//! | [`selector`] | which objects a label or field selector picks |
//! | [`quantity`] | amounts such as `500m` or `1Gi`, exactly |
//! | [`quota`] | what an object counts for in a quota |
//! | [`duration`] | durations such as `1h30m` in Go's notation |
//! | [`strategy`] | per kind: defaults, what a write may touch, validation |
//! | [`fields`] | who owns which field: managedFields, server-side apply |
//! | [`patch`] | JSON patch, merge patch, strategic merge patch |
//! | [`table`] | the columns that `kubectl get` prints |
//! | [`status`] | every refusal, in upstream's words |
//! | [`profile`] | what differs between Kubernetes 1.8 and 1.36 |

// A refusal is a whole answer and rare; whoever carries one through hot paths boxes it there.
#![allow(clippy::result_large_err)]

pub mod duration;
pub mod fields;
pub mod kinds;
pub mod meta;
pub mod names;
pub mod object;
pub mod patch;
pub mod profile;
pub mod quantity;
pub mod quota;
pub mod selector;
pub mod status;
pub mod strategy;
pub mod table;
