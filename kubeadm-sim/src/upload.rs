//! `upload-config` and `mark-control-plane`: what the cluster remembers of its making.

use std::collections::BTreeMap;

use client::{Resource, Rest};
use serde_json::{Value, json};

use crate::{
    config::InitConfig,
    formats,
    node_registration::shown_taint,
    objects::{apply, config_map, group, patch_node, share_config_map},
    paths::{KUBE_SYSTEM, NODE_TOKEN_GROUP},
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
    let (version, key) = formats::stored(s.profile);
    // The one kind of older releases holds the host's own configuration too.
    let mut documents = vec![config.cluster.to_value()];
    if key == "MasterConfiguration" {
        documents.insert(0, InitConfig { tokens: Vec::new(), ..config.clone() }.to_value());
    }
    let documents = formats::down(version, documents)?;
    let cluster = yaml("the cluster's configuration", documents.first().unwrap_or(&Value::Null))?;
    let data = json!({key: cluster});
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
        let annotations = json!({"kubeadm.alpha.kubernetes.io/cri-socket": config.node.cri_socket});
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

/// Runs `mark-control-plane`. Taints of the node's registration stand in place of its role's.
pub(crate) async fn mark(s: &mut Session<'_>, rest: &Rest, config: &InitConfig) -> Result<()> {
    let node = &config.node_name;
    let labels = s.profile.control_plane_labels();
    let by_role = || {
        let keys = s.profile.control_plane_taints().iter();
        keys.map(|key| json!({"effect": "NoSchedule", "key": key})).collect()
    };
    let taints = config.node.taints.clone().unwrap_or_else(by_role);
    s.say(format!(
        "[mark-control-plane] Marking the node {node} as control-plane by adding the labels: [{}]",
        labels.join(" ")
    ));
    if !taints.is_empty() {
        s.say(format!(
            "[mark-control-plane] Marking the node {node} as control-plane by adding the taints [{}]",
            taints.iter().map(shown_taint).collect::<Vec<_>>().join(" ")
        ));
    }
    let labels: BTreeMap<&str, &str> = labels.iter().map(|key| (*key, "")).collect();
    let mut patch = json!({"metadata": {"labels": labels}});
    if !taints.is_empty() {
        patch["spec"] = json!({"taints": taints});
    }
    patch_node(s, rest, node, &patch).await
}
