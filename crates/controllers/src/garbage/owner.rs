//! An owner on its way out: what its finalizers ask for (`attemptToOrphanWorker`,
//! `processDeletingDependentsItem`).

use api::object::ObjectExt as _;
use client::Patch;
use serde_json::json;

use super::{Collector, FOREGROUND, Found, ORPHAN, Trouble, settled};

impl Collector {
    pub(super) async fn finish_owner(&self, owner: &Found) -> Result<(), Trouble> {
        let uid = owner.object.uid();
        if owner.object.has_finalizer(ORPHAN) {
            for dependent in self.monitors.dependents(uid) {
                self.strip(&dependent, &[uid]).await?;
            }
            return self.release(owner, ORPHAN).await;
        }
        if !owner.object.has_finalizer(FOREGROUND) {
            return Ok(());
        }
        let holds_up = |d: &Found| d.object.owner_refs().any(|r| r.uid == uid && r.block_owner_deletion);
        let blocking: Vec<Found> = self.monitors.dependents(uid).into_iter().filter(holds_up).collect();
        if blocking.is_empty() {
            return self.release(owner, FOREGROUND).await;
        }
        // Each is judged for itself: another owner may keep it, and then only the reference goes.
        blocking.iter().filter(|d| !d.object.is_terminating()).for_each(|d| self.queue.add(d.place()));
        Ok(())
    }

    /// The owner waits for nothing more: without its last finalizer it is gone.
    async fn release(&self, owner: &Found, finalizer: &str) -> Result<(), Trouble> {
        let object = &owner.object;
        let kept: Vec<&str> = object.finalizers().filter(|f| *f != finalizer).collect();
        let body = json!({"metadata": {"finalizers": kept, "resourceVersion": object.resource_version()}});
        let resource = &owner.monitor.served.resource;
        let patched =
            self.rest.patch(resource, owner.namespace(), object.name(), Patch::Merge(&body), None).await;
        settled(patched.map(drop))
    }
}
