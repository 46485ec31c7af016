//! deployment: a ReplicaSet per template, rolled from the old ones to the new one.

mod progress;
mod sets;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use api::{object::ObjectExt as _, status::Status};
use client::{ClientError, DeleteParams, Informer, Next, Rest, WorkQueue, recorder::Recorder};
use serde_json::{Value, json};
use world::{Host, Wall};

use super::{DEPLOYMENTS, REPLICA_SETS, rollout};
use crate::{
    context::Context,
    objects::controller_uid,
    pods::{Claim, PODS, follow, is_finished, owner_reference},
    start::{Keyed, start_keyed},
};
use progress::{Counts, Turn};
use sets::{
    DESIRED, HASH, MOST, REVISION, age_key, annotated_number, annotations, revision, same_template, sizes,
};

const WORKERS: usize = 5;

#[derive(Clone)]
struct Loop {
    host: Host,
    rest: Rest,
    recorder: Recorder,
    deployments: Informer,
    sets: Informer,
    pods: Informer,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("deployment-controller");
    let this = Loop {
        host: c.host.clone(),
        recorder: c.recorder(&rest, "deployment-controller"),
        rest,
        deployments: c.informer(DEPLOYMENTS),
        sets: c.informer(REPLICA_SETS),
        pods: c.informer(PODS),
    };
    let informers = [&this.deployments, &this.sets, &this.pods].map(Clone::clone);
    let following = this.clone();
    start_keyed(c, &this, WORKERS, informers, move |queue| following.follow(queue));
}

impl Keyed for Loop {
    async fn sync(&self, key: &str) -> Result<Next, ClientError> {
        let Some(deployment) = self.deployments.get_key(key) else { return Ok(Next::OnChange) };
        let claim =
            Claim { rest: &self.rest, owners: &DEPLOYMENTS, owned: &REPLICA_SETS, informer: &self.sets };
        let mut sets = claim.of(&deployment).await?;
        sets.sort_by(|a, b| age_key(a).cmp(&age_key(b)));
        if deployment.is_terminating() {
            return self.report(&deployment, &sets, None, false).await.map(Next::from);
        }
        let template = deployment.pointer("/spec/template").unwrap_or(&Value::Null);
        let new = sets.iter().find(|s| same_template(s, template)).cloned();
        let old: Vec<Arc<Value>> = sets.iter().filter(|s| !same_template(s, template)).cloned().collect();
        let paused = is_paused(&deployment);
        let created = new.is_none() && !paused;
        let new = match new {
            None if paused => None,
            None => Some(Arc::new(self.create_set(&deployment, &old).await?)),
            some => some,
        };
        if let Some(new) = &new {
            if self.resized(&deployment, &sets) {
                self.spread(&deployment, new, &old).await?;
            } else if paused {
                // Nothing but its size changes.
            } else if deployment.str_at("/spec/strategy/type") == "Recreate" {
                self.recreate(&deployment, new, &old).await?;
            } else {
                self.roll(&deployment, new, &old).await?;
            }
            if !paused {
                self.clean_up(&deployment, new, &old).await?;
            }
        }
        self.report(&deployment, &self.owned(&deployment), new.as_deref(), created).await.map(Next::from)
    }
}

impl Loop {
    fn follow(&self, queue: &WorkQueue) {
        follow(queue, &self.deployments, &self.sets);
        let (feed, deployments, sets) = (queue.clone(), self.deployments.clone(), self.sets.clone());
        self.pods.on(move |change| {
            // The last pod of an old set makes room in a deployment that recreates.
            let gone = matches!(change, client::Change::Deleted(_)) || is_finished(change.object());
            let Some(uid) = controller_uid(change.object()).filter(|_| gone) else { return };
            let namespace = change.object().namespace();
            let sets = sets.by_namespace(namespace);
            let Some(set) = sets.iter().find(|s| s.uid() == uid) else { return };
            let above = deployments.by_namespace(namespace).into_iter().filter(|d| {
                d.str_at("/spec/strategy/type") == "Recreate" && controller_uid(set) == Some(d.uid())
            });
            above.for_each(|d| feed.add(client::key_of(&d)));
        });
    }

