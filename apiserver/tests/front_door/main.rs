//! The server as its clients see it: real TLS, real HTTP, on the simulated gear.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod extension;
mod plane;
mod staged;
mod trust;

mod aggregated;
mod aggregation;
mod apply;
mod audit;
mod authorization;
mod boot;
mod custom;
mod discovery;
mod endpoints;
mod identities;
mod kinds;
mod life;
mod limits;
mod loopback;
mod metrics;
mod objects;
mod openapi;
mod policies;
mod races;
mod self_made;
mod serving;
mod several;
mod streams;
mod surface;
mod upkeep;
mod versions;
mod watches;
mod workloads;
