//! How authors of controllers test them with chronoplane, one file each. Read [`requeue`] first.
//!
//! * [`how_to`]: what docs/how-to-test.md shows, feature by feature
//! * [`requeue`]: a kube-rs Controller that comes back after an hour
//! * [`certificates`]: an operator that issues certificates for 90 days and must renew them
//! * [`leader_election`]: two candidates whose clocks disagree
//! * [`webhook`]: an admission webhook, and the day on which its certificate ends
//! * [`conversion`]: a definition that moves from v1 to v2
//! * [`chaos`]: a controller whose requests, network and API server fail
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]
#![allow(clippy::disallowed_methods, reason = "written as by somebody who has tokio and no house rules")]

mod certificates;
mod chaos;
mod conversion;
mod how_to;
mod leader_election;
mod requeue;
mod webhook;
