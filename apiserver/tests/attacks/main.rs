//! Nobody gets in: each attack beside its twin that is let in, so that a refusal for the wrong reason fails.
//!
//! All of it over real TLS and real HTTP, in the simulated gear.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod gear;

mod certificates;
mod nodes;
mod requests;
mod roles;
mod timing;
mod tokens;