    /// Whether people have changed the size since the sets were last scaled.
    fn resized(&self, deployment: &Value, sets: &[Arc<Value>]) -> bool {
        let wanted = rollout::size(deployment);
        let written = |s: &Value| annotated_number(s, DESIRED);
        sets.iter().filter(|s| rollout::size(s) > 0).filter_map(|s| written(s)).any(|n| n != wanted)
    }

    /// A new size in the middle of a rollout: every set gets its share of the difference.
    async fn spread(&self, deployment: &Value, new: &Value, old: &[Arc<Value>]) -> Result<(), ClientError> {
        let wanted = rollout::size(deployment);
        let active: Vec<&Value> =
            old.iter().map(|s| &**s).chain([new]).filter(|s| rollout::size(s) > 0).collect();
        if let [only] = active.as_slice() {
            return self.scale(deployment, only, wanted).await;
        }
        let surge = match deployment.str_at("/spec/strategy/type") {
            "Recreate" => 0,
            _ => rollout::bounds(deployment, wanted).surge,
        };
        let sets: Vec<rollout::Share> = active
            .iter()
            .map(|s| rollout::Share {
                size: rollout::size(s),
                most: annotated_number(s, MOST).unwrap_or_else(|| rollout::size(s)),
            })
            .collect();
        let most = if wanted > 0 { wanted + surge } else { 0 };
        for (set, size) in active.iter().zip(rollout::proportional(&sets, most)) {
            // The annotations say for which size this was done, whatever came of it.
            self.scale(deployment, set, size).await?;
        }
        Ok(())
    }

    fn owned(&self, deployment: &Value) -> Vec<Arc<Value>> {
        let uid = deployment.uid();
        let mut sets = self.sets.by_namespace(deployment.namespace());
        sets.retain(|s| controller_uid(s) == Some(uid));
        sets.sort_by(|a, b| age_key(a).cmp(&age_key(b)));
        sets
    }

