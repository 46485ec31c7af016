//! The four namespaces that always exist, looked after every minute.

use std::time::Duration;

use crate::context::Ctx;

const NAMESPACES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "default"];
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) async fn run(ctx: Ctx) -> Result<(), String> {
    ctx.informers.namespaces.synced().await;
    ensure_all(&ctx).await;
    let looker = ctx.clone();
    ctx.host.spawn(async move {
        loop {
            looker.host.recur(INTERVAL).await;
            ensure_all(&looker).await;
        }
    });
    Ok(())
}

async fn ensure_all(ctx: &Ctx) {
    let missing = NAMESPACES.into_iter().filter(|name| ctx.informers.namespaces.get(None, name).is_none());
    let created = missing.map(|name| async move {
        if let Err(error) = super::ensure_namespace(&ctx.rest, name).await {
            tracing::warn!("unable to create required kubernetes system Namespace {name}: {error}");
        }
    });
    futures::future::join_all(created).await;
}
