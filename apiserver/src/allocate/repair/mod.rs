//! `start-service-ip-repair-controllers`: every three minutes what services hold is compared with what is given out.
//!
//! A crash between an allocation and the write of its service leaks an address or a port; a restore, or a hand in
//! the store, takes one away that is in use.

mod bitmaps;
mod objects;

use std::{sync::Arc, time::Duration};

use client::{ClientError, ListParams, Resource, recorder::Recorder};
use serde_json::Value;

use super::Shared;
use crate::{context::Ctx, watch_cache::store_status};
use bitmaps::{Addresses, Leaks, Ports};

/// Upstream's `RepairServicesInterval`.
const INTERVAL: Duration = Duration::from_secs(180);
/// How long the first round may take, and how often it is tried.
const FIRST_ROUND: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(1);

/// What is remembered between rounds.
struct Repair {
    ctx: Ctx,
    addresses: Recorder,
    ports: Recorder,
    leaked_ports: Leaks,
    /// One for each range of addresses.
    leaked_addresses: Vec<Leaks>,
}

/// The hook: done after a first round.
pub(crate) async fn run(ctx: Ctx) -> Result<(), String> {
    let recorder = |component: &str| Recorder::new(&ctx.host, &ctx.rest, component);
    let mut repair = Repair {
        addresses: recorder("ipallocator-repair-controller"),
        ports: recorder("portallocator-repair-controller"),
        leaked_ports: Leaks::default(),
        leaked_addresses: ctx.allocator.0.ranges.iter().map(|_| Leaks::default()).collect(),
        ctx: ctx.clone(),
    };
    let clock = ctx.host.clock().clone();
    let first = async {
        while let Err(error) = repair.round().await {
            tracing::warn!("unable to check the addresses and ports of services, trying again: {error}");
            clock.sleep(RETRY).await;
        }
    };
    if clock.timeout(FIRST_ROUND, first).await.is_err() {
        return Err("unable to perform initial IP and Port allocation check".to_owned());
    }
    let host = ctx.host.clone();
    host.spawn(async move {
        loop {
            ctx.host.recur(INTERVAL).await;
            if ctx.lifecycle.is_stopping() {
                return;
            }
            if let Err(error) = repair.round().await {
                tracing::warn!("unable to check the addresses and ports of services: {error}");
            }
        }
    });
    Ok(())
}

impl Repair {
    async fn round(&mut self) -> Result<(), ClientError> {
        let shared = self.ctx.allocator.0.clone();
        bitmaps::round(&shared, &Ports, &shared.ports, &mut self.leaked_ports, &self.ports).await?;
        if shared.by_objects {
            return objects::round(&shared, &self.addresses, self.ctx.host.clock().wall()).await;
        }
        for ((text, subnet), leaks) in shared.ranges.iter().zip(&mut self.leaked_addresses) {
            let addresses = Addresses { range: text, subnet: *subnet };
            bitmaps::round(&shared, &addresses, &shared.bitmap_of(subnet), leaks, &self.addresses).await?;
        }
        Ok(())
    }
}

/// All services as they are now: of what an informer does not know yet, an address would look leaked.
async fn services(shared: &Shared) -> Result<Vec<Value>, ClientError> {
    let services = Resource::core("services");
    let listed = shared.rest.list_all(&services, None, &ListParams::default()).await?.items;
    let mut all: Vec<Value> = listed.into_iter().map(Arc::unwrap_or_clone).collect();
    // Items of a list do not say what they are, and events have to.
    for service in &mut all {
        service["apiVersion"] = "v1".into();
        service["kind"] = "Service".into();
    }
    Ok(all)
}

fn store_error(error: &store::StoreError) -> ClientError {
    ClientError::Status(Box::new(store_status(error)))
}
