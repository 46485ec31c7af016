//! resourcequota: what a namespace uses, counted anew when something goes and every five minutes
//! (`pkg/controller/resourcequota`). What comes is counted by admission, which goes by what is written here.

mod kinds;
mod usage;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{Change, ClientError, Informer, Next, Rest, WorkQueue};
use parking_lot::Mutex;
use serde_json::Value;
use world::Host;

use crate::{
    context::Context,
    pods::is_finished,
    start::{Keyed, start_on},
};
use kinds::Counted;

const QUOTAS: client::Resource = client::Resource::core("resourcequotas");
/// Everything is counted again after this time (`--resource-quota-sync-period`).
const RESYNC: Duration = Duration::from_secs(5 * 60);
const WORKERS: usize = 5;

#[derive(Clone)]
struct Loop {
    context: Context,
    host: Host,
    rest: Rest,
    quotas: Informer,
    queue: WorkQueue,
    /// The kinds that quotas count, as far as anybody has asked for them.
    followed: Arc<Mutex<BTreeMap<Counted, Informer>>>,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let this = Loop {
        context: c.clone(),
        host: c.host.clone(),
        rest: c.rest("resourcequota-controller"),
        quotas: c.informer(QUOTAS),
        queue: WorkQueue::new(&c.host, c.queue_options()),
        followed: Arc::default(),
    };
    let (quotas, queue) = (this.quotas.clone(), this.queue.clone());
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        quotas.on(move |change| match change {
            // Admission writes the status with every object that comes: only the limits are news.
            Change::Updated { old, new } if old.get("spec") == new.get("spec") => {}
            _ => feed.add(change.key()),
        });
    };
    start_on(&c.host, &this, WORKERS, [this.quotas.clone()], queue, follow);
}

impl Keyed for Loop {
    async fn sync(&self, key: &str) -> Result<Next, ClientError> {
        let Some(quota) = self.quotas.get_key(key) else { return Ok(Next::OnChange) };
        let namespace = quota.namespace();
        let mut objects = BTreeMap::new();
        for kind in kinds::counted(&self.rest, &quota).await? {
            let informer = self.follow(&kind);
            informer.synced().await;
            objects.insert(kind, informer.by_namespace(namespace));
        }
        let status = usage::status(&quota, &objects);
        if quota.get("status") != Some(&status) {
            let mut updated = (*quota).clone();
            updated["status"] = status;
            let name = quota.name();
            match self.rest.update_sub(&QUOTAS, Some(namespace), name, "status", &updated).await {
                Err(e) if e.is_not_found() => return Ok(Next::OnChange),
                outcome => outcome?,
            };
        }
        Ok(Next::After(self.host.periods().of(RESYNC)))
    }
}

impl Loop {
    /// The objects of a kind, from now on; what goes is told to the quotas that count it.
    fn follow(&self, kind: &Counted) -> Informer {
        if let Some(known) = self.followed.lock().get(kind) {
            return known.clone();
        }
        let informer = self.context.informer(kind.resource());
        self.followed.lock().insert(kind.clone(), informer.clone());
        let (feed, quotas, kind) = (self.queue.clone(), self.quotas.clone(), kind.clone());
        informer.on(move |change| {
            let freed = match change {
                Change::Added(_) => false,
                Change::Deleted(_) => true,
                Change::Updated { old, new } => kind.shrinks(old, new),
            };
            if freed {
                for quota in quotas.by_namespace(change.object().namespace()) {
                    if usage::counts(&quota, &kind) {
                        feed.add(client::key_of(&quota));
                    }
                }
            }
        });
        informer
    }
}

/// Whether a pod has just ended: then it counts no longer.
fn ended(old: &Value, new: &Value) -> bool {
    is_finished(new) && !is_finished(old)
}
