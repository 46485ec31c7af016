//! Who watches a resource, so that a change finds those whom it concerns without asking all of them.
//!
//! Thousands of kubelets watch one object each, and the pods of one node: a watcher whose filter names an
//! object or a node hears of nothing else (upstream's cacher has the same two triggers).

use std::{collections::BTreeMap, sync::Arc};

use api::object::ObjectExt;
use tokio::sync::mpsc;

use super::{
    cache::Delayed,
    change::{Change, Filter},
    item::Item,
};

const NODE_NAME: &str = "spec.nodeName";
/// So many narrow watchers may there be before those that have left are looked for.
const FEW: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Watchers {
    open: Vec<Watcher>,
    /// By the key of the one object.
    of_object: BTreeMap<String, Vec<Watcher>>,
    /// By the node whose pods they are.
    of_node: BTreeMap<String, Vec<Watcher>>,
    narrow: usize,
    sweep_at: usize,
}

struct Watcher {
    namespace: String,
    /// Events up to here are known to the watcher.
    after: i64,
    sender: mpsc::Sender<Arc<Change>>,
}

impl Watcher {
    /// Passes a change on; whether the watcher is still there.
    fn tell(&self, namespace: &str, change: &Arc<Change>, delayed: &mut Vec<Delayed>) -> bool {
        let elsewhere = !self.namespace.is_empty() && self.namespace != namespace;
        if change.revision <= self.after || elsewhere {
            return !self.sender.is_closed();
        }
        // Behind what already waits for room, or the order would be lost.
        if delayed.iter().any(|waiting| waiting.sender.same_channel(&self.sender)) {
            delayed.push(Delayed { sender: self.sender.clone(), change: change.clone() });
            return true;
        }
        match self.sender.try_send(change.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(change)) => {
                delayed.push(Delayed { sender: self.sender.clone(), change });
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

impl Watchers {
    pub(super) fn add(
        &mut self,
        filter: &Filter,
        namespaced: bool,
        after: i64,
        sender: mpsc::Sender<Arc<Change>>,
    ) {
        let watcher = Watcher { namespace: filter.namespace.clone(), after, sender };
        let key = filter.key(namespaced);
        let place = match (key, filter.fields.requirement(NODE_NAME)) {
            (Some(key), _) => self.of_object.entry(key).or_default(),
            (None, Some(node)) => self.of_node.entry(node.to_owned()).or_default(),
            (None, None) => {
                self.open.retain(|w| !w.sender.is_closed());
                self.open.push(watcher);
                return;
            }
        };
        place.push(watcher);
        self.narrow += 1;
        if self.narrow > self.sweep_at.max(FEW) {
            self.sweep(|w| !w.sender.is_closed());
        }
    }

    /// Passes a change of the object under `key` on to whom it may concern.
    pub(super) fn tell(&mut self, key: &str, change: &Arc<Change>, delayed: &mut Vec<Delayed>) {
        let namespace = key.split_once('/').map_or("", |(namespace, _)| namespace);
        tell_some(&mut self.of_object, key, namespace, change, delayed);
        if !self.of_node.is_empty() {
            let (old, new) = (change.old().and_then(node_of), change.new_item().and_then(node_of));
            for node in new.iter().chain(old.iter().filter(|old| new.as_ref() != Some(old))) {
                tell_some(&mut self.of_node, node, namespace, change, delayed);
            }
        }
        self.open.retain(|watcher| watcher.tell(namespace, change, delayed));
    }

    pub(super) fn remove(&mut self, sender: &mpsc::Sender<Arc<Change>>) {
        self.open.retain(|w| !w.sender.same_channel(sender));
        self.sweep(|w| !w.sender.same_channel(sender));
    }

    /// Lets go of so many, of those that are still there; how many there were.
    pub(super) fn end(&mut self, most: usize) -> usize {
        let mut ended = 0;
        let mut stays = |watcher: &Watcher| {
            let there = !watcher.sender.is_closed();
            let ends = there && ended < most;
            ended += usize::from(ends);
            there && !ends
        };
        self.open.retain(&mut stays);
        for places in [&mut self.of_object, &mut self.of_node] {
            places.retain(|_, watchers| {
                watchers.retain(&mut stays);
                !watchers.is_empty()
            });
        }
        self.narrow = self.of_object.values().chain(self.of_node.values()).map(Vec::len).sum();
        ended
    }

    fn sweep(&mut self, stays: impl Fn(&Watcher) -> bool) {
        for places in [&mut self.of_object, &mut self.of_node] {
            places.retain(|_, watchers| {
                watchers.retain(&stays);
                !watchers.is_empty()
            });
        }
        self.narrow = self.of_object.values().chain(self.of_node.values()).map(Vec::len).sum();
        self.sweep_at = self.narrow * 2;
    }
}

fn tell_some(
    places: &mut BTreeMap<String, Vec<Watcher>>,
    place: &str,
    namespace: &str,
    change: &Arc<Change>,
    delayed: &mut Vec<Delayed>,
) {
    let Some(watchers) = places.get_mut(place) else { return };
    watchers.retain(|watcher| watcher.tell(namespace, change, delayed));
    if watchers.is_empty() {
        places.remove(place);
    }
}

/// The node that a pod is bound to; empty for none, which can be watched too.
fn node_of(item: &Arc<Item>) -> Option<String> {
    item.object().ok().map(|object| object.str_at("/spec/nodeName").to_owned())
}
