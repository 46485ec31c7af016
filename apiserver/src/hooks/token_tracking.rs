//! The config map that says since when the use of legacy service account tokens is tracked.

use std::time::Duration;

use client::Resource;
use serde_json::json;

use crate::context::Ctx;

const NAME: &str = "kube-apiserver-legacy-service-account-token-tracking";
const NAMESPACE: &str = "kube-system";
const RETRY: Duration = Duration::from_secs(1);

pub(super) async fn run(ctx: Ctx) -> Result<(), String> {
    if !ctx.options.profile.tracks_token_secrets() {
        return Ok(());
    }
    let writer = ctx.clone();
    ctx.host.spawn(async move {
        writer.informers.config_maps.synced().await;
        while writer.informers.config_maps.get(NAMESPACE, NAME).is_none() {
            match create(&writer).await {
                Ok(()) => return,
                Err(error) => tracing::warn!("unable to create configmap/{NAME}: {error}"),
            }
            writer.host.clock().sleep(RETRY).await;
        }
    });
    Ok(())
}

async fn create(ctx: &Ctx) -> Result<(), client::ClientError> {
    if ctx.informers.namespaces.get(None, NAMESPACE).is_none() {
        super::ensure_namespace(&ctx.rest, NAMESPACE).await?;
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": NAME, "namespace": NAMESPACE },
        "data": { "since": ctx.host.clock().wall().strftime("%Y-%m-%d").to_string() },
    });
    super::ensure(&ctx.rest, &Resource::core("configmaps"), Some(NAMESPACE), &object).await
}
