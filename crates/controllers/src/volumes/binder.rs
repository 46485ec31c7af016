//! persistentvolume-binder: claims find volumes, volumes that lost their claim are reclaimed
//! (`pkg/controller/volume/persistentvolume`).
//!
//! A binding is four writes, in this order: the volume's claimRef, the volume's phase, the claim's
//! volumeName, the claim's phase. A binder that dies in between finds everything where it was.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{ClientError, Informer, Next, Rest, WorkQueue, recorder::Recorder};
use serde_json::{Value, json};
use world::Host;

use super::{
    CLAIMS, CLASSES, VOLUMES,
    matching::{
        self, BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE, annotation, class_of, has_reference,
        is_bound, is_for,
    },
    provisioner,
    reclaim::{self, Deletion},
};
use crate::{
    context::Context,
    pods::{PODS, is_finished},
    start::{Keyed, start_on},
};

/// Everything is looked at again after this time (`--pvclaimbinder-sync-period`).
const RESYNC: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub(super) struct Binder {
    pub host: Host,
    pub rest: Rest,
    pub recorder: Recorder,
    claims: Informer,
    volumes: Informer,
    classes: Informer,
    pods: Informer,
    queue: WorkQueue,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("persistent-volume-binder");
    let this = Binder {
        host: c.host.clone(),
        recorder: c.recorder(&rest, "persistentvolume-controller"),
        rest,
        claims: c.informer(CLAIMS),
        volumes: c.informer(VOLUMES),
        classes: c.informer(CLASSES),
        pods: c.informer(PODS),
        queue: WorkQueue::new(&c.host, c.queue_options()),
    };
    let informers = [&this.claims, &this.volumes, &this.classes, &this.pods].map(Clone::clone);
    let (following, queue) = (this.clone(), this.queue.clone());
    // One worker: two claims must not be promised one volume.
    start_on(&c.host, &this, 1, informers, queue, move |_| following.follow());
}

/// Claims are queued as `claim/<namespace>/<name>`, volumes as `volume/<name>`.
fn claim_key(claim: &Value) -> String {
    format!("claim/{}", client::key_of(claim))
}

fn volume_key(volume: &Value) -> String {
    format!("volume/{}", volume.name())
}

impl Keyed for Binder {
    async fn sync(&self, key: &str) -> Result<Next, ClientError> {
        match key.split_once('/') {
            Some(("claim", key)) => self.sync_claim(key).await,
            Some((_, name)) => self.sync_volume(name).await,
            None => Ok(Next::OnChange),
        }
    }
}

impl Binder {
    fn follow(&self) {
        let (feed, volumes) = (self.queue.clone(), self.volumes.clone());
        self.claims.on(move |change| {
            let claim = change.object();
            feed.add(claim_key(claim));
            let mine = volumes.list().into_iter().filter(|v| is_for(v, claim));
            mine.for_each(|v| feed.add(volume_key(&v)));
        });
        let (feed, claims) = (self.queue.clone(), self.claims.clone());
        self.volumes.on(move |change| {
            let volume = change.object();
            feed.add(volume_key(volume));
            let open = |c: &Arc<Value>| {
                c.str_at("/status/phase") != "Bound" || c.str_at("/spec/volumeName") == volume.name()
            };
            claims.list().iter().filter(|c| open(c)).for_each(|c| feed.add(claim_key(c)));
        });
        let (feed, claims) = (self.queue.clone(), self.claims.clone());
        self.classes.on(move |change| {
            let name = change.object().name();
            let waiting = claims.list().into_iter().filter(|c| class_of(c) == name && !is_bound(c));
            waiting.for_each(|c| feed.add(claim_key(&c)));
        });
    }

    async fn sync_claim(&self, key: &str) -> Result<Next, ClientError> {
        let Some(claim) = self.claims.get_key(key) else { return Ok(Next::OnChange) };
        if annotation(&claim, BIND_COMPLETED).is_some() {
            return self.check_bound(&claim).await;
        }
        let wanted = claim.str_at("/spec/volumeName");
        if wanted.is_empty() {
            return self.choose(&claim).await;
        }
        let Some(volume) = self.volumes.get(None, wanted) else {
            self.set_claim_phase(&claim, "Pending", None).await?;
            return Ok(Next::OnChange);
        };
        if has_reference(&volume) && !is_for(&volume, &claim) {
            let words = format!("volume {wanted:?} already bound to a different claim.");
            self.recorder.warning(&claim, "FailedBinding", words);
            self.set_claim_phase(&claim, "Pending", None).await?;
            return Ok(Next::OnChange);
        }
        if !has_reference(&volume)
            && let Some(why) = matching::mismatch(&volume, &claim)
        {
            let words = format!("Cannot bind to requested volume {wanted:?}: {why}");
            self.recorder.warning(&claim, "VolumeMismatch", words);
            self.set_claim_phase(&claim, "Pending", None).await?;
            return Ok(Next::OnChange);
        }
        self.bind(&volume, &claim).await.map(|()| Next::OnChange)
    }

