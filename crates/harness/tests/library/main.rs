//! What the library promises to authors of controllers, in both gears where both have it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod faults;
mod identities;
mod manifests;
mod programs;
mod waiting;
mod worlds;
