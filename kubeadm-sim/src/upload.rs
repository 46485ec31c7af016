//! `upload-config` and `mark-control-plane`: what the cluster remembers of its making.

use client::{Resource, Rest};
use serde_json::{Value, json};

use crate::{
    config::InitConfig,
    objects::{apply, config_map, group, patch_node, rbac, role, role_binding},
    paths::NODE_TOKEN_GROUP,
    session::{Failure, Result, Session},
};

/// ConfigMap kubelet-config's name; it carried the minor version up to 1.23.
pub(crate) fn kubelet_config_name(minor: u16) -> String {
    if minor >= 24 { "kubelet-config".into() } else { format!("kubelet-config-1.{minor}") }
}

/// Runs `upload-config`.
pub(crate) async fn run(
    s: &mut Session<'_>,
    rest: &Rest,
    config: &InitConfig,
    kubelet: &Value,
) -> Result<()> {
    s.say("[upload-config] Storing the configuration used in ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace");
    let cluster = yaml(&config.cluster.to_value())?;
    let readers = vec![group(NODE_TOKEN_GROUP), group("system:nodes")];
    upload(
        s,
        rest,
        "kubeadm-config",
        "kubeadm:nodes-kubeadm-config",
        json!({"ClusterConfiguration": cluster}),
        &readers,
    )
    .await?;
    let name = kubelet_config_name(s.profile.minor());
    s.say(format!(
        "[kubelet] Creating a ConfigMap {name:?} in namespace kube-system with the configuration for the kubelets in the cluster"
    ));
    upload(s, rest, &name, "kubeadm:kubelet-config", json!({"kubelet": yaml(kubelet)?}), &readers).await?;
    if s.profile.minor() < 36 {
        let patch = json!({"metadata": {"annotations": {
            "kubeadm.alpha.kubernetes.io/cri-socket": "unix:///var/run/containerd/containerd.sock"
        }}});
        patch_node(s, rest, &config.node_name, &patch).await?;
    }
    Ok(())
}

async fn upload(
    s: &Session<'_>,
    rest: &Rest,
    name: &str,
    role_name: &str,
    data: Value,
    readers: &[Value],
) -> Result<()> {
    let namespace = "kube-system";
    apply(s, rest, &Resource::core("configmaps"), &config_map(namespace, name, data)).await?;
    let rules =
        json!([{"apiGroups": [""], "resourceNames": [name], "resources": ["configmaps"], "verbs": ["get"]}]);
    apply(s, rest, &rbac("roles"), &role(namespace, role_name, rules)).await?;
    apply(s, rest, &rbac("rolebindings"), &role_binding(namespace, role_name, role_name, readers.to_vec()))
        .await
}

/// Runs `mark-control-plane`.
pub(crate) async fn mark(s: &mut Session<'_>, rest: &Rest, node: &str) -> Result<()> {
    let minor = s.profile.minor();
    let role =
        if minor >= 20 { "node-role.kubernetes.io/control-plane" } else { "node-role.kubernetes.io/master" };
    let taint =
        if minor >= 25 { "node-role.kubernetes.io/control-plane" } else { "node-role.kubernetes.io/master" };
    s.say(format!(
        "[mark-control-plane] Marking the node {node} as control-plane by adding the labels: [{role} node.kubernetes.io/exclude-from-external-load-balancers]"
    ));
    s.say(format!("[mark-control-plane] Marking the node {node} as control-plane by adding the taints [{taint}:NoSchedule]"));
    let patch = json!({
        "metadata": {"labels": {role: "", "node.kubernetes.io/exclude-from-external-load-balancers": ""}},
        "spec": {"taints": [{"effect": "NoSchedule", "key": taint}]},
    });
    patch_node(s, rest, node, &patch).await
}

pub(crate) fn yaml(value: &Value) -> Result<String> {
    serde_saphyr::to_string(value)
        .map_err(|e| Failure::new(format!("couldn't marshal the configuration: {e}")))
}
