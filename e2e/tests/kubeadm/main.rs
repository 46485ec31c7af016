//! kubeadm's command line on a cluster in the simulated gear: what it changes, and what that means for the
//! cluster one second before and one second after.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod bad_input;
mod certificates;
mod commands;
mod common;
mod configuration;
mod control_planes;
mod decoded;
mod dry_run;
mod historic;
mod openssl;
mod preflight;
mod self_hosting;
mod tokens;
mod transcripts;
mod upgrade;
mod upgrade_history;