    /// A claim that leaves the choice to the binder.
    async fn choose(&self, claim: &Value) -> Result<Next, ClientError> {
        let class_name = class_of(claim);
        let class = self.classes.get(None, class_name);
        let waits = class.as_ref().is_some_and(|c| c.str_at("/volumeBindingMode") == "WaitForFirstConsumer");
        let ready = !waits || annotation(claim, SELECTED_NODE).is_some();
        let volumes = self.volumes.list();
        if let Some(volume) = matching::find(claim, &volumes, None, &BTreeSet::new(), waits) {
            return self.bind(volume, claim).await.map(|()| Next::OnChange);
        }
        if !ready {
            self.set_claim_phase(claim, "Pending", None).await?;
            match self.consumer(claim) {
                None => {
                    let words = "waiting for first consumer to be created before binding";
                    self.recorder.normal(claim, "WaitForFirstConsumer", words);
                }
                Some(pod) => {
                    let words = format!("waiting for pod {pod} to be scheduled");
                    self.recorder.normal(claim, "WaitForPodScheduled", words);
                }
            }
            return Ok(Next::OnChange);
        }
        let Some(class) = class.filter(|_| !class_name.is_empty()) else {
            if class_name.is_empty() {
                let words = "no persistent volumes available for this claim and no storage class is set";
                self.recorder.normal(claim, "FailedBinding", words);
            } else {
                let words = format!("storageclass.storage.k8s.io {class_name:?} not found");
                self.recorder.warning(claim, "ProvisioningFailed", words);
            }
            self.set_claim_phase(claim, "Pending", None).await?;
            return Ok(Next::After(self.host.periods().of(RESYNC)));
        };
        self.set_claim_phase(claim, "Pending", None).await?;
        provisioner::provision(self, claim, &class).await
    }

    /// The pod that a claim without a node waits for.
    fn consumer(&self, claim: &Value) -> Option<String> {
        let name = claim.name();
        let pods = self.pods.by_namespace(claim.namespace());
        let uses = |p: &&Arc<Value>| {
            !is_finished(p)
                && p.list_at("/spec/volumes")
                    .iter()
                    .any(|v| v.str_at("/persistentVolumeClaim/claimName") == name)
        };
        pods.iter().find(uses).map(|p| p.name().to_owned())
    }

    async fn bind(&self, volume: &Value, claim: &Value) -> Result<(), ClientError> {
        let mut volume = volume.clone();
        let reserved = has_reference(&volume);
        if !reserved || volume.str_at("/spec/claimRef/uid").is_empty() {
            volume["spec"]["claimRef"] = matching::reference_to(claim);
            if !reserved {
                volume["metadata"]["annotations"][BOUND_BY_CONTROLLER] = "yes".into();
            }
            let name = volume.name().to_owned();
            volume = self.rest.update(&VOLUMES, None, &name, &volume).await?;
        }
        self.set_volume_phase(&volume, "Bound", None).await?;
        let mut claim = claim.clone();
        if !is_bound(&claim) {
            if claim.str_at("/spec/volumeName").is_empty() {
                claim["spec"]["volumeName"] = volume.name().into();
                claim["metadata"]["annotations"][BOUND_BY_CONTROLLER] = "yes".into();
            }
            claim["metadata"]["annotations"][BIND_COMPLETED] = "yes".into();
            let (namespace, name) = (claim.namespace().to_owned(), claim.name().to_owned());
            claim = self.rest.update(&CLAIMS, Some(&namespace), &name, &claim).await?;
        }
        self.set_claim_phase(&claim, "Bound", Some(&volume)).await
    }

