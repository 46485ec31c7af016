//! statefulset: pods with names of their own, made and ended in order.

mod identity;
mod order;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{ClientError, DeleteParams, Informer, Next, Resource, Rest, recorder::Recorder};
use jiff::SignedDuration;
use serde_json::{Value, json};
use world::Host;

use super::{REVISIONS, STATEFUL_SETS, revisions};
use crate::{
    context::Context,
    expectations::Expectations,
    pods::{Claim, PODS, follow, is_available, is_finished, is_ready, until_available},
    start::{Keyed, start_keyed},
};
use order::{Action, Member, Wish};

const CLAIMS: Resource = Resource::core("persistentvolumeclaims");
const WORKERS: usize = 5;

#[derive(Clone)]
struct Loop {
    host: Host,
    rest: Rest,
    recorder: Recorder,
    sets: Informer,
    pods: Informer,
    revisions: Informer,
    expectations: Arc<Expectations>,
    /// Statuses, which say of which revision the next pod is.
    written: Arc<Expectations>,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("statefulset-controller");
    let this = Loop {
        host: c.host.clone(),
        recorder: c.recorder(&rest, "statefulset-controller"),
        rest,
        sets: c.informer(STATEFUL_SETS),
        pods: c.informer(PODS),
        revisions: c.informer(REVISIONS),
        expectations: Arc::default(),
        written: Arc::default(),
    };
    let informers = [&this.sets, &this.pods, &this.revisions].map(Clone::clone);
    let (sets, pods) = (this.sets.clone(), this.pods.clone());
    start_keyed(c, &this, WORKERS, informers, move |queue| follow(queue, &sets, &pods));
}

impl Keyed for Loop {
    async fn sync(&self, key: &str) -> Result<Next, ClientError> {
        let Some(shown) = self.sets.get_key(key) else {
            self.expectations.forget(key);
            self.written.forget(key);
            return Ok(Next::OnChange);
        };
        let mono = self.host.clock().monotonic();
        if !self.written.fulfilled(key, &self.sets, mono)
            || !self.expectations.fulfilled(key, &self.pods, mono)
        {
            return Ok(Next::OnChange);
        }
        let mut set = (*shown).clone();
        if !set["status"].is_object() {
            set["status"] = json!({});
        }
        let mut pods: BTreeMap<i64, Arc<Value>> = BTreeMap::new();
        let claim = Claim { rest: &self.rest, owners: &STATEFUL_SETS, owned: &PODS, informer: &self.pods };
        for pod in claim.of(&set).await? {
            if let Some(ordinal) = identity::ordinal(&set, &pod) {
                pods.insert(ordinal, pod);
            }
        }
        let history = revisions::history(&self.revisions, &set);
        let update = match revisions::current(&self.rest, &set, &history).await? {
            revisions::Current::Is(revision) => revision,
            revisions::Current::Collides => {
                let collisions = set.i64_at("/status/collisionCount").unwrap_or(0);
                set["status"]["collisionCount"] = (collisions + 1).into();
                self.write(key, &set).await?;
                return Ok(Next::Retry);
            }
        };
        let named = set.str_at("/status/currentRevision").to_owned();
        let current = history.iter().find(|r| r.name() == named);
        let current = current.map_or_else(|| update.clone(), |r| (**r).clone());
        let wish = Wish::of(&set, update.name(), set.is_terminating());
        let members = pods.iter().map(|(o, p)| (*o, self.member(&set, p))).collect();
        let mut outcome = Ok(());
        for action in order::next(&wish, &members) {
            outcome = self.act(key, &set, &pods, &wish, [&current, &update], &action).await;
            if outcome.is_err() {
                break;
            }
        }
        let waits = self.report(key, &shown, set, &pods, [&current, &update]).await?;
        let live: Vec<&str> =
            pods.values().map(|p| revisions::hash_of(p)).chain([current.name(), update.name()]).collect();
        // Pods are labelled with the name of their revision, revisions with its hash.
        let live: Vec<&str> =
            history.iter().filter(|r| live.contains(&r.name())).map(|r| revisions::hash_of(r)).collect();
        revisions::clean_up(&self.rest, &shown, &history, &live).await?;
        outcome?;
        Ok(waits.into())
    }
}

impl Loop {
    fn member(&self, set: &Value, pod: &Value) -> Member {
        let running = pod.str_at("/status/phase") == "Running";
        Member {
            deleting: pod.is_terminating(),
            finished: is_finished(pod),
            available: running && is_available(pod, min_ready(set), self.host.clock().wall()),
            revision: revisions::hash_of(pod).to_owned(),
        }
    }

    async fn act(
        &self,
        key: &str,
        set: &Value,
        pods: &BTreeMap<i64, Arc<Value>>,
        wish: &Wish,
        [current, update]: [&Value; 2],
        action: &Action,
    ) -> Result<(), ClientError> {
        match action {
            Action::Create(ordinal) => {
                // Below the partition a pod comes back as it was.
                let old = wish.partition.is_some_and(|p| *ordinal < p);
                self.create(key, set, if old { current } else { update }, *ordinal).await
            }
            Action::Replace(ordinal) | Action::Delete(ordinal) => {
                let Some(pod) = pods.get(ordinal) else { return Ok(()) };
                if matches!(action, Action::Replace(_)) {
                    let (set_key, name) = (client::key_of(set), pod.name());
                    let words = |how| format!("StatefulSet {set_key} is recreating {how} Pod {name}");
                    if pod.str_at("/status/phase") == "Failed" {
                        self.recorder.warning(set, "RecreatingFailedPod", words("failed"));
                    } else {
                        self.recorder.normal(set, "RecreatingTerminatedPod", words("terminated"));
                    }
                }
                self.delete(key, set, pod).await
            }
        }
    }

