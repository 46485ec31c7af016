//! Highly available control planes: the recipe of 2018 from its own inputs, and kubeadm's own way since. Each with
//! what it is for: one of three is gone, and a client behind a balancer goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod cfssl;
mod common;
mod joining;
mod moving;
mod recipe;
mod stacked;
mod upgrade;
