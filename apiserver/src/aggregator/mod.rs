//! API services: one object for each group and version that is served here, and those that others add.
//!
//! ```text
//! built-in groups, served definitions ─▶ registration ─▶ APIService ─▶ availability ─▶ its condition
//!                                                            └─▶ delegate: requests for other servers
//! ```
//! All of it reads and writes through the loopback client.

mod availability;
mod delegate;
mod registration;

use crate::{context::Ctx, hooks};

pub use delegate::Delegation;

/// Of groups that custom resources bring.
pub(crate) const CUSTOM_GROUP_PRIORITY: i64 = 1000;
/// Of their versions.
pub(crate) const CUSTOM_VERSION_PRIORITY: i64 = 100;

/// Upstream's hooks around API services whose work is done as soon as the informers have synced.
const AFTER_SYNC: [&str; 6] = [
    "start-kube-aggregator-informers",
    "apiservice-status-local-available-controller",
    "apiservice-status-remote-available-controller",
    "apiservice-registration-controller",
    "apiservice-discovery-controller",
    "apiservice-openapi-controller",
];

/// Starts the controllers and their hooks.
pub(crate) fn start(ctx: &Ctx) {
    for name in AFTER_SYNC {
        hooks::run(ctx, name, |ctx| async move {
            ctx.informers.api_services.synced().await;
            Ok(())
        });
    }
    // Its documents are made when they are asked for.
    hooks::run(ctx, "apiservice-openapiv3-controller", |_| async { Ok(()) });
    hooks::run(ctx, hooks::AUTOREGISTRATION, registration::run);
    availability::start(ctx);
}

/// Whether an API service sends its requests to another server.
fn is_remote(service: &serde_json::Value) -> bool {
    service.pointer("/spec/service").is_some_and(serde_json::Value::is_object)
}
