//! nodelifecycle: what counts is when this controller saw a sign of life, on its own running clock.
//! A node's skewed wall clock changes nothing, but one that goes back does for a moment: a lease that was
//! not renewed later than before is no sign of life (kubernetes/kubernetes#113081).

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use api::object::ObjectExt as _;
use client::{ClientError, Informer, Patch, Rest, recorder::Recorder};
use serde_json::{Value, json};
use world::{Host, Mono, Periods, Wall, mutant, rfc3339};

use super::{
    LEASES, NODES, PODS,
    changes::{Changes, count},
    taints::{self, Eviction},
    zones::{Outlook, Zones, zone_of},
};
use crate::{
    context::Context,
    objects::{condition, condition_is},
};

/// What was last seen of a node, and when on the running clock.
struct Sign {
    seen: Mono,
    known_since: Mono,
    /// When the lease was renewed last, by the node's clock. Unknown after another sign of life, as upstream forgets
    /// it then: whatever the lease says next counts.
    renewed: Option<Wall>,
    ready: Value,
}

struct Lifecycle {
    host: Host,
    rest: Rest,
    recorder: Recorder,
    nodes: Informer,
    pods: Informer,
    leases: Informer,
    grace: Duration,
    startup_grace: Duration,
    /// The pace at which the signs of life came.
    periods: Periods,
    signs: BTreeMap<String, Sign>,
    zones: Zones,
    /// What the last look at all nodes said.
    outlook: Outlook,
    /// Nodes whose pods could not all be marked (upstream's `nodesToRetry`).
    to_retry: BTreeSet<String>,
    /// When a node that waits for its turn may be emptied.
    next_eviction: Option<Mono>,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let rest = c.rest("node-controller");
    let default_grace = c.options.kubernetes_version.node_grace();
    let mut lifecycle = Lifecycle {
        host: c.host.clone(),
        recorder: c.recorder(&rest, "node-controller"),
        rest,
        nodes: c.informer(NODES),
        pods: c.informer(PODS),
        leases: c.informer(LEASES),
        grace: c.options.node_monitor_grace_period.unwrap_or(default_grace),
        startup_grace: c.options.node_startup_grace_period,
        periods: c.host.periods(),
        signs: BTreeMap::new(),
        zones: Zones::default(),
        outlook: Outlook::Zones,
        to_retry: BTreeSet::new(),
        next_eviction: None,
    };
    let (period, host) = (c.options.node_monitor_period, c.host.clone());
    let changes = Arc::<Changes>::default();
    let feed = changes.clone();
    lifecycle.nodes.on(move |change| feed.note(change));
    c.host.spawn(async move {
        lifecycle.nodes.synced().await;
        lifecycle.leases.synced().await;
        lifecycle.pods.synced().await;
        loop {
            lifecycle.look().await;
            let mut next_look = pin!(host.recur(period));
            // A taint must not wait for the next look when a node changes: that node is looked at now.
            loop {
                tokio::select! {
                    biased;
                    () = &mut next_look => break,
                    () = lifecycle.turn() => break,
                    names = changes.next() => {
                        for name in names {
                            lifecycle.look_at(&name, &changes).await;
                        }
                    }
                }
            }
        }
    });
}

impl Lifecycle {
    /// The running clock: a step of the wall clock makes no node silent.
    fn now(&self) -> Mono {
        let clock = self.host.clock();
        if mutant("monitor-by-wall-clock") {
            return Mono::default()
                + Duration::try_from(clock.wall().duration_since(Wall::UNIX_EPOCH)).unwrap_or_default();
        }
        clock.monotonic()
    }

    async fn look(&mut self) {
        let now = self.now();
        let nodes = self.nodes.list();
        if self.periods != self.host.periods() {
            // A node that was rightly silent at the old pace has a whole grace at the new one.
            self.periods = self.host.periods();
            self.signs.values_mut().for_each(|sign| (sign.seen, sign.known_since) = (now, now));
        }
        nodes.iter().for_each(|node| self.greet(node));
        let gone: Vec<String> =
            self.signs.keys().filter(|name| self.nodes.get(None, name).is_none()).cloned().collect();
        gone.iter().for_each(|name| self.take_leave(name));
        let mut states = Vec::new();
        for node in nodes {
            let (silent, never) = self.observe(&node, now);
            let node = if silent { self.mark_unknown(&node, never).await } else { node };
            self.mark_pods(&node).await;
            states.push(node);
        }
        self.outlook = self.zones.judge(&count(states.iter().map(|node| (zone_of(node), is_down(node)))));
        if self.outlook == Outlook::Recovered {
            self.signs.values_mut().for_each(|sign| (sign.seen, sign.known_since) = (now, now));
        }
        self.next_eviction = None;
        for node in &states {
            self.settle(node, now).await;
        }
    }

