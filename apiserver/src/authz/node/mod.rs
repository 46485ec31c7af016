//! The node authorizer: a kubelet reaches its own node, lease and CSINode, the pods bound to its node, what those
//! pods refer to, and what is attached to its node or describes its devices.
//!
//! Who leads where is in the `graph`. It allows or has no opinion; it never denies.

mod graph;
mod volume_references;

use std::sync::Arc;

use api::{object::ObjectExt as _, profile::Profile};
use client::{Change, Informer};
use parking_lot::RwLock;
use serde_json::Value;
use world::mutant;

use super::{Attributes, Verdict, rule::Rule};
use crate::{informers::Informers, policy};
use graph::{Graph, Vertex};

const NODE_LEASES: &str = "kube-node-lease";

/// See the module.
pub struct NodeAuthorizer {
    graph: Arc<RwLock<Graph>>,
    rules: Vec<Rule>,
    /// Whether nodes, pods and slices are read by what a selector says (gate AuthorizeNodeWithSelectors).
    by_selectors: bool,
    /// Whether a kubelet may read the accounts of its pods.
    reads_accounts: bool,
}

fn allow_if(allowed: bool, otherwise: &'static str) -> Verdict {
    if allowed { Verdict::allow() } else { Verdict::no_opinion(otherwise) }
}

impl NodeAuthorizer {
    /// An authorizer of a release that follows the informers of what leads to nodes.
    pub fn new(profile: Profile, informers: &Informers) -> Self {
        let this = Self {
            graph: Arc::default(),
            rules: policy::node_rules().iter().map(Rule::from_value).collect(),
            by_selectors: profile.authorizes_by_selectors(),
            reads_accounts: profile.nodes_read_service_accounts(),
        };
        this.follow(&informers.pods, |graph, pod, present| match present {
            true => graph.put_pod(pod),
            false => graph.remove_pod(pod.namespace(), pod.name()),
        });
        this.follow(&informers.persistent_volumes, |graph, volume, present| match present {
            true => graph.put_volume(volume),
            false => graph.remove_volume(volume.name()),
        });
        this.follow(&informers.volume_attachments, |graph, attachment, present| {
            graph.set_attachment(attachment.name(), present.then_some(attachment));
        });
        this.follow(&informers.resource_slices, |graph, slice, present| {
            graph.set_slice(slice.name(), present.then_some(slice));
        });
        this
    }

    fn follow(&self, informer: &Informer, apply: fn(&mut Graph, &Value, bool)) {
        let graph = self.graph.clone();
        informer.on(move |change| match change {
            Change::Added(object) | Change::Updated { new: object, .. } => {
                apply(&mut graph.write(), object, true)
            }
            Change::Deleted(object) => apply(&mut graph.write(), object, false),
        });
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
                ("", "persistentvolumes") => {
                    return self.get_by(node, request, |graph| graph.reaches_volume(node, request.name));
                }
                ("resource.k8s.io", "resourceclaims") => {
                    return self.get(node, Vertex::ResourceClaim, request);
                }
                ("resource.k8s.io", "resourceslices") => return self.slice(node, request),
                ("storage.k8s.io", "volumeattachments") => {
                    return self.get_by(node, request, |graph| graph.attaches(node, request.name));
                }
                ("", "serviceaccounts") => return self.service_account(node, request),
                ("coordination.k8s.io", "leases") => return lease(node, request),
                ("storage.k8s.io", "csinodes") => return csi_node(node, request),
                ("", "nodes") if self.by_selectors => return own_node(node, request),
                ("", "pods") if self.by_selectors => return self.pod(node, request),
                _ => {}
            }
        }
        allow_if(self.rules.iter().any(|rule| rule.allows(request)), "")
    }

    fn related_by(
        &self,
        node: &str,
        request: &Attributes<'_>,
        related: impl FnOnce(&Graph) -> bool,
    ) -> Verdict {
        if request.name.is_empty() {
            return Verdict::no_opinion("No Object name found");
        }
        if related(&self.graph.read()) || mutant("node-reaches-others") {
            return Verdict::allow();
        }
        Verdict::no_opinion(format!("no relationship found between node '{node}' and this object"))
    }

    fn related(&self, node: &str, vertex: Vertex, request: &Attributes<'_>) -> Verdict {
        self.related_by(node, request, |graph| graph.reaches(node, vertex, request.namespace, request.name))
    }

    fn get_by(&self, node: &str, request: &Attributes<'_>, related: impl FnOnce(&Graph) -> bool) -> Verdict {
        if request.verb != "get" {
            return Verdict::no_opinion("can only get individual resources of this type");
        }
        if !request.subresource.is_empty() {
            return Verdict::no_opinion("cannot get subresource");
        }
        self.related_by(node, request, related)
    }

    fn get(&self, node: &str, vertex: Vertex, request: &Attributes<'_>) -> Verdict {
        self.get_by(node, request, |graph| graph.reaches(node, vertex, request.namespace, request.name))
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
        if request.verb == "get" && self.reads_accounts {
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

    fn slice(&self, node: &str, request: &Attributes<'_>) -> Verdict {
        if !request.subresource.is_empty() {
            return Verdict::no_opinion("cannot authorize ResourceSlice subresources");
        }
        match request.verb {
            // NodeRestriction sees the object, and whose node it names.
            "create" => Verdict::allow(),
            "get" | "update" | "patch" | "delete" => {
                self.related_by(node, request, |graph| graph.slices(node, request.name))
            }
            "watch" | "list" | "deletecollection" => allow_if(
                !self.by_selectors || request.selects("spec.nodeName", node),
                "can only list/watch/deletecollection resourceslices with nodeName field selector",
            ),
            _ => Verdict::no_opinion(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, \
                 delete, deletecollection",
            ),
        }
    }

    fn pod(&self, node: &str, request: &Attributes<'_>) -> Verdict {
        match (request.subresource, request.verb) {
            ("", "get") => self.get(node, Vertex::Pod, request),
            ("", "list" | "watch") if request.selects("spec.nodeName", node) => Verdict::allow(),
            ("", "list" | "watch") if !request.name.is_empty() => self.related(node, Vertex::Pod, request),
            ("", "list" | "watch") => {
                Verdict::no_opinion("can only list/watch pods with spec.nodeName field selector")
            }
            // NodeRestriction narrows these to mirror pods and to pods of the node.
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => {
                Verdict::allow()
            }
            _ => Verdict::no_opinion(""),
        }
    }
}

impl std::fmt::Debug for NodeAuthorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeAuthorizer({} bound pods)", self.graph.read().bound_pods())
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
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Verdict::allow(),
        ("", "get" | "list" | "watch") if request.name == node => Verdict::allow(),
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
