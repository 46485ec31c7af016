//! Which objects lead to which node.
//!
//! ```text
//!   node ◄── pod (spec.nodeName) ◄── secret, configmap, serviceaccount, resourceclaim, persistentvolumeclaim
//!   persistentvolumeclaim ◄── persistentvolume (spec.claimRef) ◄── secret
//!   node ◄── volumeattachment, resourceslice
//! ```
//!
//! What pods lead to is counted by node, so that the question is one look-up; the two steps from a secret over a
//! volume to a claim are walked. Each kind of object is put and taken away by itself, in any order: a volume may come
//! before its claim's pod.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use api::object::ObjectExt as _;
use serde_json::Value;

use super::volume_references;
use crate::authz::pod_references::{self, MIRROR_POD};

/// A kind of object that pods lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Vertex {
    Pod,
    Secret,
    ConfigMap,
    ServiceAccount,
    Claim,
    ResourceClaim,
}

/// All of them, in the order of their numbers.
#[cfg(test)]
pub(super) const VERTICES: [Vertex; 6] = [
    Vertex::Pod,
    Vertex::Secret,
    Vertex::ConfigMap,
    Vertex::ServiceAccount,
    Vertex::Claim,
    Vertex::ResourceClaim,
];

/// Namespace and name.
type Key = (String, String);

