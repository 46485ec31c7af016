//! The client against a small scripted API server on the simulated network.
//!
//! One binary, so that the dependencies are linked once.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test that called it")]

mod fake;

mod chaos;
mod election;
mod informer;
mod kube_rs;
mod queue;
mod recorder;
mod rest;
mod tls;
mod tokens;
mod watch;
