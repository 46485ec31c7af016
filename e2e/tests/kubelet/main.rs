//! A kubelet's certificates and its node, in a cluster that kubeadm made.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod absence;
mod common;

mod bootstrap;
mod ending;
mod node;
mod resize;
mod serving;
mod volumes;
