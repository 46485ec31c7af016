//! NodeRestriction: what a kubelet may write, beyond what RBAC can say: only its own node and lease,
//! only mirrors of its own static pods, only tokens for pods on it.
//!
//! Upstream also holds kubelets to certificates for pods on their node (`podcertificaterequests`). Their API is beta and
//! off unless it is asked for, and it is not served here: there is nothing to hold them to.

mod labels;
mod pods;
mod tokens;

use api::{
    object::ObjectExt as _,
    status::{GroupResource, Status},
};
use serde_json::Value;

use super::{Operation, Review, Tools, certificates, refusal::forbidden};
use crate::identity::NODE_USER_PREFIX;

const NODE_LEASES: &str = "kube-node-lease";
const KUBELET_SIGNERS: [&str; 2] =
    ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];

/// A refusal in one sentence, or one that is whole already.
enum No {
    Because(String),
    Status(Box<Status>),
}

impl From<String> for No {
    fn from(why: String) -> Self {
        Self::Because(why)
    }
}

impl From<&str> for No {
    fn from(why: &str) -> Self {
        Self::Because(why.to_owned())
    }
}

type Answer = Result<(), No>;

/// Refuses a kubelet what is not its own; everybody else passes.
pub(super) async fn admit(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    let Some(node) = review.user.node_name() else { return Ok(()) };
    if review.operation == Operation::Connect {
        return Ok(());
    }
    judge(tools, review, node).await.map_err(|no| match no {
        No::Because(why) => forbidden(review, why),
        No::Status(status) => *status,
    })
}

async fn judge(tools: &Tools, review: &Review<'_>, node: &str) -> Answer {
    if node.is_empty() {
        return Err(format!("could not determine node from user {:?}", review.user.name).into());
    }
    match (review.group, review.resource) {
        ("", "pods") => pods::judge(tools, review, node),
        ("", "nodes") => own_node(review, node),
        ("", "persistentvolumeclaims") => claim(review, node),
        ("", "serviceaccounts") => tokens::judge(tools, review, node).await,
        ("coordination.k8s.io", "leases") => lease(review, node),
        ("storage.k8s.io", "csinodes") => {
            only_own_name(review, node, "can only access CSINode with the same name as the requesting node")
        }
        ("certificates.k8s.io", "certificatesigningrequests") => signing_request(tools, review, node),
        ("resource.k8s.io", "resourceslices") => slice(review, node),
        _ => Ok(()),
    }
}

fn not_found(resource: &str, name: &str) -> No {
    No::Status(Box::new(Status::not_found(GroupResource { group: "", resource }, name)))
}

fn unexpected(operation: Operation) -> No {
    format!("unexpected operation {:?}", operation.as_str()).into()
}

fn own_node(review: &Review<'_>, node: &str) -> Answer {
    let name = review.object_name();
    if name != node {
        return Err(format!("node {node:?} is not allowed to modify node {name:?}").into());
    }
    let Some(new) = review.new_object() else { return Ok(()) };
    match (review.operation, review.old) {
        (Operation::Create, _) => {
            if new.at("/spec/configSource").is_some_and(|v| !v.is_null()) {
                return Err(format!(
                    "node {node:?} is not allowed to create pods with a non-nil configSource"
                )
                .into());
            }
            let forbidden = labels::forbidden(new, None);
            if !forbidden.is_empty() {
                let names = forbidden.join(", ");
                return Err(
                    format!("node {node:?} is not allowed to set the following labels: {names}").into()
                );
            }
        }
        (Operation::Update, Some(old)) => {
            let config = |node: &Value| node.at("/spec/configSource").filter(|v| !v.is_null()).cloned();
            if config(new).is_some() && config(new) != config(old) {
                return Err(format!(
                    "node {node:?} cannot update configSource to a new non-nil configSource"
                )
                .into());
            }
            if new.list_at("/spec/taints") != old.list_at("/spec/taints") {
                return Err(format!("node {node:?} is not allowed to modify taints").into());
            }
            let forbidden = labels::forbidden(new, Some(old));
            if !forbidden.is_empty() {
                return Err(format!("is not allowed to modify labels: {}", forbidden.join(", ")).into());
            }
            if new.list_at("/metadata/ownerReferences") != old.list_at("/metadata/ownerReferences") {
                return Err(format!("node {node:?} is not allowed to modify ownerReferences").into());
            }
        }
        _ => {}
    }
    Ok(())
}

fn lease(review: &Review<'_>, node: &str) -> Answer {
    if review.namespace != NODE_LEASES {
        return Err(format!("can only access leases in the {NODE_LEASES:?} system namespace").into());
    }
    only_own_name(review, node, "can only access node lease with the same name as the requesting node")
}

fn only_own_name(review: &Review<'_>, node: &str, otherwise: &str) -> Answer {
    if review.object_name() == node { Ok(()) } else { Err(otherwise.into()) }
}

fn claim(review: &Review<'_>, node: &str) -> Answer {
    if review.subresource != "status" {
        return Err("may only update PVC status".into());
    }
    let (Operation::Update, Some(new), Some(old)) = (review.operation, review.new_object(), review.old)
    else {
        return Err(unexpected(review.operation));
    };
    let rest = |claim: &Value| {
        let mut claim = claim.clone();
        for field in [
            "/metadata/resourceVersion",
            "/metadata/managedFields",
            "/status/capacity",
            "/status/conditions",
            "/status/allocatedResources",
            "/status/allocatedResourceStatuses",
        ] {
            claim.remove_at(field);
        }
        claim
    };
    if rest(new) == rest(old) {
        return Ok(());
    }
    Err(format!(
        "node {node:?} is not allowed to update fields other than status.quantity and status.conditions"
    )
    .into())
}

/// The node authorizer cannot see what is created, nor what a collection holds; the rest it decides.
fn slice(review: &Review<'_>, node: &str) -> Answer {
    let (object, verb) = match review.operation {
        Operation::Create => (review.new_object(), "create"),
        Operation::Delete => (review.old, "delete"),
        _ => return Ok(()),
    };
    match object {
        Some(object) if object.str_at("/spec/nodeName") != node => {
            Err(format!("can only {verb} ResourceSlice with the same NodeName as the requesting node").into())
        }
        _ => Ok(()),
    }
}

fn signing_request(tools: &Tools, review: &Review<'_>, node: &str) -> Answer {
    let applies = tools.profile.node_csr_restricted()
        && review.operation == Operation::Create
        && review.subresource.is_empty();
    let Some(object) = review.new_object().filter(|_| applies) else { return Ok(()) };
    if !KUBELET_SIGNERS.contains(&object.str_at("/spec/signerName")) {
        return Ok(());
    }
    let csr = certificates::parse(object).map_err(|why| format!("unable to parse csr: {why}"))?;
    if csr.common_name() == format!("{NODE_USER_PREFIX}{node}") {
        return Ok(());
    }
    Err(format!("can only create a node CSR with CN={NODE_USER_PREFIX}{node}").into())
}
