//! `bootstrap-controller`: the service `default/kubernetes` and where it leads: to all servers of the store.
//!
//! ```text
//! leases in the store (each server renews its own) ─┐
//! or the addresses that are there, and our own ─────┴─▶ reconcile ─▶ Endpoints ─▶ EndpointSlice
//! ```
//! Upstream refuses loopback addresses in these endpoints. We take them: in the real gear every host
//! has one.

mod leases;
mod reconcile;
mod records;

use std::{net::IpAddr, time::Duration};

use api::object::ObjectExt;
use client::Resource;
use serde_json::{Value, json};

use crate::{allocate::Subnet, context::Ctx, options::EndpointReconciler};
use reconcile::Expected;

const INTERVAL: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);
/// So often a leave that others' changes came between is taken again, and how long after each.
const LEAVES: u32 = 5;
const BETWEEN_LEAVES: Duration = Duration::from_millis(10);
const NAME: &str = "kubernetes";
const NAMESPACE: &str = "default";
const SERVICES: Resource = Resource::core("services");

pub(super) async fn run(ctx: Ctx) -> Result<(), String> {
    ctx.informers.services.synced().await;
    // As upstream, the hook is done once the loop runs; it goes on until it succeeds.
    let first = look(&ctx, true).await;
    let looker = ctx.clone();
    ctx.host.spawn(async move {
        let mut result = first;
        let mut started = false;
        loop {
            match &result {
                Ok(()) => {
                    started = true;
                    looker.host.recur(INTERVAL).await;
                }
                Err(error) => {
                    tracing::warn!("unable to sync kubernetes service: {error}");
                    looker.host.clock().sleep(RETRY).await;
                }
            }
            if looker.lifecycle.is_stopping() {
                return;
            }
            // Servers with different ports would take turns in correcting each other: each has its say once.
            result = look(&looker, !started).await;
        }
    });
    Ok(())
}

async fn look(ctx: &Ctx, ports: bool) -> Result<(), String> {
    service(ctx, ports).await.map_err(|e| e.to_string())?;
    // Who leaves waits for this turn, and none begins after it.
    let _turn = ctx.endpoints_turn.lock().await;
    if ctx.lifecycle.is_stopping() {
        return Ok(());
    }
    endpoints(ctx, ports).await
}

/// The service itself; what its port leads to is corrected when a server starts.
async fn service(ctx: &Ctx, ports: bool) -> Result<(), client::ClientError> {
    if ctx.informers.namespaces.get(None, NAMESPACE).is_none() {
        super::ensure_namespace(&ctx.rest, NAMESPACE).await?;
    }
    let Some(there) = ctx.informers.services.get(NAMESPACE, NAME) else {
        return super::ensure(&ctx.rest, &SERVICES, Some(NAMESPACE), &new_service(ctx)).await;
    };
    let leads_here = there.at("/spec/ports/0/targetPort").and_then(Value::as_u64) == Some(ctx.port.into());
    if !ports || leads_here {
        return Ok(());
    }
    let change = |service: &mut Value| {
        service.set_at("/spec/ports", service_ports(ctx));
    };
    ctx.rest.modify(&SERVICES, Some(NAMESPACE), NAME, None, change).await.map(drop)
}

/// The first address of the service range.
fn cluster_ip(ctx: &Ctx) -> Option<IpAddr> {
    let range = ctx.options.service_cluster_ip_ranges.first()?;
    Subnet::parse(range)?.address(0)
}

fn service_ports(ctx: &Ctx) -> Value {
    json!([{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": ctx.port }])
}

fn new_service(ctx: &Ctx) -> Value {
    let ip = cluster_ip(ctx).map(|ip| ip.to_string()).unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": { "component": "apiserver", "provider": "kubernetes" },
        },
        "spec": {
            "clusterIP": ip,
            "clusterIPs": [ip],
            "ipFamilyPolicy": "SingleStack",
            "ports": service_ports(ctx),
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
    })
}

fn own_address(ctx: &Ctx) -> String {
    ctx.options.advertised(ctx.host.net().address()).to_string()
}

/// Brings the endpoints to what they are to be, with this server among them.
async fn endpoints(ctx: &Ctx, ports: bool) -> Result<(), String> {
    let own = own_address(ctx);
    let expected = match ctx.options.endpoint_reconciler {
        EndpointReconciler::None => return Ok(()),
        EndpointReconciler::MasterCount => Expected::OneOf { own, most: ctx.options.apiserver_count },
        EndpointReconciler::Lease => {
            // Whatever becomes of the rest: by this the others know of us.
            leases::renew(ctx, &own).await.map_err(|e| e.to_string())?;
            let all = leases::list(ctx).await.map_err(|e| e.to_string())?;
            if all.is_empty() {
                return Err("no API server IP addresses were listed in storage, refusing to erase all \
                            endpoints for the kubernetes Service"
                    .to_owned());
            }
            Expected::These(all)
        }
    };
    settle(ctx, &expected, ports).await.map_err(|e| e.to_string())
}

async fn settle(ctx: &Ctx, expected: &Expected, ports: bool) -> Result<(), client::ClientError> {
    let there = records::read(ctx).await?;
    let subsets = reconcile::subsets(there.as_ref(), expected, ctx.port, ports);
    records::write(ctx, there, &subsets).await
}

/// Takes this server out of the endpoints: the pre-shutdown hook.
pub(crate) async fn withdraw(ctx: &Ctx) {
    let _turn = ctx.endpoints_turn.lock().await;
    let mut tries = 1;
    while let Err(error) = leave(ctx).await {
        if tries == LEAVES {
            tracing::warn!("Error removing master endpoints from kubernetes service: {error}");
            return;
        }
        tries += 1;
        ctx.host.clock().sleep(BETWEEN_LEAVES).await;
    }
}

async fn leave(ctx: &Ctx) -> Result<(), String> {
    let own = own_address(ctx);
    let expected = match ctx.options.endpoint_reconciler {
        EndpointReconciler::None => return Ok(()),
        EndpointReconciler::MasterCount => Expected::Without(own),
        EndpointReconciler::Lease => {
            leases::remove(ctx, &own).await.map_err(|e| e.to_string())?;
            // The last one leaves nothing behind.
            Expected::These(leases::list(ctx).await.map_err(|e| e.to_string())?)
        }
    };
    let Some(there) = records::read(ctx).await.map_err(|e| e.to_string())? else { return Ok(()) };
    let subsets = reconcile::subsets(Some(&there), &expected, ctx.port, false);
    records::write(ctx, Some(there), &subsets).await.map_err(|e| e.to_string())
}
