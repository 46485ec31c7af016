//! Every five minutes the store forgets what was already old at the tick before.

use crate::context::Ctx;

pub(super) async fn run(ctx: Ctx) {
    if ctx.options.compaction_interval.is_zero() {
        return;
    }
    let mut seen = None;
    loop {
        ctx.host.recur(ctx.options.compaction_interval).await;
        if let Some(revision) = seen
            && let Err(error) = ctx.store.compact(revision).await
        {
            tracing::debug!("compaction at {revision}: {error}");
        }
        seen = ctx.store.revision().await.ok();
    }
}
