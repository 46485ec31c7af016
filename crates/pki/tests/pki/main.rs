//! What this crate promises, subject by subject; one binary, so that it links once.
#![allow(clippy::unwrap_used, reason = "the allowance for tests does not reach their helpers")]

mod certificates;
mod gear;
mod handshakes;
mod jwt;
mod keys;
mod kubeconfigs;
mod loopback;
mod selection;
mod tokens;
mod verification;
mod words;
