//! What the node lifecycle is told of nodes between two looks at all of them: in a cluster of thousands some
//! node changes all the time, and looking at all of them for each would never end.

use std::collections::{BTreeMap, BTreeSet};

use client::Change;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{lifecycle::is_down, zones::zone_of};

/// How many nodes of each zone are ready and how many are down.
pub(super) type Counts = BTreeMap<String, (usize, usize)>;

/// Counts nodes, given the zone of each and whether it is down.
pub(super) fn count(nodes: impl Iterator<Item = (String, bool)>) -> Counts {
    let mut counts = Counts::new();
    for (zone, down) in nodes {
        let (ready, not) = counts.entry(zone).or_default();
        *(if down { not } else { ready }) += 1;
    }
    counts
}

/// Nodes that have changed and were not looked at yet, and how all of them are doing.
#[derive(Default)]
pub(super) struct Changes {
    state: Mutex<State>,
    told: Notify,
}

#[derive(Default)]
struct State {
    changed: BTreeSet<String>,
    /// By name: the zone, and whether the node is down.
    nodes: BTreeMap<String, (String, bool)>,
    counts: Counts,
}

impl State {
    fn set(&mut self, name: &str, is: Option<(String, bool)>) {
        let was = match is.clone() {
            Some(is) => self.nodes.insert(name.to_owned(), is),
            None => self.nodes.remove(name),
        };
        if let Some((zone, down)) = is {
            let (ready, not) = self.counts.entry(zone).or_default();
            *(if down { not } else { ready }) += 1;
        }
        if let Some((zone, down)) = was
            && let Some((ready, not)) = self.counts.get_mut(&zone)
        {
            *(if down { &mut *not } else { &mut *ready }) -= 1;
            if (*ready, *not) == (0, 0) {
                self.counts.remove(&zone);
            }
        }
    }
}

impl Changes {
    pub(super) fn note(&self, change: &Change) {
        let (name, node) = (change.key(), change.object());
        let is = (!matches!(change, Change::Deleted(_))).then(|| (zone_of(node), is_down(node)));
        {
            let mut state = self.state.lock();
            state.set(&name, is);
            state.changed.insert(name);
        }
        self.told.notify_one();
    }

    pub(super) fn counts(&self) -> Counts {
        self.state.lock().counts.clone()
    }

    /// Waits until there are some.
    pub(super) async fn next(&self) -> BTreeSet<String> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn counts_follow_every_change() {
        let node = |name: &str, zone: &str, ready: &str| -> Arc<Value> {
            Arc::new(json!({
                "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }))
        };
        let changes = Changes::default();
        let mut nodes = BTreeMap::<String, Arc<Value>>::new();
        let mut check = |name: &str, is: Option<(&str, &str)>, expect: &[(&str, (usize, usize))]| {
            let new = is.map(|(zone, ready)| node(name, zone, ready));
            let old = match &new {
                Some(new) => nodes.insert(name.to_owned(), new.clone()),
                None => nodes.remove(name),
            };
            changes.note(&match (old, new) {
                (Some(old), Some(new)) => Change::Updated { old, new },
                (None, Some(new)) => Change::Added(new),
                (Some(old), None) => Change::Deleted(old),
                (None, None) => return,
            });
            let expect: Counts = expect.iter().map(|(zone, n)| ((*zone).to_owned(), *n)).collect();
            assert_eq!(changes.counts(), expect, "after {name} {is:?}");
            let anew = count(nodes.values().map(|n| (zone_of(n), is_down(n))));
            assert_eq!(anew, expect, "counted anew");
        };
        check("a", Some(("x", "True")), &[("/x", (1, 0))]);
        check("b", Some(("x", "Unknown")), &[("/x", (1, 1))]);
        check("b", Some(("x", "True")), &[("/x", (2, 0))]);
        check("b", Some(("y", "False")), &[("/x", (1, 0)), ("/y", (0, 1))]);
        check("a", None, &[("/y", (0, 1))]);
    }
}
