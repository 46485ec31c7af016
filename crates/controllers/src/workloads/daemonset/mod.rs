//! daemonset: one pod on every node that the set's template fits.

mod place;
#[cfg(test)]
mod tests;
mod update;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{Change, ClientError, Informer, Next, Resource, Rest, WorkQueue, recorder::Recorder};
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::{Value, json};
use world::{Host, Mono};

use super::{DAEMON_SETS, REVISIONS, revisions};
use crate::{
    context::Context,
    expectations::Expectations,
    pods::{Claim, PODS, delete_for, follow, is_available, is_ready, until_available},
    start::{Keyed, start_keyed},
};
use place::Place;

const NODES: Resource = Resource::core("nodes");
const WORKERS: usize = 2;
/// Creations and deletions of one sync.
const BURST: usize = 250;
/// Waits before a failed pod of a node is replaced.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);

#[derive(Clone)]
struct Loop {
    host: Host,
    rest: Rest,
    recorder: Recorder,
    sets: Informer,
    pods: Informer,
    nodes: Informer,
    revisions: Informer,
    expectations: Arc<Expectations>,
    /// Per set and node: the last wait for a replacement, and when it began.
    failures: Arc<Mutex<BTreeMap<String, (Duration, Mono)>>>,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("daemon-set-controller");
    let this = Loop {
        host: c.host.clone(),
        recorder: c.recorder(&rest, "daemonset-controller"),
        rest,
        sets: c.informer(DAEMON_SETS),
        pods: c.informer(PODS),
        nodes: c.informer(NODES),
        revisions: c.informer(REVISIONS),
        expectations: Arc::default(),
        failures: Arc::default(),
    };
    let informers = [&this.sets, &this.pods, &this.nodes, &this.revisions].map(Clone::clone);
    let (sets, pods, nodes) = (this.sets.clone(), this.pods.clone(), this.nodes.clone());
    let follow = move |queue: &WorkQueue| {
        follow(queue, &sets, &pods);
        let feed = queue.clone();
        nodes.on(move |change| {
            if !matches!(change, Change::Updated { old, new } if !matters(old, new)) {
                sets.list().iter().for_each(|set| feed.add(client::key_of(set)));
            }
        });
    };
    start_keyed(c, &this, WORKERS, informers, follow);
}

/// Whether a node's change can change what runs there.
fn matters(old: &Value, new: &Value) -> bool {
    ["/metadata/labels", "/spec/taints", "/spec/unschedulable"]
        .into_iter()
        .any(|at| old.pointer(at) != new.pointer(at))
}

/// The pods of a set by the node that they are on or meant for, oldest first.
type ByNode = BTreeMap<String, Vec<Arc<Value>>>;

/// What is to be done for a set.
#[derive(Default)]
struct Work {
    /// Nodes that get a pod.
    create: Vec<String>,
    delete: Vec<Arc<Value>>,
    /// When a failed pod may be replaced.
    again: Option<Duration>,
}

impl Keyed for Loop {
    async fn sync(&self, key: &str) -> Result<Next, ClientError> {
        let Some(set) = self.sets.get_key(key) else {
            self.expectations.forget(key);
            self.failures.lock().retain(|k, _| !k.starts_with(&format!("{key}@")));
            return Ok(Next::OnChange);
        };
        if set.pointer("/spec/selector").is_none_or(|s| *s == json!({})) {
            let words = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.recorder.warning(&set, "SelectingAll", words);
            return Ok(Next::OnChange);
        }
        if set.is_terminating() {
            return Ok(Next::OnChange);
        }
        let history = revisions::history(&self.revisions, &set);
        let hash = match revisions::current(&self.rest, &set, &history).await? {
            revisions::Current::Is(revision) => revisions::hash_of(&revision).to_owned(),
            revisions::Current::Collides => {
                let mut updated = (*set).clone();
                let collisions = set.i64_at("/status/collisionCount").unwrap_or(0);
                updated["status"]["collisionCount"] = (collisions + 1).into();
                self.write_status(&updated).await?;
                return Ok(Next::Retry);
            }
        };
        let now = self.host.clock().monotonic();
        // Asked before the pods are counted: what the informer shows meanwhile is not among them.
        let shown = self.expectations.fulfilled(key, &self.pods, now);
        let mut by_node = self.by_node(&set).await?;
        let model = place::pod(&set, &hash);
        let places: BTreeMap<String, Place> =
            self.nodes.list().iter().map(|n| (n.name().to_owned(), place::place(&model, n))).collect();
        let mut again = None;
        let mut outcome = Ok(());
        if shown {
            let work = self.manage(key, &set, &by_node, &places, &hash);
            again = work.again;
            outcome = self.act(key, &set, &model, work).await;
            if outcome.is_ok() && self.expectations.fulfilled(key, &self.pods, now) {
                // What was just made or deleted is seen, or the update would take more pods away than it may.
                by_node = self.by_node(&set).await?;
                let work = self.roll(&set, &by_node, &places, &hash);
                outcome = self.act(key, &set, &model, work).await;
            }
            let live: Vec<&str> =
                by_node.values().flatten().map(|p| revisions::hash_of(p)).chain([hash.as_str()]).collect();
            revisions::clean_up(&self.rest, &set, &history, &live).await?;
        }
        let waits = self.report(&set, &by_node, &places, &hash).await?;
        outcome?;
        Ok(again.into_iter().chain(waits).min().into())
    }
}

