//! The server as its clients see it: real TLS, real HTTP, on the simulated gear.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod plane;

mod aggregation;
mod apply;
mod boot;
mod custom;
mod discovery;
mod kinds;
mod life;
mod loopback;
mod objects;
mod openapi;
mod versions;
mod watches;
mod workloads;
