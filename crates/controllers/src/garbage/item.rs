//! An object with owners: whether it stays, loses references, or goes (`attemptToDeleteItem`).

use api::object::{ObjectExt as _, OwnerRef};
use client::DeleteParams;
use serde_json::{Value, json};

use super::{Collector, FOREGROUND, Found, ORPHAN, Trouble, settled, waits_for_dependents};

/// What has become of an owner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is there.
    Solid,
    /// It is not, or another object has its name.
    Dangling,
    /// It is on its way out and waits for its dependents.
    Waiting,
    /// A cluster-scoped object cannot be owned by one in a namespace: nothing can be said, ever.
    Impossible,
}

impl Collector {
    pub(super) async fn judge(&self, item: &Found) -> Result<(), Trouble> {
        let owners: Vec<OwnerRef<'_>> = item.object.owner_refs().collect();
        let mut gone: Vec<&str> = Vec::new();
        let (mut solid, mut waiting) = (false, false);
        for owner in &owners {
            self.report_other_namespace(item, owner);
            match self.fate(item, owner).await? {
                Fate::Impossible => return Ok(()),
                Fate::Solid => solid = true,
                Fate::Dangling => gone.push(owner.uid),
                Fate::Waiting => {
                    waiting = true;
                    gone.push(owner.uid);
                }
            }
        }
        if owners.is_empty() || (solid && gone.is_empty()) {
            return Ok(());
        }
        if solid {
            return settled(self.strip(item, &gone).await);
        }
        let dependents = self.monitors.dependents(item.object.uid());
        if waiting && dependents.iter().any(Found::waits_for_dependents) {
            // Perhaps a circle, in which each would wait for the next: this one holds up nobody.
            self.unblock(item).await?;
        }
        let has = |finalizer: &str| item.object.has_finalizer(finalizer);
        let policy = match () {
            () if waiting && !dependents.is_empty() => "Foreground",
            () if has(ORPHAN) => "Orphan",
            () if has(FOREGROUND) => "Foreground",
            () => "Background",
        };
        self.delete(item, policy).await
    }

    async fn delete(&self, item: &Found, policy: &str) -> Result<(), Trouble> {
        let params = DeleteParams {
            propagation_policy: Some(policy.into()),
            resource_version: Some(item.object.resource_version().to_owned()),
            ..DeleteParams::uid(item.object.uid())
        };
        let (resource, name) = (&item.monitor.served.resource, item.object.name());
        settled(self.rest.delete(resource, item.namespace(), name, &params).await.map(drop))
    }

    async fn unblock(&self, item: &Found) -> Result<(), Trouble> {
        let freed = |r: &Value| {
            let mut reference = r.clone();
            reference["blockOwnerDeletion"] = false.into();
            reference
        };
        let whole: Vec<Value> = item.object.list_at("/metadata/ownerReferences").iter().map(freed).collect();
        let strategic: Vec<Value> =
            whole.iter().map(|r| json!({"uid": r.str_at("/uid"), "blockOwnerDeletion": false})).collect();
        settled(self.patch_owners(item, strategic.into(), whole.into()).await)
    }

    async fn fate(&self, item: &Found, owner: &OwnerRef<'_>) -> Result<Fate, Trouble> {
        if self.absent.has(owner, None) || self.absent.has(owner, item.namespace()) {
            return Ok(Fate::Dangling);
        }
        let monitor = self.monitors.of_kind(owner.api_version, owner.kind)?;
        let namespace = match (monitor.served.namespaced, item.namespace()) {
            (false, _) => None,
            (true, Some(namespace)) => Some(namespace),
            (true, None) => return Ok(Fate::Impossible),
        };
        let of = |object: &Value| if waits_for_dependents(object) { Fate::Waiting } else { Fate::Solid };
        let here = |found: &Found| {
            found.object.name() == owner.name
                && found.namespace() == namespace
                && found.monitor.served.resource == monitor.served.resource
        };
        if let Some(known) = self.monitors.by_uid(owner.uid).filter(here) {
            return Ok(of(&known.object));
        }
        // The copy may be behind: absence is believed only when the server says so.
        match self.rest.get(&monitor.served.resource, namespace, owner.name).await {
            Ok(live) if live.uid() == owner.uid => Ok(of(&live)),
            Ok(_) => {
                self.absent.add(owner, namespace);
                Ok(Fate::Dangling)
            }
            Err(e) if e.is_not_found() => {
                self.absent.add(owner, namespace);
                Ok(Fate::Dangling)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Says so when the owner lives where the reference cannot mean it (`graph_builder.go`).
    fn report_other_namespace(&self, item: &Found, owner: &OwnerRef<'_>) {
        let Some(real) = self.monitors.by_uid(owner.uid) else { return };
        let namespace = item.object.namespace();
        if !real.monitor.served.namespaced || real.object.namespace() == namespace {
            return;
        }
        let OwnerRef { api_version, kind, name, uid, .. } = owner;
        let claim = format!("[{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}]");
        let words = format!("ownerRef {claim} does not exist in namespace {namespace:?}");
        self.recorder.warning(&item.object, "OwnerRefInvalidNamespace", words);
    }
}