impl Loop {
    async fn by_node(&self, set: &Value) -> Result<ByNode, ClientError> {
        let claim = Claim { rest: &self.rest, owners: &DAEMON_SETS, owned: &PODS, informer: &self.pods };
        let mut by_node = ByNode::new();
        for pod in claim.of(set).await? {
            by_node.entry(place::node_of(&pod).to_owned()).or_default().push(pod);
        }
        for pods in by_node.values_mut() {
            pods.sort_by_key(|p| (p.str_at("/metadata/creationTimestamp").to_owned(), p.name().to_owned()));
        }
        Ok(by_node)
    }

    /// Missing pods, and those that should not be there.
    fn manage(
        &self,
        key: &str,
        set: &Value,
        by_node: &ByNode,
        places: &BTreeMap<String, Place>,
        hash: &str,
    ) -> Work {
        let mut work = Work::default();
        for (node, place) in places {
            match (place, by_node.get(node)) {
                (Place::Run, None) => work.create.push(node.clone()),
                (Place::Run | Place::Stay, Some(pods)) => {
                    self.keep_one(key, set, node, pods, hash, &mut work)
                }
                (Place::No, Some(pods)) => {
                    work.delete.extend(pods.iter().filter(|p| !p.is_terminating()).cloned());
                }
                (Place::Stay | Place::No, None) => {}
            }
        }
        // Meant for a node that is gone; those that are bound are the pod garbage collector's.
        for (_, pods) in by_node.iter().filter(|(node, _)| !places.contains_key(*node)) {
            let unbound = |p: &&Arc<Value>| p.str_at("/spec/nodeName").is_empty() && !p.is_terminating();
            work.delete.extend(pods.iter().filter(unbound).cloned());
        }
        work
    }

    fn keep_one(&self, key: &str, set: &Value, node: &str, pods: &[Arc<Value>], hash: &str, work: &mut Work) {
        let mut running: Vec<&Arc<Value>> = Vec::new();
        for pod in pods.iter().filter(|p| !p.is_terminating()) {
            let name = pod.name();
            match pod.str_at("/status/phase") {
                "Failed" => match self.backoff(&format!("{key}@{node}")) {
                    Some(wait) => work.again = work.again.into_iter().chain([wait]).min(),
                    None => {
                        let words = format!(
                            "Found failed daemon pod {} on node {node}, will try to kill it",
                            client::key_of(pod)
                        );
                        self.recorder.warning(set, "FailedDaemonPod", words);
                        work.delete.push(pod.clone());
                    }
                },
                "Succeeded" => {
                    let namespace = pod.namespace();
                    let words = format!(
                        "Found succeeded daemon pod {namespace}/{name} on node {node}, will try to delete it"
                    );
                    self.recorder.normal(set, "SucceededDaemonPod", words);
                    work.delete.push(pod.clone());
                }
                _ => running.push(pod),
            }
        }
        let surges = update::limits(set, 1).is_some_and(|l| l.surge > 0);
        // While an update surges, the oldest of each template stays.
        let (new, old): (Vec<_>, Vec<_>) =
            running.into_iter().partition(|p| surges && revisions::hash_of(p) == hash);
        for kind in [new, old] {
            work.delete.extend(kind.into_iter().skip(1).cloned());
        }
    }

    /// How long a failed pod is to be left, twice as long each time; `None` when it may go now.
    fn backoff(&self, key: &str) -> Option<Duration> {
        let now = self.host.clock().monotonic();
        let mut all = self.failures.lock();
        match all.get_mut(key) {
            Some((wait, since)) if now.since(*since) < *wait => Some(*wait - now.since(*since)),
            // As upstream, quiet for twice the longest wait, it starts over.
            Some((wait, since)) if now.since(*since) <= LONGEST_BACKOFF * 2 => {
                (*wait, *since) = ((*wait * 2).min(LONGEST_BACKOFF), now);
                None
            }
            _ => {
                all.insert(key.to_owned(), (FIRST_BACKOFF, now));
                None
            }
        }
    }

