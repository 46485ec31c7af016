//! pvc-protection and pv-protection: what is in use is not removed, however often it is deleted
//! (`pkg/controller/volume/pvcprotection`, `pvprotection`).

use std::sync::Arc;

use api::object::ObjectExt as _;
use client::{ClientError, Informer, Next, Resource, Rest, WorkQueue};
use serde_json::Value;

use super::{CLAIMS, VOLUMES};
use crate::{
    context::Context,
    pods::{PODS, is_finished, settled},
    start::start,
};

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

/// The claims that a pod mounts or has made for itself.
fn claims_of(pod: &Value) -> impl Iterator<Item = String> {
    pod.list_at("/spec/volumes").iter().filter_map(|volume| {
        let claim = volume.str_at("/persistentVolumeClaim/claimName");
        if !claim.is_empty() {
            return Some(claim.to_owned());
        }
        volume.get("ephemeral").map(|_| format!("{}-{}", pod.name(), volume.str_at("/name")))
    })
}

/// A pod that may still write to its volumes: it has a node, and has not ended.
fn uses(pod: &Value, claim: &str) -> bool {
    !pod.str_at("/spec/nodeName").is_empty() && !is_finished(pod) && claims_of(pod).any(|c| c == claim)
}

/// A kind whose objects are held by a finalizer as long as they are in use.
struct Guard {
    rest: Rest,
    objects: Informer,
    /// Says who uses the objects.
    users: Informer,
    resource: Resource,
    finalizer: &'static str,
}

/// Starts the loop that guards claims.
pub(crate) fn claims(c: &Context) {
    let guard = Guard {
        rest: c.rest("pvc-protection-controller"),
        objects: c.informer(CLAIMS),
        users: c.informer(PODS),
        resource: CLAIMS,
        finalizer: CLAIM_FINALIZER,
    };
    let pods = guard.users.clone();
    let users = pods.clone();
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        users.on(move |change| {
            let pod = change.object();
            claims_of(pod).for_each(|claim| feed.add(format!("{}/{claim}", pod.namespace())));
        });
    };
    guard.run(c, follow, move |claim| {
        let of = pods.by_namespace(claim.namespace());
        of.iter().any(|pod| uses(pod, claim.name()))
    });
}

/// Starts the loop that guards volumes.
pub(crate) fn volumes(c: &Context) {
    let volumes = c.informer(VOLUMES);
    let guard = Guard {
        rest: c.rest("pv-protection-controller"),
        objects: volumes.clone(),
        users: volumes,
        resource: VOLUMES,
        finalizer: VOLUME_FINALIZER,
    };
    guard.run(c, |_| (), |volume| volume.str_at("/status/phase") == "Bound");
}

impl Guard {
    /// `follow` tells of the objects that a change of a user concerns.
    fn run(
        self,
        c: &Context,
        follow: impl FnOnce(&WorkQueue) + Send + 'static,
        in_use: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) {
        let queue = WorkQueue::new(&c.host, c.queue_options());
        let (objects, informers) = (self.objects.clone(), [self.objects.clone(), self.users.clone()]);
        let follow = move |queue: &WorkQueue| {
            follow(queue);
            let feed = queue.clone();
            objects.on(move |change| feed.add(change.key()));
        };
        let (this, in_use) = (Arc::new(self), Arc::new(in_use));
        start(&c.host, informers, queue, 1, follow, move |key| {
            let (this, in_use) = (this.clone(), in_use.clone());
            async move { settled(this.settle(&key, &*in_use).await) }
        });
    }

    /// The finalizer is there unless the object is deleted and nobody uses it.
    async fn settle(&self, key: &str, in_use: &(dyn Fn(&Value) -> bool + Sync)) -> Result<Next, ClientError> {
        let Some(object) = self.objects.get_key(key) else { return Ok(Next::OnChange) };
        let held = object.list_at("/metadata/finalizers").iter().any(|f| f == self.finalizer);
        let goes = object.is_terminating() && !in_use(&object);
        let mut finalizers: Vec<Value> = object.list_at("/metadata/finalizers").to_vec();
        if held && goes {
            finalizers.retain(|f| f != self.finalizer);
        } else if !held && !object.is_terminating() {
            finalizers.push(self.finalizer.into());
        } else {
            return Ok(Next::OnChange);
        }
        let mut updated = (*object).clone();
        updated["metadata"]["finalizers"] = finalizers.into();
        let (namespace, name) = client::split_key(key);
        match self.rest.update(&self.resource, namespace, name, &updated).await {
            Err(e) if !e.is_not_found() => Err(e),
            _ => Ok(Next::OnChange),
        }
    }
}
