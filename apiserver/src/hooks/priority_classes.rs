//! `scheduling/bootstrap-system-priority-classes`.

use std::time::Duration;

use api::object::ObjectExt;
use client::Resource;

use crate::{context::Ctx, policy};

const TIMEOUT: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(1);

pub(super) async fn run(ctx: Ctx) -> Result<(), String> {
    ctx.informers.priority_classes.synced().await;
    let resource = Resource::new("scheduling.k8s.io", "v1", "priorityclasses");
    let clock = ctx.host.clock();
    let tries = async {
        'again: loop {
            for class in policy::priority_classes() {
                if ctx.informers.priority_classes.get(None, class.name()).is_some() {
                    continue;
                }
                if let Err(error) = super::ensure(&ctx.rest, &resource, None, &class).await {
                    tracing::warn!("unable to create system priority class {}: {error}", class.name());
                    clock.sleep(RETRY).await;
                    continue 'again;
                }
            }
            return;
        }
    };
    match clock.timeout(TIMEOUT, tries).await {
        Ok(()) => Ok(()),
        Err(_) => {
            Err("unable to add default system priority classes: timed out waiting for the condition"
                .to_owned())
        }
    }
}