    /// What a change of one node asks for: all are looked at only if it changes how its zone is doing.
    async fn look_at(&mut self, name: &str, changes: &Changes) {
        if self.zones.differ(&changes.counts()) {
            return self.look().await;
        }
        let now = self.now();
        match self.nodes.get(None, name) {
            Some(node) => {
                self.greet(&node);
                self.observe(&node, now);
                self.settle(&node, now).await;
            }
            None => self.take_leave(name),
        }
    }

    async fn settle(&mut self, node: &Value, now: Mono) {
        let name = node.name();
        if let Err(e) = self.taint(name, node, now).await {
            tracing::error!("failed to taint node {name:?}: {e}");
        }
    }

    /// Waits until a node's turn to be emptied comes; for ever if none waits.
    fn turn(&self) -> impl Future<Output = ()> + use<> {
        let (host, next) = (self.host.clone(), self.next_eviction);
        async move {
            match next {
                Some(next) => host.clock().sleep_until(next).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Tells of a node that came.
    fn greet(&self, node: &Value) {
        let name = node.name();
        if !self.signs.contains_key(name) {
            let words = format!("Node {name} event: Registered Node {name} in Controller");
            self.recorder.normal(node, "RegisteredNode", words);
        }
    }

    /// Tells of a node that went.
    fn take_leave(&mut self, name: &str) {
        self.to_retry.remove(name);
        if self.signs.remove(name).is_some() {
            let about = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
            let words = format!("Node {name} event: Removing Node {name} from Controller");
            self.recorder.normal(&about, "RemovingNode", words);
        }
    }

    /// Notes signs of life; whether the node has been silent for too long, and whether it ever spoke.
    fn observe(&mut self, node: &Value, now: Mono) -> (bool, bool) {
        let name = node.name();
        let renewed = self.renewed(name);
        let ready = condition(node, "Ready").cloned().unwrap_or(Value::Null);
        let sign = self.signs.entry(name.to_owned()).or_insert_with(|| Sign {
            seen: now,
            known_since: now,
            renewed: None,
            ready: ready.clone(),
        });
        let before = sign.renewed;
        // This controller leaves the heartbeat as it is: what it wrote itself is no sign of life.
        if sign.ready.str_at("/lastHeartbeatTime") != ready.str_at("/lastHeartbeatTime") {
            (sign.seen, sign.renewed) = (now, None);
        }
        if renewed.is_some_and(|at| before.is_none_or(|before| before < at)) {
            (sign.seen, sign.renewed) = (now, renewed);
        }
        sign.ready = ready.clone();
        let never = ready.is_null();
        let grace = self.periods.of(if never { self.startup_grace } else { self.grace });
        let since = if never { sign.known_since } else { sign.seen };
        (now.since(since) > grace, never)
    }

    /// When the node's lease was renewed last.
    fn renewed(&self, node: &str) -> Option<Wall> {
        self.leases.get("kube-node-lease", node).and_then(|lease| lease.time_at("/spec/renewTime"))
    }

    async fn mark_unknown(&mut self, node: &Arc<Value>, never: bool) -> Arc<Value> {
        if condition_is(node, "Ready", "Unknown") {
            return node.clone();
        }
        let (reason, words) = if never {
            ("NodeStatusNeverUpdated", "Kubelet never posted node status.")
        } else {
            ("NodeStatusUnknown", "Kubelet stopped posting node status.")
        };
        let now = rfc3339(self.host.clock().wall());
        let created = node.str_at("/metadata/creationTimestamp");
        let conditions: Vec<Value> = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]
            .into_iter()
            .map(|kind| {
                let heartbeat = condition(node, kind).map_or(created, |c| c.str_at("/lastHeartbeatTime"));
                json!({"lastHeartbeatTime": heartbeat, "lastTransitionTime": now, "message": words, "reason": reason, "status": "Unknown", "type": kind})
            })
            .collect();
        let name = node.name();
        let patch = json!({"status": {"conditions": conditions}});
        match self.rest.patch(&NODES, None, name, Patch::Strategic(&patch), Some("status")).await {
            Ok(updated) => {
                self.host.record("node", vec![("name", name.to_owned()), ("state", "unknown".into())]);
                let renewed = self.renewed(name);
                if let Some(sign) = self.signs.get_mut(name) {
                    sign.renewed = renewed;
                    sign.ready = condition(&updated, "Ready").cloned().unwrap_or(Value::Null);
                }
                if condition_is(node, "Ready", "True") {
                    let words = format!("Node {name} status is now: NodeNotReady");
                    self.recorder.normal(node, "NodeNotReady", words);
                    self.to_retry.insert(name.to_owned());
                }
                Arc::new(updated)
            }
            Err(e) => {
                tracing::error!("failed to update status of node {name:?}: {e}");
                node.clone()
            }
        }
    }

    /// Marks the pods of a node that has just fallen silent; at the next looks those that could not be.
    async fn mark_pods(&mut self, node: &Value) {
        let name = node.name();
        if self.to_retry.contains(name) && (!is_down(node) || self.mark_pods_not_ready(name).await) {
            self.to_retry.remove(name);
        }
    }

    /// Whether all are marked (`MarkPodsNotReady`).
    async fn mark_pods_not_ready(&self, node: &str) -> bool {
        let mut all = true;
        for pod in self
            .pods
            .list()
            .iter()
            .filter(|p| p.str_at("/spec/nodeName") == node && condition_is(p, "Ready", "True"))
        {
            let now = rfc3339(self.host.clock().wall());
            let patch = json!({
                "metadata": {"uid": pod.uid()},
                "status": {"conditions": [{"lastTransitionTime": now, "status": "False", "type": "Ready"}]},
            });
            let (namespace, name) = (pod.namespace(), pod.name());
            match self
                .rest
                .patch(&PODS, Some(namespace), name, Patch::Strategic(&patch), Some("status"))
                .await
            {
                Ok(_) => self.recorder.warning(pod, "NodeNotReady", "Node is not ready"),
                Err(e) if e.is_not_found() => {}
                Err(e) => {
                    tracing::warn!("unable to mark pod {namespace}/{name} NotReady: {e}");
                    all = false;
                }
            }
        }
        all
    }

    async fn taint(&mut self, name: &str, node: &Value, now: Mono) -> Result<(), ClientError> {
        let old: Vec<Value> = node.list_at("/spec/taints").to_vec();
        let eviction = self.eviction(node, &old, now);
        let wanted = taints::wanted(node, &old, eviction, self.host.clock().wall());
        if wanted == old {
            return Ok(());
        }
        // The precondition keeps a taint that somebody else has just set.
        let patch = json!({
            "metadata": {"resourceVersion": node.resource_version()},
            "spec": {"taints": if wanted.is_empty() { Value::Null } else { json!(wanted) }},
        });
        match self.rest.patch(&NODES, None, name, Patch::Merge(&patch), None).await {
            Ok(_) => Ok(()),
            Err(e) if e.is_conflict() || e.is_not_found() => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// What may become of the node's pods now. The first time, it has to be the node's turn.
    fn eviction(&mut self, node: &Value, taints: &[Value], now: Mono) -> Eviction {
        if self.outlook == Outlook::AllDown {
            return Eviction::Off;
        }
        if taints::unready_key(node).is_none() || taints::is_evicting(taints) {
            return Eviction::Begun;
        }
        let zone = zone_of(node);
        if self.zones.take(&zone, now) {
            return Eviction::On;
        }
        let next = self.zones.next(&zone);
        self.next_eviction = [self.next_eviction, next].into_iter().flatten().min();
        Eviction::Begun
    }
}

/// Whether a node counts as down: whoever is not Ready does.
pub(super) fn is_down(node: &Value) -> bool {
    !condition_is(node, "Ready", "True")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use api::status::Status;
    use world::sim::{Config, run};

    use super::*;
    use crate::testing::Fake;

    #[test]
    fn a_pod_that_could_not_be_marked_is_marked_at_the_next_look() {
        let story = run(Config::default(), |sim| async move {
            let (host, server) = (sim.host("cp"), Fake::start(&sim).await);
            let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
            server.holds("/api/v1/nodes", vec![json!({"metadata": {"name": "node1"}, "status": ready})]);
            let pod = |name: &str, node: &str| {
                json!({
                    "metadata": {"namespace": "n", "name": name, "uid": name},
                    "spec": {"nodeName": node},
                    "status": ready,
                })
            };
            server.holds("/api/v1/pods", vec![pod("a", "node1"), pod("b", "node1"), pod("c", "node2")]);
            let failed = AtomicBool::new(false);
            server.answer(move |line, _| {
                let first = line.ends_with("/pods/a/status") && !failed.swap(true, Ordering::Relaxed);
                first.then(|| Status::internal("for a moment"))
            });
            super::run(&server.context(&host, &["--kubernetes-version=1.36.0"]));
            let marked = |server: &Fake| {
                let written = server.written().into_iter().map(|(line, _)| line);
                let names = written
                    .filter_map(|line| Some(line.split_once("/pods/")?.1.split('/').next()?.to_owned()));
                names.collect::<Vec<String>>()
            };
            sim.elapse(Duration::from_secs(50)).await;
            assert!(marked(&server).is_empty(), "its grace is not over");
            sim.elapse(Duration::from_secs(60)).await;
            assert_eq!(marked(&server), ["a", "b", "a"], "each until it is marked, and then no more");
        });
        story.expect("a world");
    }
}