/// Something by namespace and name. Hashed maps are asked by key only: their order must not show.
type ByName<T> = HashMap<String, HashMap<String, T>>;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Graph {
    /// What each bound pod leads to, to take it away again.
    pods: HashMap<Key, Bound>,
    /// For each object, the nodes that it can be reached from, and by how many pods. One table a kind.
    nodes: [ByName<BTreeMap<String, usize>>; 6],
    /// Bound persistent volumes.
    volumes: HashMap<String, Volume>,
    /// The volumes that need a secret.
    needed_by: ByName<BTreeSet<String>>,
    /// Volume attachments and resource slices, each with its node.
    attachments: HashMap<String, String>,
    slices: HashMap<String, String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Bound {
    node: String,
    objects: Vec<(Vertex, String)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Volume {
    claim: Key,
    secrets: Vec<Key>,
}

impl Graph {
    /// Pods that are bound to a node.
    pub(super) fn bound_pods(&self) -> usize {
        self.pods.len()
    }

    /// A pod as it is now.
    pub(super) fn put_pod(&mut self, pod: &Value) {
        self.remove_pod(pod.namespace(), pod.name());
        let node = pod.str_at("/spec/nodeName");
        if node.is_empty() {
            return;
        }
        let (namespace, objects) = (pod.namespace().to_owned(), leads_to(pod));
        for (vertex, name) in &objects {
            let named = self.nodes[*vertex as usize].entry(namespace.clone()).or_default();
            *named.entry(name.clone()).or_default().entry(node.to_owned()).or_default() += 1;
        }
        self.pods.insert((namespace, pod.name().to_owned()), Bound { node: node.to_owned(), objects });
    }

    /// A pod is no more.
    pub(super) fn remove_pod(&mut self, namespace: &str, name: &str) {
        let Some(bound) = self.pods.remove(&(namespace.to_owned(), name.to_owned())) else { return };
        for (vertex, name) in bound.objects {
            let table = &mut self.nodes[vertex as usize];
            let Some(named) = table.get_mut(namespace) else { continue };
            if let Some(nodes) = named.get_mut(&name) {
                match nodes.get_mut(&bound.node) {
                    Some(count) if *count > 1 => *count -= 1,
                    _ => {
                        nodes.remove(&bound.node);
                    }
                }
                if nodes.is_empty() {
                    named.remove(&name);
                }
            }
            if named.is_empty() {
                table.remove(namespace);
            }
        }
    }

    /// A persistent volume as it is now.
    pub(super) fn put_volume(&mut self, volume: &Value) {
        self.remove_volume(volume.name());
        if !volume.at("/spec/claimRef").is_some_and(Value::is_object) {
            return;
        }
        let claim = |at: &str| volume.str_at(&format!("/spec/claimRef/{at}")).to_owned();
        let secrets = volume_references::secrets(volume);
        for (namespace, name) in &secrets {
            let named = self.needed_by.entry(namespace.clone()).or_default();
            named.entry(name.clone()).or_default().insert(volume.name().to_owned());
        }
        let volume_of = Volume { claim: (claim("namespace"), claim("name")), secrets };
        self.volumes.insert(volume.name().to_owned(), volume_of);
    }

    /// A persistent volume is no more.
    pub(super) fn remove_volume(&mut self, name: &str) {
        let Some(volume) = self.volumes.remove(name) else { return };
        for (namespace, secret) in volume.secrets {
            let Some(named) = self.needed_by.get_mut(&namespace) else { continue };
            if let Some(volumes) = named.get_mut(&secret) {
                volumes.remove(name);
                if volumes.is_empty() {
                    named.remove(&secret);
                }
            }
            if named.is_empty() {
                self.needed_by.remove(&namespace);
            }
        }
    }

    /// A volume attachment as it is now, or none.
    pub(super) fn set_attachment(&mut self, name: &str, attachment: Option<&Value>) {
        set(&mut self.attachments, name, attachment);
    }

    /// A resource slice as it is now, or none.
    pub(super) fn set_slice(&mut self, name: &str, slice: Option<&Value>) {
        set(&mut self.slices, name, slice);
    }

    /// Whether an object can be reached from a node.
    pub(super) fn reaches(&self, node: &str, vertex: Vertex, namespace: &str, name: &str) -> bool {
        let nodes = self.nodes[vertex as usize].get(namespace).and_then(|named| named.get(name));
        if nodes.is_some_and(|nodes| nodes.contains_key(node)) {
            return true;
        }
        let volumes = match vertex {
            Vertex::Secret => self.needed_by.get(namespace).and_then(|named| named.get(name)),
            _ => None,
        };
        volumes.is_some_and(|volumes| volumes.iter().any(|volume| self.reaches_volume(node, volume)))
    }

    /// Whether a persistent volume can be reached from a node.
    pub(super) fn reaches_volume(&self, node: &str, name: &str) -> bool {
        self.volumes.get(name).is_some_and(|volume| {
            let (namespace, name) = &volume.claim;
            self.reaches(node, Vertex::Claim, namespace, name)
        })
    }

    /// Whether a volume attachment is a node's.
    pub(super) fn attaches(&self, node: &str, name: &str) -> bool {
        self.attachments.get(name).is_some_and(|held| held == node)
    }

    /// Whether a resource slice is a node's.
    pub(super) fn slices(&self, node: &str, name: &str) -> bool {
        self.slices.get(name).is_some_and(|held| held == node)
    }
}

/// What a bound pod leads to, itself first.
fn leads_to(pod: &Value) -> Vec<(Vertex, String)> {
    let mut objects = vec![(Vertex::Pod, pod.name().to_owned())];
    // A kubelet writes mirror pods itself: they must not open anything to it.
    if pod.annotation(MIRROR_POD).is_some() {
        return objects;
    }
    let account = pod.str_at("/spec/serviceAccountName");
    if !account.is_empty() {
        objects.push((Vertex::ServiceAccount, account.to_owned()));
    }
    objects.extend(pod_references::secrets(pod).map(|name| (Vertex::Secret, name.to_owned())));
    objects.extend(pod_references::config_maps(pod).map(|name| (Vertex::ConfigMap, name.to_owned())));
    objects.extend(pod_references::claims(pod).map(|name| (Vertex::Claim, name)));
    let devices = pod_references::resource_claims(pod);
    objects.extend(devices.map(|name| (Vertex::ResourceClaim, name.to_owned())));
    objects
}

/// The two kinds that say their node themselves.
fn set(held: &mut HashMap<String, String>, name: &str, object: Option<&Value>) {
    let node = object.map(|object| object.str_at("/spec/nodeName")).unwrap_or_default();
    if node.is_empty() {
        held.remove(name);
    } else {
        held.insert(name.to_owned(), node.to_owned());
    }
}

#[cfg(test)]
mod tests;
