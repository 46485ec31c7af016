//! nodelifecycle: what counts is when this controller saw a sign of life, on its own running clock.
//! A node's skewed wall clock changes nothing; all nodes are one zone.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use client::{Change, ClientError, Informer, Patch, Rest, recorder::Recorder};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use world::{Host, Mono, Periods, rfc3339};

use super::{LEASES, NODES, NOT_READY, PODS, UNREACHABLE};
use crate::{
    context::Context,
    objects::{condition, condition_is, list, text},
};

/// First taint of a silent node: one node in ten seconds.
const EVICTION_INTERVAL: Duration = Duration::from_secs(10);

/// What was last seen of a node, and when on the running clock.
struct Sign {
    seen: Mono,
    known_since: Mono,
    renew_time: String,
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
    next_eviction: Mono,
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
        next_eviction: Mono::default(),
    };
    let (period, host) = (c.options.node_monitor_period, c.host.clone());
    let changes = Arc::<Changes>::default();
    let feed = changes.clone();
    lifecycle.nodes.on(move |change| feed.note(change));
    c.host.spawn(async move {
        lifecycle.nodes.synced().await;
        lifecycle.leases.synced().await;
        loop {
            lifecycle.look().await;
            let mut next_look = pin!(host.recur(period));
            // A taint must not wait for the next look when a node changes: that node is looked at now.
            loop {
                tokio::select! {
                    biased;
                    () = &mut next_look => break,
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

/// Nodes that have changed and were not looked at yet, and those that are not Ready.
#[derive(Default)]
struct Changes {
    state: Mutex<ChangesState>,
    told: Notify,
}

#[derive(Default)]
struct ChangesState {
    changed: BTreeSet<String>,
    down: BTreeSet<String>,
}

impl Changes {
    fn note(&self, change: &Change) {
        let name = change.key();
        let mut state = self.state.lock();
        if !matches!(change, Change::Deleted(_)) && is_down(change.object()) {
            state.down.insert(name.clone());
        } else {
            state.down.remove(&name);
        }
        state.changed.insert(name);
        drop(state);
        self.told.notify_one();
    }

    fn down(&self) -> usize {
        self.state.lock().down.len()
    }

    /// Waits until there are some.
    async fn next(&self) -> BTreeSet<String> {
        loop {
            let told = self.told.notified();
            let changed = std::mem::take(&mut self.state.lock().changed);
            if !changed.is_empty() {
                return changed;
            }
            told.await;
        }
    }
}

fn is_down(node: &Value) -> bool {
    !condition_is(node, "Ready", "True")
}

/// How much of the cluster is down: it decides whether anything is evicted.
#[derive(Clone, Copy)]
struct Damage {
    /// Everything: more likely the fault is here.
    all: bool,
    /// More than half: in a small cluster evictions stop.
    many: bool,
}

impl Damage {
    fn of(down: usize, nodes: usize) -> Self {
        Self { all: nodes > 0 && down == nodes, many: down > 2 && down * 100 >= nodes * 55 }
    }
}

impl Lifecycle {
    async fn look(&mut self) {
        let now = self.host.clock().monotonic();
        let nodes = self.nodes.list();
        if self.periods != self.host.periods() {
            // A node that was rightly silent at the old pace has a whole grace at the new one.
            self.periods = self.host.periods();
            self.signs.values_mut().for_each(|sign| (sign.seen, sign.known_since) = (now, now));
        }
        self.signs.retain(|name, _| self.nodes.get(None, name).is_some());
        let mut states = Vec::new();
        for node in nodes {
            let (silent, never) = self.observe(&node, now);
            states.push(if silent { self.mark_unknown(&node, never).await } else { node });
        }
        let damage = Damage::of(states.iter().filter(|n| is_down(n)).count(), states.len());
        for node in &states {
            self.settle(node, damage, now).await;
        }
    }

    /// What a change of one node asks for.
    async fn look_at(&mut self, name: &str, changes: &Changes) {
        let now = self.host.clock().monotonic();
        let Some(node) = self.nodes.get(None, name) else {
            self.signs.remove(name);
            return;
        };
        self.observe(&node, now);
        let damage = Damage::of(changes.down(), self.nodes.len());
        self.settle(&node, damage, now).await;
    }

    async fn settle(&mut self, node: &Value, damage: Damage, now: Mono) {
        let name = text(node, "/metadata/name");
        if let Err(e) = self.taint(name, node, damage, now).await {
            tracing::error!("failed to taint node {name:?}: {e}");
        }
    }

    /// Notes signs of life; whether the node has been silent for too long, and whether it ever spoke.
    fn observe(&mut self, node: &Value, now: Mono) -> (bool, bool) {
        let name = text(node, "/metadata/name");
        let lease = self.leases.get("kube-node-lease", name);
        let renew_time = lease.as_deref().map(|l| text(l, "/spec/renewTime")).unwrap_or_default();
        let ready = condition(node, "Ready").cloned().unwrap_or(Value::Null);
        let sign = self.signs.entry(name.to_owned()).or_insert_with(|| Sign {
            seen: now,
            known_since: now,
            renew_time: renew_time.to_owned(),
            ready: ready.clone(),
        });
        // What this controller wrote itself is no sign of life.
        let spoke = sign.ready != ready && text(&ready, "/reason") != "NodeStatusUnknown";
        if sign.renew_time != renew_time || spoke {
            sign.seen = now;
        }
        sign.renew_time = renew_time.to_owned();
        sign.ready = ready.clone();
        let never = ready.is_null();
        let grace = self.periods.of(if never { self.startup_grace } else { self.grace });
        let since = if never { sign.known_since } else { sign.seen };
        (now.since(since) > grace, never)
    }

    async fn mark_unknown(&self, node: &Arc<Value>, never: bool) -> Arc<Value> {
        if condition_is(node, "Ready", "Unknown") {
            return node.clone();
        }
        let (reason, words) = if never {
            ("NodeStatusNeverUpdated", "Kubelet never posted node status.")
        } else {
            ("NodeStatusUnknown", "Kubelet stopped posting node status.")
        };
        let now = rfc3339(self.host.clock().wall());
        let created = text(node, "/metadata/creationTimestamp");
        let conditions: Vec<Value> = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]
            .into_iter()
            .map(|kind| {
                let heartbeat = condition(node, kind).map_or(created, |c| text(c, "/lastHeartbeatTime"));
                json!({"lastHeartbeatTime": heartbeat, "lastTransitionTime": now, "message": words, "reason": reason, "status": "Unknown", "type": kind})
            })
            .collect();
        let name = text(node, "/metadata/name");
        let patch = json!({"status": {"conditions": conditions}});
        match self.rest.patch(&NODES, None, name, Patch::Strategic(&patch), Some("status")).await {
            Ok(updated) => {
                self.host.record("node", vec![("name", name.to_owned()), ("state", "unknown".into())]);
                self.recorder.normal(
                    node,
                    "NodeNotReady",
                    format!("Node {name} status is now: NodeNotReady"),
                );
                self.mark_pods_not_ready(name).await;
                Arc::new(updated)
            }
            Err(e) => {
                tracing::error!("failed to update status of node {name:?}: {e}");
                node.clone()
            }
        }
    }

    async fn mark_pods_not_ready(&self, node: &str) {
        for pod in self
            .pods
            .list()
            .iter()
            .filter(|p| text(p, "/spec/nodeName") == node && condition_is(p, "Ready", "True"))
        {
            let now = rfc3339(self.host.clock().wall());
            let patch = json!({"status": {"conditions": [{"lastTransitionTime": now, "status": "False", "type": "Ready"}]}});
            let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
            match self
                .rest
                .patch(&PODS, Some(namespace), name, Patch::Strategic(&patch), Some("status"))
                .await
            {
                Err(e) if !e.is_not_found() => tracing::warn!("pod {namespace}/{name} not marked: {e}"),
                _ => {}
            }
        }
    }

    async fn taint(
        &mut self,
        name: &str,
        node: &Value,
        damage: Damage,
        now: Mono,
    ) -> Result<(), ClientError> {
        let old: Vec<Value> = list(node, "/spec/taints").cloned().collect();
        let wanted = self.wanted_taints(node, &old, damage, now);
        if wanted == old {
            return Ok(());
        }
        // The precondition keeps a taint that somebody else has just set.
        let patch = json!({
            "metadata": {"resourceVersion": text(node, "/metadata/resourceVersion")},
            "spec": {"taints": if wanted.is_empty() { Value::Null } else { json!(wanted) }},
        });
        match self.rest.patch(&NODES, None, name, Patch::Merge(&patch), None).await {
            Ok(_) => Ok(()),
            Err(e) if e.is_conflict() || e.is_not_found() => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn wanted_taints(&mut self, node: &Value, old: &[Value], damage: Damage, now: Mono) -> Vec<Value> {
        let is = |taint: &Value, key: &str, effect: &str| {
            text(taint, "/key") == key && text(taint, "/effect") == effect
        };
        let had = |key: &str, effect: &str| old.iter().any(|t| is(t, key, effect));
        let status = condition(node, "Ready").map_or("", |c| text(c, "/status"));
        let key = match status {
            "True" => None,
            "Unknown" => Some(UNREACHABLE),
            // A node that has never said anything is not ready.
            _ => Some(NOT_READY),
        };
        let mut managed: Vec<(&str, &str)> = key.map(|k| (k, "NoSchedule")).into_iter().collect();
        for (kind, taint) in [
            ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
            ("DiskPressure", "node.kubernetes.io/disk-pressure"),
            ("PIDPressure", "node.kubernetes.io/pid-pressure"),
        ] {
            if condition_is(node, kind, "True") {
                managed.push((taint, "NoSchedule"));
            }
        }
        if node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true) {
            managed.push(("node.kubernetes.io/unschedulable", "NoSchedule"));
        }
        if let Some(key) = key.filter(|_| !damage.all) {
            let already = had(NOT_READY, "NoExecute") || had(UNREACHABLE, "NoExecute");
            let may_begin = !damage.many && now >= self.next_eviction;
            if already {
                managed.push((key, "NoExecute"));
            } else if may_begin {
                self.next_eviction = now + EVICTION_INTERVAL;
                managed.push((key, "NoExecute"));
            }
        }
        let ours = |t: &Value| {
            let key = text(t, "/key");
            matches!(
                key,
                NOT_READY
                    | UNREACHABLE
                    | "node.kubernetes.io/memory-pressure"
                    | "node.kubernetes.io/disk-pressure"
                    | "node.kubernetes.io/pid-pressure"
                    | "node.kubernetes.io/unschedulable"
            )
        };
        let mut wanted: Vec<Value> =
            old.iter().filter(|t| !ours(t) || managed.iter().any(|(k, e)| is(t, k, e))).cloned().collect();
        for (key, effect) in managed {
            if !wanted.iter().any(|t| is(t, key, effect)) {
                let mut taint = json!({"effect": effect, "key": key});
                if effect == "NoExecute" {
                    taint["timeAdded"] = rfc3339(self.host.clock().wall()).into();
                }
                wanted.push(taint);
            }
        }
        wanted
    }
}
