//! garbagecollector: what is left of owners that are gone, whatever kind they are of
//! (`pkg/controller/garbagecollector`).
//!
//! ```text
//!   monitors   follows every resource that can be listed, watched and deleted
//!   item       an object with owners: are they there?  →  keep, strip references, delete
//!   owner      an owner on its way out: orphan its dependents, or wait for them
//!   absent     owners that the server has said are not there
//! ```

mod absent;
mod item;
mod monitors;
mod owner;

use std::{sync::Arc, time::Duration};

use api::object::{ObjectExt as _, OwnerRef};
use client::{Change, ClientError, Informer, Patch, Rest, WorkQueue, recorder::Recorder};
use serde_json::{Value, json};
use world::Host;

use self::{
    absent::Absent,
    monitors::{Monitor, Monitors},
};
use crate::{context::Context, start::start};

/// `--concurrent-gc-syncs`.
const WORKERS: usize = 20;
/// So long it waits for the first lists (`initialSyncTimeout`).
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

struct Collector {
    rest: Rest,
    monitors: Monitors,
    absent: Absent,
    queue: WorkQueue,
    recorder: Recorder,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest_at("generic-garbage-collector", 2, 1);
    let collector = Arc::new(Collector {
        monitors: Monitors::new(c),
        absent: Absent::default(),
        queue: WorkQueue::new(&c.host, c.queue_options()),
        recorder: c.recorder(&rest, "garbage-collector-controller"),
        rest,
    });
    let (host, discovering) = (c.host.clone(), collector.clone());
    c.host.spawn(async move { monitors::keep_up(&host, &discovering).await });
}

/// Begins to consider what the monitors have heard of, once each of the first has listed: before, an owner
/// would seem to have fewer dependents than it has. One that cannot list does not hold up all others for ever.
async fn begin(host: Host, collector: Arc<Collector>) {
    let mut informers = collector.monitors.informers();
    let listed = async {
        for informer in &informers {
            informer.synced().await;
        }
    };
    if host.clock().timeout(SYNC_TIMEOUT, listed).await.is_err() {
        tracing::info!("not all resource monitors could be synced, proceeding to collect garbage");
    }
    informers.retain(Informer::has_synced);
    let queue = collector.queue.clone();
    start(
        &host,
        informers,
        queue,
        WORKERS,
        |_| (),
        move |place| {
            let collector = collector.clone();
            async move { collector.consider(&place).await.map_err(|e| e.to_string()) }
        },
    );
}

/// Why an object could not be dealt with; it comes again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no matches for kind {kind:?} in version {api_version:?}")]
    UnknownKind { kind: String, api_version: String },
    #[error("dependents are not known yet: {resource} has not been listed")]
    NotListed { resource: String },
}

impl Collector {
    /// What a change asks to be looked at: the object, its dependents when it goes, its owners when
    /// they may have waited for it.
    fn heard(&self, monitor: &Monitor, change: &Change) {
        let object = change.object();
        match change {
            Change::Deleted(_) => {
                self.monitors.dependents(object.uid()).into_iter().for_each(|d| self.queue.add(d.place()));
                object.owner_refs().for_each(|owner| self.look_at_owner(owner.uid));
                return;
            }
            Change::Updated { old, new } => {
                // A reference that went, or holds up no longer, may have been the last.
                let still = |was: &OwnerRef<'_>| {
                    new.owner_refs().any(|is| is.uid == was.uid && is.block_owner_deletion)
                };
                let freed = old.owner_refs().filter(|was| was.block_owner_deletion && !still(was));
                freed.for_each(|owner| self.look_at_owner(owner.uid));
            }
            Change::Added(_) => {}
        }
        if object.is_terminating() || object.owner_refs().next().is_some() {
            self.queue.add(monitor.place(object));
        }
    }

    fn look_at_owner(&self, uid: &str) {
        if let Some(owner) = self.monitors.by_uid(uid).filter(|o| o.object.is_terminating()) {
            self.queue.add(owner.place());
        }
    }

    async fn consider(&self, place: &str) -> Result<(), Trouble> {
        let Some(found) = self.monitors.at(place) else { return Ok(()) };
        if found.object.is_terminating() { self.finish_owner(&found).await } else { self.judge(&found).await }
    }

    /// Takes references to `uids` out of an object's owners.
    async fn strip(&self, of: &Found, uids: &[&str]) -> Result<(), ClientError> {
        let gone = uids.iter().map(|uid| json!({"$patch": "delete", "uid": uid}));
        let kept = of.object.list_at("/metadata/ownerReferences").iter();
        let kept = kept.filter(|r| !uids.contains(&r.str_at("/uid"))).cloned().collect();
        self.patch_owners(of, gone.collect(), kept).await
    }

    /// `strategic` where the kind knows merge keys; a custom resource gets the whole list, guarded by its
    /// revision.
    async fn patch_owners(&self, of: &Found, strategic: Value, whole: Value) -> Result<(), ClientError> {
        let (resource, object) = (&of.monitor.served.resource, &of.object);
        let mut metadata = json!({"uid": object.uid()});
        let built_in = api::kinds::find(&resource.group, &resource.version, &resource.plural).is_some();
        if built_in {
            metadata["ownerReferences"] = strategic;
        } else {
            metadata["ownerReferences"] = whole;
            metadata["resourceVersion"] = object.resource_version().into();
        }
        let body = json!({"metadata": metadata});
        let patch = if built_in { Patch::Strategic(&body) } else { Patch::Merge(&body) };
        self.rest.patch(resource, of.namespace(), object.name(), patch, None).await.map(drop)
    }
}

/// An object and who follows it.
#[derive(Clone)]
struct Found {
    monitor: Arc<Monitor>,
    object: Arc<Value>,
}

impl Found {
    fn place(&self) -> String {
        self.monitor.place(&self.object)
    }

    fn namespace(&self) -> Option<&str> {
        Some(self.object.namespace()).filter(|n| !n.is_empty())
    }

    /// On its way out, and its dependents go first.
    fn waits_for_dependents(&self) -> bool {
        waits_for_dependents(&self.object)
    }
}

fn waits_for_dependents(object: &Value) -> bool {
    object.is_terminating() && object.has_finalizer(FOREGROUND)
}

/// Gone already, or changed meanwhile: the informer shows the change and the object comes again.
fn settled(outcome: Result<(), ClientError>) -> Result<(), Trouble> {
    match outcome {
        Err(e) if e.is_not_found() || e.is_conflict() => Ok(()),
        other => other.map_err(Trouble::from),
    }
}
