//! Exec, attach and port-forward through the apiserver, with clients of both protocols.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod clients;

mod copy;
mod debug;
mod exec;
mod faults;
mod forward;
mod pages;
