//! What a decision looks at besides the pod: nodes, the pods on them, namespaces, storage.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::object::ObjectExt as _;
use serde_json::Value;

/// A pod that has its node.
#[derive(Clone)]
pub(super) struct Placed {
    pub pod: Arc<Value>,
    pub node: Arc<Value>,
}

/// Claims by key, volumes and classes by name; empty for a pod without claims.
#[derive(Clone, Default)]
pub(super) struct Storage {
    pub claims: BTreeMap<String, Arc<Value>>,
    pub volumes: Vec<Arc<Value>>,
    pub classes: BTreeMap<String, Arc<Value>>,
}

/// See the module. What is assumed but not yet shown by informers is part of it.
#[derive(Clone, Default)]
pub(super) struct Around {
    pub nodes: Vec<Arc<Value>>,
    pub namespaces: Vec<Arc<Value>>,
    pub storage: Arc<Storage>,
    pub placed: Vec<Placed>,
    by_node: BTreeMap<String, Vec<Arc<Value>>>,
}

impl Around {
    pub(super) fn new(nodes: Vec<Arc<Value>>, namespaces: Vec<Arc<Value>>, storage: Storage) -> Self {
        Self { nodes, namespaces, storage: Arc::new(storage), ..Self::default() }
    }

    /// A pod takes its place.
    pub(super) fn put(&mut self, pod: Arc<Value>, node: Arc<Value>) {
        self.by_node.entry(node.name().to_owned()).or_default().push(pod.clone());
        self.placed.push(Placed { pod, node });
    }

    /// The pods that take room on `node`.
    pub(super) fn on(&self, node: &str) -> &[Arc<Value>] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }

    /// The same without the pods of these UIDs.
    pub(super) fn without(&self, uids: &BTreeSet<&str>) -> Self {
        let stays = |pod: &Arc<Value>| !uids.contains(pod.uid());
        let mut less = self.clone();
        less.placed.retain(|p| stays(&p.pod));
        less.by_node.values_mut().for_each(|pods| pods.retain(&stays));
        less
    }
}
