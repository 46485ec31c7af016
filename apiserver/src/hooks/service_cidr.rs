//! The ServiceCIDR `kubernetes`: the service range of the flags, as an object.

use std::time::Duration;

use client::Resource;
use serde_json::json;

use crate::context::Ctx;

const RETRY: Duration = Duration::from_secs(1);

pub(super) async fn run(ctx: Ctx) -> Result<(), String> {
    ctx.informers.service_cidrs.synced().await;
    if let Err(error) = create(&ctx).await {
        tracing::warn!("unable to create the default ServiceCIDR: {error}");
        let retry = ctx.clone();
        ctx.host.spawn(async move {
            loop {
                retry.host.clock().sleep(RETRY).await;
                if create(&retry).await.is_ok() {
                    return;
                }
            }
        });
    }
    Ok(())
}

async fn create(ctx: &Ctx) -> Result<(), client::ClientError> {
    if ctx.informers.service_cidrs.get(None, "kubernetes").is_some() {
        return Ok(());
    }
    let resource = Resource::new("networking.k8s.io", "v1", "servicecidrs");
    let object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": { "name": "kubernetes" },
        "spec": { "cidrs": ctx.options.service_cluster_ip_ranges },
    });
    super::ensure(&ctx.rest, &resource, None, &object).await?;
    let ready = json!([{
        "type": "Ready",
        "status": "True",
        "reason": "",
        "message": "Kubernetes default Service CIDR is ready",
        "lastTransitionTime": world::rfc3339(ctx.host.clock().wall()),
    }]);
    let patch = json!({ "status": { "conditions": ready } });
    ctx.rest
        .patch(&resource, None, "kubernetes", client::Patch::Merge(&patch), Some("status"))
        .await
        .map(drop)
}
