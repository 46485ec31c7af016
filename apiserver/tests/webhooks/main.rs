//! Admission webhooks, played by a host of the simulated world: a table of decisions, and time at the edge.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../front_door/plane.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod plane;
#[path = "../front_door/trust.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod trust;

mod hooks;

mod decisions;
mod edges;
mod ways;