    /// A claim that was bound once must have its volume for ever.
    async fn check_bound(&self, claim: &Value) -> Result<Next, ClientError> {
        let name = claim.str_at("/spec/volumeName");
        let lost = match self.volumes.get(None, name) {
            _ if name.is_empty() => Some((
                "ClaimLost",
                "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
            )),
            None => {
                Some(("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"))
            }
            Some(volume) if !has_reference(&volume) || is_for(&volume, claim) => {
                self.bind(&volume, claim).await?;
                None
            }
            Some(_) => Some((
                "ClaimMisbound",
                "Two claims are bound to the same volume, this one is bound incorrectly",
            )),
        };
        if let Some((reason, words)) = lost {
            let known = claim.str_at("/status/phase") == "Lost";
            self.set_claim_phase(claim, "Lost", None).await?;
            if !known {
                self.recorder.warning(claim, reason, words);
            }
        }
        Ok(Next::OnChange)
    }

    async fn sync_volume(&self, name: &str) -> Result<Next, ClientError> {
        let Some(volume) = self.volumes.get(None, name) else { return Ok(Next::OnChange) };
        // Nobody's, or kept for a claim that is yet to come.
        if !has_reference(&volume) || volume.str_at("/spec/claimRef/uid").is_empty() {
            self.set_volume_phase(&volume, "Available", None).await?;
            return Ok(Next::OnChange);
        }
        let (namespace, claim_name) =
            (volume.str_at("/spec/claimRef/namespace"), volume.str_at("/spec/claimRef/name"));
        let mut claim = self.claims.get(namespace, claim_name);
        if claim.is_none() {
            // The informer may be behind, and what is released may be deleted.
            claim = self.rest.get_opt(&CLAIMS, Some(namespace), claim_name).await?.map(Arc::new);
        }
        match claim.filter(|c| c.uid() == volume.str_at("/spec/claimRef/uid")) {
            Some(claim) => {
                if claim.str_at("/spec/volumeName") == name {
                    self.set_volume_phase(&volume, "Bound", None).await?;
                } else {
                    self.queue.add(claim_key(&claim));
                }
                Ok(Next::OnChange)
            }
            None => self.release(&volume).await,
        }
    }

    /// The claim is gone: the volume goes with it, if that is its policy.
    async fn release(&self, volume: &Value) -> Result<Next, ClientError> {
        if volume.str_at("/status/phase") != "Failed" {
            self.set_volume_phase(volume, "Released", None).await?;
        }
        if volume.is_terminating() {
            return Ok(Next::OnChange);
        }
        match reclaim::deletion(volume) {
            Deletion::Kept | Deletion::SomebodyElse => Ok(Next::OnChange),
            Deletion::Now => {
                let name = volume.name();
                let params = client::DeleteParams::uid(volume.uid());
                match self.rest.delete(&VOLUMES, None, name, &params).await {
                    Err(e) if !e.is_not_found() && !e.is_conflict() => Err(e),
                    _ => Ok(Next::OnChange),
                }
            }
            Deletion::Impossible { reason, why } => {
                if volume.str_at("/status/phase") != "Failed" {
                    self.recorder.warning(volume, reason, why.clone());
                    let latest = self.rest.get(&VOLUMES, None, volume.name()).await?;
                    self.set_volume_phase(&latest, "Failed", Some(why)).await?;
                }
                Ok(Next::OnChange)
            }
        }
    }

    async fn set_volume_phase(
        &self,
        volume: &Value,
        phase: &str,
        message: Option<String>,
    ) -> Result<(), ClientError> {
        if volume.str_at("/status/phase") == phase {
            return Ok(());
        }
        let mut status = json!({"phase": phase});
        status["lastPhaseTransitionTime"] = world::rfc3339(self.host.clock().wall()).into();
        if let Some(message) = message {
            status["message"] = message.into();
        }
        let mut updated = volume.clone();
        updated["status"] = status;
        let name = volume.name();
        self.rest.update_sub(&VOLUMES, None, name, "status", &updated).await.map(drop)
    }

    pub(super) async fn set_claim_phase(
        &self,
        claim: &Value,
        phase: &str,
        volume: Option<&Value>,
    ) -> Result<(), ClientError> {
        let mut status = json!({"phase": phase});
        if let Some(volume) = volume {
            status["accessModes"] = volume["spec"]["accessModes"].clone();
            status["capacity"] = volume["spec"]["capacity"].clone();
        }
        if claim.get("status") == Some(&status) {
            return Ok(());
        }
        let mut updated = claim.clone();
        updated["status"] = status;
        let (namespace, name) = (claim.namespace(), claim.name());
        self.rest.update_sub(&CLAIMS, Some(namespace), name, "status", &updated).await.map(drop)
    }
}
