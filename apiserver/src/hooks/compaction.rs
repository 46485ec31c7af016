//! Every five minutes the store forgets what was already old at the tick before.

use crate::context::Ctx;

pub(super) async fn run(ctx: Ctx) {
    if ctx.options.compaction_interval.is_zero() {
        return;
    }
    let mut tick = ctx.host.clock().interval(ctx.host.periods().of(ctx.options.compaction_interval));
    let mut seen = None;
    loop {
        tick.tick().await;
        if let Some(revision) = seen
            && let Err(error) = ctx.store.compact(revision).await
        {
            tracing::debug!("compaction at {revision}: {error}");
        }
        seen = ctx.store.revision().await.ok();
    }
}
