//! API services: one object for each group and version that is served here, and those that others add.
//!
//! ```text
//! built-in groups, served definitions ─▶ registration ─▶ APIService ─▶ availability ─▶ its condition
//!                                                            │             │
//!                      delegate: requests for other servers ─┴─ backends ──┤
//!                      remotes: what other servers say that they serve ────┘
//! ```
//! All of it reads and writes through the loopback client.

mod availability;
mod backends;
mod delegate;
mod registration;
mod remotes;

use std::sync::Arc;

use world::Looks;

use crate::{context::Ctx, informers::Informers, options::Options};

pub(crate) use backends::Backends;
pub use delegate::Delegation;
pub(crate) use registration::run as register;
pub(crate) use remotes::{Remote, Remotes};

/// Of groups that custom resources bring.
pub(crate) const CUSTOM_GROUP_PRIORITY: i64 = 1000;
/// Of their versions.
pub(crate) const CUSTOM_VERSION_PRIORITY: i64 = 100;

/// Headers of one connection only.
const HOP: &[&str] = &["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// The ways to other servers, and what they said.
#[derive(Clone, Debug)]
pub(crate) struct Aggregator {
    pub backends: Arc<Backends>,
    pub remotes: Arc<Remotes>,
}

impl Aggregator {
    pub(crate) fn new(host: &world::Host, options: &Options, informers: Arc<Informers>) -> Self {
        Self { backends: Arc::new(Backends::new(host, options, informers)), remotes: Arc::default() }
    }
}

/// Starts the controllers.
pub(crate) fn start(ctx: &Ctx, aggregator: &Aggregator) {
    availability::start(ctx, &aggregator.backends);
    remotes::start(ctx, &aggregator.backends, &aggregator.remotes);
    if aggregator.backends.has_identity() {
        let backends = aggregator.backends.clone();
        let mut looks = Looks::new(&ctx.host, backends::RELOAD_PERIOD);
        ctx.host.spawn(async move {
            loop {
                backends.reload();
                looks.next().await;
            }
        });
    }
}

/// Whether an API service sends its requests to another server.
fn is_remote(service: &serde_json::Value) -> bool {
    service.pointer("/spec/service").is_some_and(serde_json::Value::is_object)
}
