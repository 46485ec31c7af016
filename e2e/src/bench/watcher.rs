//! Another client that watches kubelets come up: with its own credentials, from its own host.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chronoplane::HarnessError;
use client::{Informer, InformerOptions, Resource};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use world::{Host, Mono};

use super::fleet::Fleet;

const NODES: Resource = Resource::core("nodes");
const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");
/// Where kubelets' leases are.
const NAMESPACE: &str = "kube-node-lease";

/// See the module.
pub struct Watcher {
    host: Host,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Notify,
}

#[derive(Default)]
struct Seen {
    ready: BTreeSet<String>,
    leased: BTreeSet<String>,
    /// When both were first true.
    since: BTreeMap<String, Mono>,
    /// Nodes that were Ready and are no longer.
    lost: BTreeSet<String>,
    renewals: u64,
}

impl Shared {
    fn note(&self, change: impl FnOnce(&mut Seen) -> Option<String>, now: Mono) {
        let mut seen = self.seen.lock();
        let Some(name) = change(&mut seen) else { return };
        if seen.ready.contains(&name) && seen.leased.contains(&name) && !seen.since.contains_key(&name) {
            seen.since.insert(name, now);
            drop(seen);
            self.changed.notify_waiters();
        }
    }
}

impl Watcher {
    /// Begins to watch as an administrator on `host`.
    ///
    /// # Errors
    /// The administrator's kubeconfig does not fit.
    pub async fn start(fleet: &Fleet, host: &Host) -> Result<Self, HarnessError> {
        let rest = fleet.admin(host)?;
        let shared = Arc::<Shared>::default();
        // Its own copies are not what is measured.
        let packed = InformerOptions { packed: true, ..InformerOptions::default() };
        let nodes = Informer::start(host, &rest, NODES, packed.clone());
        let of_kubelets = InformerOptions { namespace: Some(NAMESPACE.to_owned()), ..packed };
        let leases = Informer::start(host, &rest, LEASES, of_kubelets);
        let (told, clock) = (shared.clone(), host.clock().clone());
        nodes.on(move |change| {
            let node = change.object();
            let (name, is_ready) = (name(node), is_ready(node));
            let note = |seen: &mut Seen| {
                if is_ready {
                    seen.ready.insert(name.clone());
                } else if seen.ready.remove(&name) {
                    seen.lost.insert(name.clone());
                }
                Some(name)
            };
            told.note(note, clock.monotonic());
        });
        let (told, clock) = (shared.clone(), host.clock().clone());
        leases.on(move |change| {
            let name = name(change.object());
            let note = |seen: &mut Seen| {
                seen.renewals += 1;
                seen.leased.insert(name.clone()).then_some(name)
            };
            told.note(note, clock.monotonic());
        });
        nodes.synced().await;
        leases.synced().await;
        Ok(Self { host: host.clone(), shared })
    }

    /// The watcher's clock.
    pub fn now(&self) -> Mono {
        self.host.clock().monotonic()
    }

    /// When each node was first seen Ready and with its Lease.
    pub fn ready(&self) -> BTreeMap<String, Mono> {
        self.shared.seen.lock().since.clone()
    }

    /// Nodes that have been Ready and then were not.
    pub fn lost(&self) -> BTreeSet<String> {
        self.shared.seen.lock().lost.clone()
    }

    /// How often any Lease has changed so far.
    pub fn renewals(&self) -> u64 {
        self.shared.seen.lock().renewals
    }

    /// Waits until `count` nodes are Ready.
    ///
    /// # Errors
    /// Not by `deadline`; says how many are.
    pub async fn until(&self, count: usize, deadline: Mono) -> Result<(), HarnessError> {
        loop {
            let changed = self.shared.changed.notified();
            let there = self.shared.seen.lock().since.len();
            if there >= count {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = self.host.clock().sleep_until(deadline) => {
                    return Err(HarnessError::new(format!("{there} nodes became Ready in time, {count} should have")));
                }
            }
        }
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watcher({} Ready)", self.shared.seen.lock().since.len())
    }
}

fn name(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}
