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
            // A dependent that keeps its reference, or is not known, would go after its owner.
            self.monitors.check_listed()?;
            for dependent in self.monitors.dependents(uid) {
                match self.strip(&dependent, &[uid]).await {
                    Err(e) if !e.is_not_found() => return Err(e.into()),
                    _ => {}
                }
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

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    use api::status::Status;
    use serde_json::{Value, json};
    use world::sim::{Config, run};

    use crate::testing::Fake;

    /// What is written when an owner of two pods goes and leaves them, while `refuse` refuses.
    fn orphaned(refuse: impl Fn(&str, Duration) -> bool + Send + 'static) -> Vec<String> {
        let story = run(Config::default(), |sim| async move {
            let (host, server) = (sim.host("cp"), Fake::start(&sim).await);
            server.discovers(&[("configmaps", "ConfigMap"), ("pods", "Pod")]);
            let metadata = json!({
                "namespace": "n",
                "name": "owner",
                "uid": "owner",
                "finalizers": ["orphan"],
                "deletionTimestamp": "2026-01-01T00:00:00Z",
            });
            let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
            let pod = |name: &str| {
                let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "owner"});
                json!({"metadata": {"namespace": "n", "name": name, "uid": name, "ownerReferences": [owner]}})
            };
            server.holds("/api/v1/configmaps", vec![owner]);
            server.holds("/api/v1/pods", vec![pod("a"), pod("b")]);
            let clock = host.clone();
            let begin = host.clock().monotonic();
            server.answer(move |line, _| {
                let since = clock.clock().monotonic().since(begin);
                refuse(line, since).then(|| Status::modified("pods", ""))
            });
            super::super::run(&server.context(&host, &[]));
            sim.elapse(Duration::from_secs(300)).await;
            server.written()
        });
        let name = |(line, sent): (String, Value)| {
            let name = line.rsplit('/').next().unwrap_or_default().to_owned();
            assert!(line.starts_with("PATCH "), "nothing is deleted: {line} {sent}");
            name
        };
        story.expect("a world").into_iter().map(name).collect()
    }

    #[test]
    fn an_owner_stays_until_all_its_dependents_have_let_go() {
        assert_eq!(orphaned(|_, _| false), ["a", "b", "owner"], "the control run");
        let tried = AtomicBool::new(false);
        let once = move |line: &str, _| line.ends_with("/pods/a") && !tried.swap(true, Ordering::Relaxed);
        assert_eq!(orphaned(once), ["a", "a", "b", "owner"], "a lost race is run again");
    }

    #[test]
    fn an_owner_stays_until_its_dependents_are_known() {
        let late = |line: &str, since: Duration| line == "GET /api/v1/pods" && since.as_secs() < 10;
        assert_eq!(orphaned(late), ["a", "b", "owner"]);
        let later = |line: &str, since: Duration| line == "GET /api/v1/pods" && since.as_secs() < 40;
        assert_eq!(orphaned(later), ["a", "b", "owner"], "though everything else has gone on");
    }
}
