//! kube-apiserver: one request goes one way, through typed stages, into the store's history.
//!
//! ```text
//!  wire ─▶ pipeline ─▶ authn ─▶ authz ─▶ admission ─▶ registry ─▶ store
//!                                            ▲            │          │
//!             informers ── loopback client ──┘         respond ◀─ watch_cache
//! ```
//!
//! * [`Server`] is the whole thing: [`Server::start`], [`Server::ready`], [`Server::shutdown`].
//! * [`pipeline`] holds the stages; each takes the type that the one before it made.
//! * [`catalog`] knows which kinds are served, built in and custom.
//! * [`managed_fields`] enters every write into who owns what.
//! * [`registry`] has the verbs; [`watch_cache`] the reads; [`respond`] the only encoder.
//! * [`loopback`] is the server's client of itself: all of [`informers`], [`hooks`] and
//!   [`allocate`] goes through the front door, so that its death is felt where users felt it.

#![allow(clippy::result_large_err, reason = "a Status is the error of every stage, and refusals are rare")]

pub mod options;
pub mod server;

pub mod context;
pub mod pipeline;

pub mod identity;

pub mod authn;
pub mod authz;

pub mod policy;

pub mod admission;

pub mod catalog;
pub mod managed_fields;
pub mod registry;
pub mod respond;
pub mod watch_cache;

pub mod aggregator;
pub mod cel;
pub mod crd;
pub mod discovery;
pub mod openapi;
pub mod version;

pub mod allocate;
pub mod audit;
mod callout;
pub mod flow;
pub mod health;
pub mod hooks;
pub mod informers;
pub mod kubelets;
pub mod logs;
pub mod loopback;
pub mod metrics;
pub mod runtime_config;
pub mod webhook_client;
pub mod zpages;

pub use options::{EndpointReconciler, Options, UsageError};
pub use server::{Server, StartError, run, run_until};
