//! The leases of apiservers that have gone without giving theirs back.

use std::time::Duration;

use api::object::ObjectExt;
use client::{ClientError, DeleteParams, ListParams};
use serde_json::Value;
use world::{Periods, Wall};

use super::identity_lease::{LEASES, NAMESPACE, SELECTOR};
use crate::context::Ctx;

const INTERVAL: Duration = Duration::from_secs(3600);

pub(super) async fn run(ctx: Ctx) -> Result<(), String> {
    let collector = ctx.clone();
    ctx.host.spawn(async move {
        while !collector.lifecycle.is_stopping() {
            if let Err(error) = collect(&collector).await {
                tracing::warn!("Error while listing lease for apiserver: {error}");
            }
            collector.host.recur(INTERVAL).await;
        }
    });
    Ok(())
}

async fn collect(ctx: &Ctx) -> Result<(), ClientError> {
    let of_servers = ListParams { label_selector: Some(SELECTOR.to_owned()), ..ListParams::default() };
    let leases = ctx.rest.list_all(&LEASES, Some(NAMESPACE), &of_servers).await?;
    for lease in leases.items {
        if !is_expired(&lease, ctx.host.clock().wall(), ctx.host.periods()) {
            continue;
        }
        // What was looked at, not what its holder has renewed meanwhile; another server may have been faster.
        let this = DeleteParams {
            resource_version: Some(lease.resource_version().to_owned()),
            ..DeleteParams::uid(lease.uid())
        };
        match ctx.rest.delete(&LEASES, Some(NAMESPACE), lease.name(), &this).await {
            Err(error) if !error.is_not_found() && !error.is_conflict() => {
                tracing::warn!("Error deleting lease {}: {error}", lease.name());
            }
            _ => {}
        }
    }
    Ok(())
}

/// A lease that does not say how long it holds, and since when, is nobody's. How long it holds is a grace of
/// recurring work: it stretches with the work.
fn is_expired(lease: &Value, now: Wall, periods: Periods) -> bool {
    let renewed = lease.str_at("/spec/renewTime").parse::<Wall>().ok();
    let seconds = lease.i64_at("/spec/leaseDurationSeconds").and_then(|s| u64::try_from(s).ok());
    let (Some(renewed), Some(seconds)) = (renewed, seconds) else { return true };
    // Beyond what a clock can show nothing ends.
    renewed.checked_add(periods.of(Duration::from_secs(seconds))).is_ok_and(|end| end < now)
}
