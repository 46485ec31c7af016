//! The node authorizer: a kubelet reaches its own node, lease and CSINode, the pods bound to its
//! node, and what those pods refer to.
//!
//! ```text
//!   node ◄── pod (spec.nodeName) ◄── secret, configmap, serviceaccount, persistentvolumeclaim
//!   persistentvolumeclaim ◄── persistentvolume (spec.claimRef)
//! ```
//!
//! It allows or has no opinion; it never denies. Volume attachments and resource claims are not
//! followed: no kubelet here asks for any.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use api::object::ObjectExt as _;
use client::Change;
use parking_lot::RwLock;
use serde_json::Value;

use super::{
    Attributes, Decision, Verdict,
    pod_references::{self, MIRROR_POD},
    rule::Rule,
};
use crate::{informers::Informers, policy};

const NODE_LEASES: &str = "kube-node-lease";

/// A kind of object that pods lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Vertex {
    Pod,
    Secret,
    ConfigMap,
    ServiceAccount,
    Claim,
}

/// Namespace and name.
type Key = (String, String);

#[derive(Default)]
struct Graph {
    /// What each bound pod leads to, to take it away again.
    pods: HashMap<Key, Bound>,
    /// For each object, the nodes that it can be reached from, and by how many pods.
    nodes: HashMap<(Vertex, String, String), BTreeMap<String, usize>>,
    /// The claim that each bound persistent volume belongs to.
    volumes: HashMap<String, Key>,
}

struct Bound {
    node: String,
    objects: Vec<(Vertex, String)>,
}

impl Graph {
    fn remove(&mut self, pod: &Key) {
        let Some(bound) = self.pods.remove(pod) else { return };
        for (vertex, name) in bound.objects {
            let key = (vertex, pod.0.clone(), name);
            let Some(nodes) = self.nodes.get_mut(&key) else { continue };
            if let Some(count) = nodes.get_mut(&bound.node) {
                *count -= 1;
                if *count == 0 {
                    nodes.remove(&bound.node);
                }
            }
            if nodes.is_empty() {
                self.nodes.remove(&key);
            }
        }
    }

    fn put(&mut self, pod: &Value) {
        let key = (pod.namespace().to_owned(), pod.name().to_owned());
        self.remove(&key);
        let node = pod.str_at("/spec/nodeName");
        if node.is_empty() {
            return;
        }
        let mut objects = vec![(Vertex::Pod, key.1.clone())];
        // A kubelet writes mirror pods itself: they must not open anything to it.
        if pod.annotation(MIRROR_POD).is_none() {
            let account = pod.str_at("/spec/serviceAccountName");
            if !account.is_empty() {
                objects.push((Vertex::ServiceAccount, account.to_owned()));
            }
            objects.extend(pod_references::secrets(pod).map(|name| (Vertex::Secret, name.to_owned())));
            objects.extend(pod_references::config_maps(pod).map(|name| (Vertex::ConfigMap, name.to_owned())));
            objects.extend(pod_references::claims(pod).map(|name| (Vertex::Claim, name)));
        }
        for (vertex, name) in &objects {
            let nodes = self.nodes.entry((*vertex, key.0.clone(), name.clone())).or_default();
            *nodes.entry(node.to_owned()).or_default() += 1;
        }
        self.pods.insert(key, Bound { node: node.to_owned(), objects });
    }

    fn reaches(&self, node: &str, vertex: Vertex, namespace: &str, name: &str) -> bool {
        let key = (vertex, namespace.to_owned(), name.to_owned());
        self.nodes.get(&key).is_some_and(|nodes| nodes.contains_key(node))
    }

    fn put_volume(&mut self, volume: &Value) {
        let claim = |at: &str| volume.str_at(&format!("/spec/claimRef/{at}")).to_owned();
        if volume.at("/spec/claimRef").is_some() {
            self.volumes.insert(volume.name().to_owned(), (claim("namespace"), claim("name")));
        } else {
            self.volumes.remove(volume.name());
        }
    }

    fn reaches_volume(&self, node: &str, name: &str) -> bool {
        let claim = self.volumes.get(name);
        claim.is_some_and(|(namespace, name)| self.reaches(node, Vertex::Claim, namespace, name))
    }
}

