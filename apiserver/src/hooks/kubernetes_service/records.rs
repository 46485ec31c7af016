//! Where the endpoints of the service are written: Endpoints, and the EndpointSlice that follows from them.

use api::object::ObjectExt;
use client::{ClientError, DeleteParams, Resource};
use serde_json::{Value, json};

use super::{NAME, NAMESPACE};
use crate::context::Ctx;

const ENDPOINTS: Resource = Resource::core("endpoints");
const SLICES: Resource = Resource::new("discovery.k8s.io", "v1", "endpointslices");
/// Says that nobody else makes a slice of the endpoints.
const SKIP_MIRROR: &str = "/metadata/labels/endpointslice.kubernetes.io~1skip-mirror";

/// The Endpoints as they are now: who is late by an informer would undo what another server did.
pub(super) async fn read(ctx: &Ctx) -> Result<Option<Value>, ClientError> {
    ctx.rest.get_opt(&ENDPOINTS, Some(NAMESPACE), NAME).await
}

/// Brings both to `subsets`, unless they are there already.
pub(super) async fn write(ctx: &Ctx, there: Option<Value>, subsets: &[Value]) -> Result<(), ClientError> {
    match there {
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
            crate::hooks::ensure(&ctx.rest, &ENDPOINTS, Some(NAMESPACE), &object).await?;
        }
        Some(there) if there.list_at("/subsets") == subsets && there.str_at(SKIP_MIRROR) == "true" => {}
        Some(mut next) => {
            next.set_at("/subsets", subsets);
            next.set_at(SKIP_MIRROR, "true");
            ctx.rest.update(&ENDPOINTS, Some(NAMESPACE), NAME, &next).await?;
        }
    }
    // A server that serves no slices has none.
    match ctx.catalog.find("discovery.k8s.io", "v1", "endpointslices") {
        Some(_) => write_slice(ctx, slice(subsets)).await,
        None => Ok(()),
    }
}

fn slice(subsets: &[Value]) -> Value {
    let subset = subsets.first().unwrap_or(&Value::Null);
    let addresses: Vec<&str> = subset.list_at("/addresses").iter().map(|a| a.str_at("/ip")).collect();
    let v6 = !addresses.is_empty() && addresses.iter().all(|address| address.contains(':'));
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|address| json!({ "addresses": [address], "conditions": { "ready": true } }))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": { "kubernetes.io/service-name": NAME },
        },
        "addressType": if v6 { "IPv6" } else { "IPv4" },
        "endpoints": endpoints,
        "ports": subset.list_at("/ports"),
    })
}

async fn write_slice(ctx: &Ctx, wanted: Value) -> Result<(), ClientError> {
    let Some(there) = ctx.rest.get_opt(&SLICES, Some(NAMESPACE), NAME).await? else {
        return crate::hooks::ensure(&ctx.rest, &SLICES, Some(NAMESPACE), &wanted).await;
    };
    // The type of a slice cannot be changed.
    if there.str_at("/addressType") != wanted.str_at("/addressType") {
        ctx.rest.delete(&SLICES, Some(NAMESPACE), NAME, &DeleteParams::uid(there.uid())).await?;
        return crate::hooks::ensure(&ctx.rest, &SLICES, Some(NAMESPACE), &wanted).await;
    }
    let mut next = there.clone();
    for field in ["/endpoints", "/ports", "/metadata/labels/kubernetes.io~1service-name"] {
        next.set_at(field, wanted.at(field).cloned().unwrap_or_default());
    }
    if next == there {
        return Ok(());
    }
    ctx.rest.update(&SLICES, Some(NAMESPACE), NAME, &next).await.map(drop)
}
