//! `bootstrap-controller`: the service `default/kubernetes` and where it leads: here.
//!
//! Upstream refuses loopback addresses in these endpoints. We take them: in the real gear every host
//! has one.

use std::{net::IpAddr, time::Duration};

use api::object::ObjectExt;
use client::{ClientError, Resource};
use serde_json::{Value, json};

use crate::{allocate::Subnet, context::Ctx};

const INTERVAL: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);
const NAME: &str = "kubernetes";
const NAMESPACE: &str = "default";

pub(super) async fn run(ctx: Ctx) -> Result<(), String> {
    ctx.informers.services.synced().await;
    ctx.informers.endpoints.synced().await;
    // As upstream, the hook is done once the loop runs; it goes on until it succeeds.
    let first = reconcile(&ctx).await;
    let looker = ctx.clone();
    ctx.host.spawn(async move {
        let mut result = first;
        loop {
            match &result {
                Ok(()) => looker.host.recur(INTERVAL).await,
                Err(error) => {
                    tracing::warn!("unable to sync kubernetes service: {error}");
                    looker.host.clock().sleep(RETRY).await;
                }
            }
            if looker.lifecycle.is_stopping() {
                return;
            }
            result = reconcile(&looker).await;
        }
    });
    Ok(())
}

async fn reconcile(ctx: &Ctx) -> Result<(), ClientError> {
    if ctx.informers.namespaces.get(None, NAMESPACE).is_none() {
        super::ensure_namespace(&ctx.rest, NAMESPACE).await?;
    }
    let port = ctx.port;
    if ctx.informers.services.get(NAMESPACE, NAME).is_none() {
        super::ensure(&ctx.rest, &Resource::core("services"), Some(NAMESPACE), &service(ctx, port)).await?;
    }
    let address = ctx.options.advertised(ctx.host.net().address());
    endpoints(ctx, address, port).await?;
    slice(ctx, address, port).await
}

/// The first address of the service range.
fn cluster_ip(ctx: &Ctx) -> Option<IpAddr> {
    let range = ctx.options.service_cluster_ip_ranges.first()?;
    Subnet::parse(range)?.address(0)
}

fn service(ctx: &Ctx, port: u16) -> Value {
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
            "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": port }],
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
    })
}

async fn endpoints(ctx: &Ctx, address: IpAddr, port: u16) -> Result<(), ClientError> {
    let resource = Resource::core("endpoints");
    let subsets = json!([{
        "addresses": [{ "ip": address.to_string() }],
        "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
    }]);
    match ctx.informers.endpoints.get(NAMESPACE, NAME) {
        None => {
            let object = json!({
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {
                    "name": NAME,
                    "namespace": NAMESPACE,
                    "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
                },
                "subsets": subsets,
            });
            super::ensure(&ctx.rest, &resource, Some(NAMESPACE), &object).await
        }
        Some(there) if leads_to(&there, address) => Ok(()),
        Some(there) => {
            let mut next = Value::clone(&there);
            next.set_at("/subsets", subsets);
            ctx.rest.update(&resource, Some(NAMESPACE), NAME, &next).await.map(drop)
        }
    }
}

fn leads_to(endpoints: &Value, address: IpAddr) -> bool {
    let address = address.to_string();
    endpoints
        .list_at("/subsets")
        .iter()
        .any(|s| s.list_at("/addresses").iter().any(|a| a.str_at("/ip") == address))
}

async fn slice(ctx: &Ctx, address: IpAddr, port: u16) -> Result<(), ClientError> {
    let resource = Resource::new("discovery.k8s.io", "v1", "endpointslices");
    let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
    let endpoints = json!([{ "addresses": [address.to_string()], "conditions": { "ready": true } }]);
    let there = ctx
        .catalog
        .find("discovery.k8s.io", "v1", "endpointslices")
        .and_then(|served| ctx.caches.get(&served, &format!("{NAMESPACE}/{NAME}")));
    match there.as_ref().and_then(|item| item.object().ok()) {
        None => {
            let object = json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": NAME,
                    "namespace": NAMESPACE,
                    "labels": { "kubernetes.io/service-name": NAME },
                },
                "addressType": family,
                "endpoints": endpoints,
                "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
            });
            super::ensure(&ctx.rest, &resource, Some(NAMESPACE), &object).await
        }
        Some(slice)
            if slice.list_at("/endpoints").iter().any(|e| {
                e.list_at("/addresses").iter().any(|a| a.as_str() == Some(&address.to_string()))
            }) =>
        {
            Ok(())
        }
        Some(slice) => {
            let mut next = Value::clone(&slice);
            next.set_at("/endpoints", endpoints);
            ctx.rest.update(&resource, Some(NAMESPACE), NAME, &next).await.map(drop)
        }
    }
}

/// Takes this server out of the endpoints: the pre-shutdown hook.
pub(crate) async fn withdraw(ctx: &Ctx) {
    let resource = Resource::core("endpoints");
    let address = ctx.options.advertised(ctx.host.net().address()).to_string();
    let Some(there) = ctx.informers.endpoints.get(NAMESPACE, NAME) else { return };
    let mut next = Value::clone(&there);
    let mut subsets = next.list_at("/subsets").to_vec();
    for subset in &mut subsets {
        let left: Vec<Value> =
            subset.list_at("/addresses").iter().filter(|a| a.str_at("/ip") != address).cloned().collect();
        subset.set_at("/addresses", left);
    }
    subsets.retain(|s| !s.list_at("/addresses").is_empty());
    next.set_at("/subsets", subsets);
    if let Err(error) = ctx.rest.update(&resource, Some(NAMESPACE), NAME, &next).await {
        tracing::debug!("unable to remove the endpoint of this server: {error}");
    }
}