    fn roll(&self, set: &Value, by_node: &ByNode, places: &BTreeMap<String, Place>, hash: &str) -> Work {
        let desired = places.values().filter(|p| **p == Place::Run).count();
        let Some(limits) = update::limits(set, i64::try_from(desired).unwrap_or(i64::MAX)) else {
            return Work::default();
        };
        let (now, min_ready) = (self.host.clock().wall(), min_ready(set));
        let nodes: Vec<update::OnNode> = by_node
            .iter()
            .filter(|(node, _)| places.contains_key(*node))
            .map(|(node, pods)| {
                let mut on = update::OnNode { node: node.clone(), ..update::OnNode::default() };
                for pod in pods.iter().filter(|p| !p.is_terminating()) {
                    let is_new = revisions::hash_of(pod) == hash;
                    let slot = if is_new { &mut on.new } else { &mut on.old };
                    on.muddled |= slot.is_some();
                    let name = pod.name().to_owned();
                    *slot = Some((name, is_available(pod, min_ready, now)));
                }
                on
            })
            .collect();
        let step = update::step(limits, &nodes);
        let pods = by_node.values().flatten();
        let delete = pods.filter(|p| step.delete.iter().any(|n| n == p.name())).cloned().collect();
        Work { create: step.create, delete, again: None }
    }

    async fn act(&self, key: &str, set: &Value, model: &Value, work: Work) -> Result<(), ClientError> {
        let namespace = set.namespace();
        for node in work.create.iter().take(BURST) {
            let pod = place::tied(model.clone(), node);
            match self.rest.create(&PODS, Some(namespace), &pod).await {
                Ok(created) => {
                    self.expectations.stored(key, &created, self.host.clock().monotonic());
                    let words = format!("Created pod: {}", created.name());
                    self.recorder.normal(set, "SuccessfulCreate", words);
                }
                Err(e) => {
                    if !e.is_namespace_terminating() {
                        self.recorder.warning(set, "FailedCreate", format!("Error creating: {e}"));
                    }
                    return Err(e);
                }
            }
        }
        for pod in work.delete.iter().take(BURST) {
            if delete_for(&self.rest, &self.recorder, set, pod).await? {
                self.expectations.deleted(key, pod, self.host.clock().monotonic());
            }
        }
        Ok(())
    }

    /// Writes the status; how long until a ready pod counts as available.
    async fn report(
        &self,
        set: &Value,
        by_node: &ByNode,
        places: &BTreeMap<String, Place>,
        hash: &str,
    ) -> Result<Option<Duration>, ClientError> {
        let (now, min_ready) = (self.host.clock().wall(), min_ready(set));
        let [mut desired, mut current, mut misplaced, mut ready, mut available, mut updated] = [0_i64; 6];
        for (node, place) in places {
            let oldest = by_node.get(node).and_then(|pods| pods.first());
            match (place, oldest) {
                (Place::Run, Some(pod)) => {
                    desired += 1;
                    current += 1;
                    ready += i64::from(is_ready(pod));
                    available += i64::from(is_available(pod, min_ready, now));
                    updated += i64::from(revisions::hash_of(pod) == hash);
                }
                (Place::Run, None) => desired += 1,
                (_, Some(_)) => misplaced += 1,
                (_, None) => {}
            }
        }
        let mut status = json!({
            "currentNumberScheduled": current,
            "desiredNumberScheduled": desired,
            "numberMisscheduled": misplaced,
            "numberReady": ready,
            "observedGeneration": set.i64_at("/metadata/generation").unwrap_or(0),
        });
        let optional = [
            ("numberAvailable", available),
            ("numberUnavailable", desired - available),
            ("updatedNumberScheduled", updated),
        ];
        for (field, n) in optional.into_iter().filter(|(_, n)| *n != 0) {
            status[field] = n.into();
        }
        if let Some(collisions) = set.pointer("/status/collisionCount") {
            status["collisionCount"] = collisions.clone();
        }
        if set.get("status") != Some(&status) {
            let mut next = set.clone();
            next["status"] = status;
            self.write_status(&next).await?;
        }
        Ok(until_available(by_node.values().flatten(), min_ready, now))
    }

    async fn write_status(&self, set: &Value) -> Result<(), ClientError> {
        let (namespace, name) = (set.namespace(), set.name());
        match self.rest.update_sub(&DAEMON_SETS, Some(namespace), name, "status", set).await {
            Ok(_) => Ok(()),
            // The informer will show what changed.
            Err(e) if e.is_conflict() || e.is_not_found() => Ok(()),
            Err(e) => Err(e),
        }
    }
}

fn min_ready(set: &Value) -> SignedDuration {
    SignedDuration::from_secs(set.i64_at("/spec/minReadySeconds").unwrap_or(0))
}
