//! The API over the wire: cases of the conformance suite and whom they show deciding, histories by chance, slow
//! watchers, and kube-rs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod conformance;
mod decisions;
mod histories;
mod kube_rs;
mod plane;
mod slow_watchers;