    async fn create(
        &self,
        key: &str,
        set: &Value,
        revision: &Value,
        ordinal: i64,
    ) -> Result<(), ClientError> {
        let (namespace, set_name) = (set.namespace(), set.name());
        let pod = identity::pod(set, revision, ordinal);
        let name = pod.name();
        for claim in identity::claims(set, ordinal) {
            let claim_name = claim.name();
            match self.rest.create(&CLAIMS, Some(namespace), &claim).await {
                Ok(_) => {
                    let words =
                        format!("create Claim {claim_name} Pod {name} in StatefulSet {set_name} success");
                    self.recorder.normal(set, "SuccessfulCreate", words);
                }
                Err(e) if e.is_already_exists() => {}
                Err(e) => {
                    let words = format!(
                        "create Claim {claim_name} for Pod {name} in StatefulSet {set_name} failed error: {e}"
                    );
                    self.recorder.warning(set, "FailedCreate", words);
                    return Err(e);
                }
            }
        }
        match self.rest.create(&PODS, Some(namespace), &pod).await {
            Ok(created) => {
                self.expectations.stored(key, &created, self.host.clock().monotonic());
                let words = format!("create Pod {name} in StatefulSet {set_name} successful");
                self.recorder.normal(set, "SuccessfulCreate", words);
                Ok(())
            }
            Err(e) => {
                if !e.is_namespace_terminating() {
                    let words = format!("create Pod {name} in StatefulSet {set_name} failed error: {e}");
                    self.recorder.warning(set, "FailedCreate", words);
                }
                Err(e)
            }
        }
    }

    async fn delete(&self, key: &str, set: &Value, pod: &Value) -> Result<(), ClientError> {
        let (namespace, name) = (pod.namespace(), pod.name());
        let params = DeleteParams::uid(pod.uid());
        match self.rest.delete(&PODS, Some(namespace), name, &params).await {
            Ok(_) => {
                self.expectations.deleted(key, pod, self.host.clock().monotonic());
                let set_name = set.name();
                let words = format!("delete Pod {name} in StatefulSet {set_name} successful");
                self.recorder.normal(set, "SuccessfulDelete", words);
                Ok(())
            }
            Err(e) if e.is_not_found() || e.is_conflict() => Ok(()),
            Err(e) => {
                let set_name = set.name();
                let words = format!("delete Pod {name} in StatefulSet {set_name} failed error: {e}");
                self.recorder.warning(set, "FailedDelete", words);
                Err(e)
            }
        }
    }

    /// Writes the status; how long until a ready pod counts as available.
    async fn report(
        &self,
        key: &str,
        shown: &Value,
        mut set: Value,
        pods: &BTreeMap<i64, Arc<Value>>,
        [current, update]: [&Value; 2],
    ) -> Result<Option<Duration>, ClientError> {
        let (now, min_ready) = (self.host.clock().wall(), min_ready(&set));
        let running = |p: &Value| p.str_at("/status/phase") == "Running" && is_ready(p);
        let count = |holds: &dyn Fn(&Value) -> bool| pods.values().filter(|p| holds(p)).count();
        let ready = count(&running);
        let available = count(&|p| running(p) && is_available(p, min_ready, now));
        let of = |revision: &Value, pod: &Value| {
            !pod.is_terminating() && revisions::hash_of(pod) == revision.name()
        };
        let updated = count(&|p| of(update, p));
        let mut current_revision = current.name();
        let mut currents = count(&|p| of(current, p));
        let update_revision = update.name();
        let rolling = set.str_at("/spec/updateStrategy/type") != "OnDelete";
        if rolling && updated == pods.len() && ready == pods.len() {
            // The update is over.
            (current_revision, currents) = (update_revision, updated);
        }
        let mut status = json!({
            "availableReplicas": available,
            "currentRevision": current_revision,
            "observedGeneration": set.i64_at("/metadata/generation").unwrap_or(0),
            "replicas": pods.len(),
            "updateRevision": update_revision,
        });
        let optional =
            [("currentReplicas", currents), ("readyReplicas", ready), ("updatedReplicas", updated)];
        for (field, n) in optional.into_iter().filter(|(_, n)| *n != 0) {
            status[field] = n.into();
        }
        status["collisionCount"] = set.i64_at("/status/collisionCount").unwrap_or(0).into();
        if shown.get("status") != Some(&status) {
            set["status"] = status;
            self.write(key, &set).await?;
        }
        Ok(until_available(pods.values(), min_ready, now))
    }

    async fn write(&self, key: &str, set: &Value) -> Result<(), ClientError> {
        let (namespace, name) = (set.namespace(), set.name());
        match self.rest.update_sub(&STATEFUL_SETS, Some(namespace), name, "status", set).await {
            Ok(stored) => {
                self.written.stored(key, &stored, self.host.clock().monotonic());
                Ok(())
            }
            Err(e) if e.is_not_found() => Ok(()),
            Err(e) => Err(e),
        }
    }
}

fn min_ready(set: &Value) -> SignedDuration {
    SignedDuration::from_secs(set.i64_at("/spec/minReadySeconds").unwrap_or(0))
}
