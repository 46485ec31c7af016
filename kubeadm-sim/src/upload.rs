//! `upload-config` and `mark-control-plane`: what the cluster remembers of its making.

use std::collections::BTreeMap;

use client::{Resource, Rest};
use serde_json::{Value, json};

use crate::{
    config::InitConfig,
    objects::{apply, config_map, group, patch_node, share_config_map},
    paths::{CRI_SOCKET, KUBE_SYSTEM, NODE_TOKEN_GROUP},
    phases::Parts,
    session::{Result, Session, yaml},
};

/// Runs `upload-config`.
pub(crate) async fn run(
    s: &mut Session<'_>,
    rest: &Rest,
    config: &InitConfig,
    kubelet: &Value,
    parts: &Parts,
) -> Result<()> {
    if parts.has("kubeadm") {
        cluster_configuration(s, rest, config).await?;
    }
    if parts.has("kubelet") {
        kubelet_configuration(s, rest, config, kubelet).await?;
    }
    Ok(())
}

async fn cluster_configuration(s: &mut Session<'_>, rest: &Rest, config: &InitConfig) -> Result<()> {
    s.say("[upload-config] Storing the configuration used in ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace");
    let cluster = yaml("the cluster's configuration", &config.cluster.to_value())?;
    let data = json!({"ClusterConfiguration": cluster});
    upload(s, rest, "kubeadm-config", "kubeadm:nodes-kubeadm-config", data).await
}

async fn kubelet_configuration(
    s: &mut Session<'_>,
    rest: &Rest,
    config: &InitConfig,
    kubelet: &Value,
) -> Result<()> {
    if let Some(name) = s.profile.kubelet_config_name() {
        s.say(format!(
            "[kubelet] Creating a ConfigMap {name:?} in namespace kube-system with the configuration for the kubelets in the cluster"
        ));
        let data = json!({"kubelet": yaml("the kubelets' configuration", kubelet)?});
        upload(s, rest, &name, "kubeadm:kubelet-config", data).await?;
    }
    if !s.profile.node_local_cri_socket() {
        let annotations = json!({"kubeadm.alpha.kubernetes.io/cri-socket": CRI_SOCKET});
        patch_node(s, rest, &config.node_name, &json!({"metadata": {"annotations": annotations}})).await?;
    }
    Ok(())
}

/// Writes a ConfigMap that joining and joined nodes may read.
async fn upload(s: &Session<'_>, rest: &Rest, name: &str, role: &str, data: Value) -> Result<()> {
    apply(s, rest, &Resource::core("configmaps"), &config_map(KUBE_SYSTEM, name, data)).await?;
    let readers = [group(NODE_TOKEN_GROUP), group("system:nodes")];
    share_config_map(s, rest, KUBE_SYSTEM, name, role, &readers).await
}

/// Runs `mark-control-plane`.
pub(crate) async fn mark(s: &mut Session<'_>, rest: &Rest, node: &str) -> Result<()> {
    let (labels, taints) = (s.profile.control_plane_labels(), s.profile.control_plane_taints());
    s.say(format!(
        "[mark-control-plane] Marking the node {node} as control-plane by adding the labels: [{}]",
        labels.join(" ")
    ));
    let shown: Vec<String> = taints.iter().map(|key| format!("{key}:NoSchedule")).collect();
    s.say(format!(
        "[mark-control-plane] Marking the node {node} as control-plane by adding the taints [{}]",
        shown.join(" ")
    ));
    let labels: BTreeMap<&str, &str> = labels.iter().map(|key| (*key, "")).collect();
    let taints: Vec<Value> = taints.iter().map(|key| json!({"effect": "NoSchedule", "key": key})).collect();
    patch_node(s, rest, node, &json!({"metadata": {"labels": labels}, "spec": {"taints": taints}})).await
}