/// See the module.
pub struct NodeAuthorizer {
    graph: Arc<RwLock<Graph>>,
    rules: Vec<Rule>,
}

fn allow() -> Verdict {
    Verdict::new(Decision::Allow, "")
}

fn allow_if(allowed: bool, otherwise: &str) -> Verdict {
    if allowed { allow() } else { Verdict::no_opinion(otherwise) }
}

impl NodeAuthorizer {
    /// An authorizer that follows the informers of pods and persistent volumes.
    pub fn new(informers: &Informers) -> Self {
        let graph: Arc<RwLock<Graph>> = Arc::default();
        let followed = graph.clone();
        informers.pods.on(move |change| match change {
            Change::Added(pod) | Change::Updated { new: pod, .. } => followed.write().put(pod),
            Change::Deleted(pod) => {
                followed.write().remove(&(pod.namespace().to_owned(), pod.name().to_owned()));
            }
        });
        let followed = graph.clone();
        informers.persistent_volumes.on(move |change| match change {
            Change::Added(volume) | Change::Updated { new: volume, .. } => {
                followed.write().put_volume(volume);
            }
            Change::Deleted(volume) => {
                followed.write().volumes.remove(volume.name());
            }
        });
        Self { graph, rules: policy::node_rules().iter().map(Rule::from_value).collect() }
    }

    /// Allows a kubelet what is its node's; no opinion about anybody else.
    pub fn authorize(&self, request: &Attributes<'_>) -> Verdict {
        let Some(node) = request.user.node_name() else { return Verdict::no_opinion("") };
        if node.is_empty() {
            return Verdict::no_opinion(format!("unknown node for user {:?}", request.user.name));
        }
        if request.resource_request {
            match (request.group, request.resource) {
                ("", "secrets") => return self.read_one(node, Vertex::Secret, request),
                ("", "configmaps") => return self.read_one(node, Vertex::ConfigMap, request),
                ("", "persistentvolumeclaims") => {
                    return match request.subresource {
                        "status" => self.update_status(node, Vertex::Claim, request),
                        _ => self.get(node, Vertex::Claim, request),
                    };
                }
                ("", "persistentvolumes") => return self.volume(node, request),
                ("resource.k8s.io", "resourceclaims") | ("storage.k8s.io", "volumeattachments") => {
                    return unfollowed(node, request);
                }
                ("", "serviceaccounts") => return self.service_account(node, request),
                ("coordination.k8s.io", "leases") => return lease(node, request),
                ("storage.k8s.io", "csinodes") => return csi_node(node, request),
                ("", "nodes") => return own_node(node, request),
                ("", "pods") => return self.pod(node, request),
                _ => {}
            }
        }
        allow_if(self.rules.iter().any(|rule| rule.allows(request)), "")
    }

    fn related(&self, node: &str, vertex: Vertex, request: &Attributes<'_>) -> Verdict {
        if request.name.is_empty() {
            return Verdict::no_opinion("No Object name found");
        }
        let reached = self.graph.read().reaches(node, vertex, request.namespace, request.name);
        if reached { allow() } else { unrelated(node) }
    }

    fn get(&self, node: &str, vertex: Vertex, request: &Attributes<'_>) -> Verdict {
        match may_get(request) {
            Ok(()) => self.related(node, vertex, request),
            Err(verdict) => verdict,
        }
    }

    fn volume(&self, node: &str, request: &Attributes<'_>) -> Verdict {
        match may_get(request) {
            Ok(()) if self.graph.read().reaches_volume(node, request.name) => allow(),
            _ => unfollowed(node, request),
        }
    }

    fn read_one(&self, node: &str, vertex: Vertex, request: &Attributes<'_>) -> Verdict {
        if !matches!(request.verb, "get" | "list" | "watch") {
            return Verdict::no_opinion("can only read resources of this type");
        }
        if !request.subresource.is_empty() {
            return Verdict::no_opinion("cannot read subresource");
        }
        if request.namespace.is_empty() {
            return Verdict::no_opinion("can only read namespaced object of this type");
        }
        self.related(node, vertex, request)
    }

