//! A cluster whose network, disks and power fail, and the promises that hold all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod common;

mod network;
mod power;
mod promises;