    async fn create_set(&self, deployment: &Value, old: &[Arc<Value>]) -> Result<Value, ClientError> {
        let template = deployment.pointer("/spec/template").cloned().unwrap_or_default();
        let collisions = deployment.i64_at("/status/collisionCount").unwrap_or(0);
        let hash = rollout::template_hash(&template, collisions);
        let mut labelled = template.clone();
        labelled["metadata"]["labels"][HASH] = hash.as_str().into();
        let mut selector = deployment.pointer("/spec/selector").cloned().unwrap_or_else(|| json!({}));
        selector["matchLabels"][HASH] = hash.as_str().into();
        let replicas = rollout::size(deployment);
        let existing: i64 = old.iter().map(|s| rollout::size(s)).sum();
        let first = match deployment.str_at("/spec/strategy/type") {
            "Recreate" if existing > 0 => 0,
            "Recreate" => replicas,
            _ => rollout::scale_up(rollout::bounds(deployment, replicas), replicas, 0, existing),
        };
        let (namespace, name) = (deployment.namespace(), deployment.name());
        let revision = old.iter().map(|s| revision(s)).max().unwrap_or(0) + 1;
        let set_name = format!("{name}-{hash}");
        let set = json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "annotations": annotations(deployment, replicas, revision),
                "labels": labelled.pointer("/metadata/labels"),
                "name": set_name,
                "namespace": namespace,
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {
                "minReadySeconds": deployment.i64_at("/spec/minReadySeconds").unwrap_or(0),
                "replicas": first,
                "selector": selector,
                "template": labelled,
            },
        });
        match self.rest.create(&REPLICA_SETS, Some(namespace), &set).await {
            Ok(created) => {
                if first > 0 {
                    self.recorder.normal(
                        deployment,
                        "ScalingReplicaSet",
                        format!("Scaled up replica set {set_name} from 0 to {first}"),
                    );
                }
                Ok(created)
            }
            Err(e) if e.is_already_exists() => {
                let existing = self.rest.get(&REPLICA_SETS, Some(namespace), &set_name).await?;
                if controller_uid(&existing) == Some(deployment.uid()) && same_template(&existing, &template)
                {
                    return Ok(existing);
                }
                if controller_uid(&existing).is_none() && same_template(&existing, &template) {
                    // An orphan, which is claimed as soon as the informer shows that it is one.
                    return Err(Status::modified(&REPLICA_SETS.qualified(), &set_name).into());
                }
                // Two templates, one hash: count it, so that the next try hashes differently.
                let mut updated = deployment.clone();
                updated["status"]["collisionCount"] = (collisions + 1).into();
                self.rest.update_sub(&DEPLOYMENTS, Some(namespace), name, "status", &updated).await?;
                Err(e)
            }
            Err(e) => Err(e),
        }
    }

    async fn roll(&self, deployment: &Value, new: &Value, old: &[Arc<Value>]) -> Result<(), ClientError> {
        let replicas = rollout::size(deployment);
        let bounds = rollout::bounds(deployment, replicas);
        let total: i64 = rollout::size(new) + old.iter().map(|s| rollout::size(s)).sum::<i64>();
        let current = rollout::size(new);
        let wanted = rollout::scale_up(bounds, replicas, current, total);
        if wanted != current {
            return self.scale(deployment, new, wanted).await;
        }
        let sizes: Vec<rollout::Old> = old
            .iter()
            .map(|s| rollout::Old {
                size: rollout::size(s),
                available: s.i64_at("/status/availableReplicas").unwrap_or(0),
            })
            .collect();
        let available = new.i64_at("/status/availableReplicas").unwrap_or(0);
        for (set, wanted) in old.iter().zip(rollout::scale_down(bounds, replicas, current, available, &sizes))
        {
            if wanted != rollout::size(set) {
                self.scale(deployment, set, wanted).await?;
            }
        }
        self.annotate(deployment, new, replicas, old).await
    }

    async fn recreate(&self, deployment: &Value, new: &Value, old: &[Arc<Value>]) -> Result<(), ClientError> {
        for set in old.iter().filter(|s| rollout::size(s) > 0) {
            self.scale(deployment, set, 0).await?;
        }
        // A pod on its way out still runs.
        let owned =
            |p: &Arc<Value>| !is_finished(p) && old.iter().any(|s| controller_uid(p) == Some(s.uid()));
        let gone = old.iter().all(|s| rollout::size(s) == 0)
            && !self.pods.by_namespace(deployment.namespace()).iter().any(owned);
        let wanted = rollout::size(deployment);
        if gone && rollout::size(new) != wanted {
            self.scale(deployment, new, wanted).await?;
        }
        Ok(())
    }

    async fn scale(&self, deployment: &Value, set: &Value, to: i64) -> Result<(), ClientError> {
        let (namespace, name, from) = (set.namespace(), set.name(), rollout::size(set));
        let mut updated = set.clone();
        updated["spec"]["replicas"] = to.into();
        for (key, value) in sizes(deployment, rollout::size(deployment)) {
            updated["metadata"]["annotations"][key] = value.into();
        }
        if updated == *set {
            return Ok(());
        }
        self.rest.update(&REPLICA_SETS, Some(namespace), name, &updated).await?;
        if to == from {
            return Ok(());
        }
        let direction = if to > from { "up" } else { "down" };
        self.recorder.normal(
            deployment,
            "ScalingReplicaSet",
            format!("Scaled {direction} replica set {name} from {from} to {to}"),
        );
        Ok(())
    }

    /// The new set carries the highest revision; a rolled-back template gets a new one.
    async fn annotate(
        &self,
        deployment: &Value,
        new: &Value,
        replicas: i64,
        old: &[Arc<Value>],
    ) -> Result<(), ClientError> {
        let wanted = old.iter().map(|s| revision(s)).max().unwrap_or(0) + 1;
        let wanted = wanted.max(revision(new));
        let annotations = annotations(deployment, replicas, wanted);
        let mut updated = new.clone();
        for (key, value) in annotations.as_object().into_iter().flatten() {
            updated["metadata"]["annotations"][key] = value.clone();
        }
        if updated == *new {
            return Ok(());
        }
        let (namespace, name) = (new.namespace(), new.name());
        self.rest.update(&REPLICA_SETS, Some(namespace), name, &updated).await.map(drop)
    }

    /// Deletes old sets beyond the history limit once the rollout is complete.
    async fn clean_up(&self, deployment: &Value, new: &Value, old: &[Arc<Value>]) -> Result<(), ClientError> {
        let limit =
            usize::try_from(deployment.i64_at("/spec/revisionHistoryLimit").unwrap_or(10)).unwrap_or(0);
        let complete = new.i64_at("/status/availableReplicas").unwrap_or(0) == rollout::size(deployment);
        let mut empty: Vec<&Arc<Value>> = old
            .iter()
            .filter(|s| rollout::size(s) == 0 && s.i64_at("/status/replicas").unwrap_or(0) == 0)
            .collect();
        if !complete || empty.len() <= limit {
            return Ok(());
        }
        empty.sort_by_key(|s| revision(s));
        for set in &empty[..empty.len() - limit] {
            let (namespace, name) = (set.namespace(), set.name());
            match self.rest.delete(&REPLICA_SETS, Some(namespace), name, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes the status; when to look at it again.
    async fn report(
        &self,
        deployment: &Value,
        sets: &[Arc<Value>],
        new: Option<&Value>,
        created: bool,
    ) -> Result<Option<Duration>, ClientError> {
        let sum =
            |field: &str| sets.iter().filter_map(|s| s.i64_at(&format!("/status/{field}"))).sum::<i64>();
        let wanted = rollout::size(deployment);
        // The informer may be a step behind the set that was just made or scaled.
        let updated = new
            .and_then(|n| sets.iter().find(|s| s.uid() == n.uid()))
            .map_or(0, |s| s.i64_at("/status/replicas").unwrap_or(0));
        let counts = Counts {
            replicas: sum("replicas"),
            updated,
            ready: sum("readyReplicas"),
            available: sum("availableReplicas"),
        };
        let now = self.host.clock().wall();
        let turn =
            Turn { counts, wanted, set: new.map(|n| n.name()), created, paused: is_paused(deployment), now };
        let (progress, recheck) = progress::progressing(deployment, &turn);
        let conditions: Vec<Value> =
            std::iter::once(available(deployment, counts.available, now)).chain(progress).collect();
        let mut status = json!({
            "availableReplicas": counts.available,
            "conditions": conditions,
            "observedGeneration": deployment.pointer("/metadata/generation"),
            "readyReplicas": counts.ready,
            "replicas": counts.replicas,
            "unavailableReplicas": (counts.replicas.max(wanted) - counts.available).max(0),
            "updatedReplicas": counts.updated,
        });
        if let Some(count) = deployment.pointer("/status/collisionCount") {
            status["collisionCount"] = count.clone();
        }
        let old = deployment.get("status").cloned().unwrap_or_default();
        let same = status.as_object().into_iter().flatten().all(|(k, v)| match v.as_i64() {
            Some(n) => old.get(k).and_then(Value::as_i64).unwrap_or(0) == n,
            None => old.get(k) == Some(v),
        });
        let revision = new.map(|n| revision(n).to_string());
        let annotated = revision.as_deref().is_none_or(|r| {
            deployment.pointer("/metadata/annotations").and_then(|a| a.get(REVISION)).and_then(Value::as_str)
                == Some(r)
        });
        let (namespace, name) = (deployment.namespace(), deployment.name());
        let mut updated = deployment.clone();
        if !annotated {
            updated["metadata"]["annotations"][REVISION] = revision.into();
            updated = self.rest.update(&DEPLOYMENTS, Some(namespace), name, &updated).await?;
        }
        if !same {
            updated["status"] = status;
            self.rest.update_sub(&DEPLOYMENTS, Some(namespace), name, "status", &updated).await?;
        }
        Ok(recheck)
    }
}

fn is_paused(deployment: &Value) -> bool {
    deployment.pointer("/spec/paused").and_then(Value::as_bool) == Some(true)
}

fn available(deployment: &Value, available: i64, now: Wall) -> Value {
    let wanted = rollout::size(deployment);
    let least = wanted - rollout::bounds(deployment, wanted).unavailable;
    let (state, words) = if available >= least {
        (["True", "MinimumReplicasAvailable"], "Deployment has minimum availability.")
    } else {
        (["False", "MinimumReplicasUnavailable"], "Deployment does not have minimum availability.")
    };
    progress::written(deployment, "Available", state, words, false, now)
}
