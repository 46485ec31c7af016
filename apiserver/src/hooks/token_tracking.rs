//! The config map that says since when the use of legacy service account tokens is tracked.

use std::time::Duration;

use serde_json::Map;

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
    let since = ctx.host.clock().wall().strftime("%Y-%m-%d").to_string();
    super::ensure_config_map(ctx, NAMESPACE, NAME, Map::from_iter([("since".to_owned(), since.into())])).await
}
