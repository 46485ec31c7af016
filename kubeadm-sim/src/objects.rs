//! Create-or-update of API objects, as kubeadm's `apiclient` does it: a second run changes nothing.

use client::{Patch, Resource, Rest};
use serde_json::{Value, json};

use crate::{
    paths::{API_CALL_TIMEOUT, HEALTH_POLL, HEALTH_TIMEOUT},
    session::{Failure, Result, Session, poll},
};

const RBAC: &str = "rbac.authorization.k8s.io";
const RBAC_V1: &str = "rbac.authorization.k8s.io/v1";

/// Creates `object`, or replaces the one that is there. Retries for a minute, as kubeadm does.
pub(crate) async fn apply(s: &Session<'_>, rest: &Rest, resource: &Resource, object: &Value) -> Result<()> {
    let at = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (name, namespace) = (at("/metadata/name").unwrap_or_default().to_owned(), at("/metadata/namespace"));
    poll(s.host, HEALTH_POLL, API_CALL_TIMEOUT, async || {
        match rest.create(resource, namespace, object).await {
            Ok(_) => Ok(()),
            // A Service that is there is refused for its own address first (kubeadm's createDNSService).
            Err(e)
                if e.is_already_exists()
                    || e.is_invalid() && e.to_string().contains("provided IP is already allocated") =>
            {
                rest.update(resource, namespace, &name, object).await.map_err(Failure::from).map(drop)
            }
            Err(e) => Err(e.into()),
        }
    })
    .await
    .map_err(|e| e.within(&format!("unable to create or update {} {name:?}", resource.plural)))
}

pub(crate) fn cluster_role_binding(name: &str, role: &str, subject: Value) -> Value {
    json!({
        "apiVersion": RBAC_V1,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    })
}

pub(crate) fn cluster_role(name: &str, rules: Value) -> Value {
    json!({"apiVersion": RBAC_V1, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

/// Binds `role`, a ClusterRole, to `subject` in the whole cluster.
pub(crate) async fn bind(s: &Session<'_>, rest: &Rest, name: &str, role: &str, subject: Value) -> Result<()> {
    apply(s, rest, &rbac("clusterrolebindings"), &cluster_role_binding(name, role, subject)).await
}

/// Lets `readers` get one ConfigMap.
pub(crate) async fn share_config_map(
    s: &Session<'_>,
    rest: &Rest,
    namespace: &str,
    map: &str,
    role: &str,
    readers: &[Value],
) -> Result<()> {
    share(s, rest, ("configmaps", namespace, map), role, readers).await
}

/// Lets `readers` get one object, given as resource, namespace and name, by a Role and a RoleBinding that
/// are both called `role`.
pub(crate) async fn share(
    s: &Session<'_>,
    rest: &Rest,
    (resource, namespace, name): (&str, &str, &str),
    role: &str,
    readers: &[Value],
) -> Result<()> {
    let metadata = json!({"name": role, "namespace": namespace});
    let rules =
        json!([{"apiGroups": [""], "resourceNames": [name], "resources": [resource], "verbs": ["get"]}]);
    let grant = json!({"apiVersion": RBAC_V1, "kind": "Role", "metadata": metadata, "rules": rules});
    apply(s, rest, &rbac("roles"), &grant).await?;
    let binding = json!({
        "apiVersion": RBAC_V1,
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": role},
        "subjects": readers,
    });
    apply(s, rest, &rbac("rolebindings"), &binding).await
}

pub(crate) fn group(name: &str) -> Value {
    json!({"apiGroup": RBAC, "kind": "Group", "name": name})
}

pub(crate) fn user(name: &str) -> Value {
    json!({"apiGroup": RBAC, "kind": "User", "name": name})
}

pub(crate) fn config_map(namespace: &str, name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data})
}

pub(crate) fn rbac(plural: &'static str) -> Resource {
    Resource::new(RBAC, "v1", plural)
}

/// Waits for the node's object and patches it.
pub(crate) async fn patch_node(s: &Session<'_>, rest: &Rest, node: &str, patch: &Value) -> Result<()> {
    let nodes = Resource::core("nodes");
    poll(s.host, HEALTH_POLL, HEALTH_TIMEOUT, async || {
        // The kubelet's first label is the sign that it has registered the node.
        let seen = rest.get(&nodes, None, node).await?;
        if seen.pointer("/metadata/labels/kubernetes.io~1hostname").is_none() {
            return Err(Failure::new(format!("node {node:?} has no hostname label yet")));
        }
        rest.patch(&nodes, None, node, Patch::Strategic(patch), None).await.map(drop).map_err(Failure::from)
    })
    .await
    .map_err(|e| e.within(&format!("error patching Node {node:?}")))
}