    fn update_status(&self, node: &str, vertex: Vertex, request: &Attributes<'_>) -> Verdict {
        if !matches!(request.verb, "update" | "patch") {
            return Verdict::no_opinion("can only get/update/patch this type");
        }
        self.related(node, vertex, request)
    }

    fn service_account(&self, node: &str, request: &Attributes<'_>) -> Verdict {
        if request.verb == "get" {
            return self.get(node, Vertex::ServiceAccount, request);
        }
        if request.verb != "create" || request.name.is_empty() {
            return Verdict::no_opinion("can only create tokens for individual service accounts");
        }
        if request.subresource != "token" {
            return Verdict::no_opinion("can only create token subresource of serviceaccount");
        }
        self.related(node, Vertex::ServiceAccount, request)
    }

    fn pod(&self, node: &str, request: &Attributes<'_>) -> Verdict {
        match (request.subresource, request.verb) {
            ("", "get") => self.get(node, Vertex::Pod, request),
            ("", "list" | "watch") if request.selects("spec.nodeName", node) => allow(),
            ("", "list" | "watch") if !request.name.is_empty() => self.related(node, Vertex::Pod, request),
            ("", "list" | "watch") => {
                Verdict::no_opinion("can only list/watch pods with spec.nodeName field selector")
            }
            // NodeRestriction narrows these to mirror pods and to pods of the node.
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => allow(),
            _ => Verdict::no_opinion(""),
        }
    }
}

impl std::fmt::Debug for NodeAuthorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeAuthorizer({} bound pods)", self.graph.read().pods.len())
    }
}

fn unrelated(node: &str) -> Verdict {
    Verdict::no_opinion(format!("no relationship found between node '{node}' and this object"))
}

fn may_get(request: &Attributes<'_>) -> Result<(), Verdict> {
    if request.verb != "get" {
        return Err(Verdict::no_opinion("can only get individual resources of this type"));
    }
    if !request.subresource.is_empty() {
        return Err(Verdict::no_opinion("cannot get subresource"));
    }
    Ok(())
}

/// Objects whose paths to nodes are not kept.
fn unfollowed(node: &str, request: &Attributes<'_>) -> Verdict {
    match may_get(request) {
        Ok(()) if request.name.is_empty() => Verdict::no_opinion("No Object name found"),
        Ok(()) => unrelated(node),
        Err(verdict) => verdict,
    }
}

fn lease(node: &str, request: &Attributes<'_>) -> Verdict {
    if !matches!(request.verb, "get" | "create" | "update" | "patch" | "delete") {
        return Verdict::no_opinion("can only get, create, update, patch, or delete a node lease");
    }
    if request.namespace != NODE_LEASES {
        return Verdict::no_opinion(format!(
            "can only access leases in the {NODE_LEASES:?} system namespace"
        ));
    }
    // A create carries no name here; NodeRestriction sees the object.
    allow_if(
        request.verb == "create" || request.name == node,
        "can only access node lease with the same name as the requesting node",
    )
}

fn csi_node(node: &str, request: &Attributes<'_>) -> Verdict {
    if !matches!(request.verb, "get" | "create" | "update" | "patch" | "delete") {
        return Verdict::no_opinion("can only get, create, update, patch, or delete a CSINode");
    }
    if !request.subresource.is_empty() {
        return Verdict::no_opinion("cannot authorize CSINode subresources");
    }
    allow_if(
        request.verb == "create" || request.name == node,
        "can only access CSINode with the same name as the requesting node",
    )
}

fn own_node(node: &str, request: &Attributes<'_>) -> Verdict {
    match (request.subresource, request.verb) {
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => allow(),
        ("", "get" | "list" | "watch") if request.name == node => allow(),
        ("", "get" | "list" | "watch") if request.name.is_empty() => {
            Verdict::no_opinion(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        ("", "get" | "list" | "watch") => {
            let name = request.name;
            Verdict::no_opinion(format!("node '{node}' cannot read '{name}', only its own Node object"))
        }
        _ => Verdict::no_opinion(""),
    }
}
