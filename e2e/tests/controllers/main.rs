//! What the loops of kube-controller-manager and the scheduler do for somebody who only writes
//! objects, in the simulated gear.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod budgets;
mod common;
mod daemons;
mod jobs;
mod nodes;
mod quotas;
mod restarts;
mod roles;
mod rollout;
mod scheduling;
mod services;
mod stateful;
mod tokens;
mod volumes;
