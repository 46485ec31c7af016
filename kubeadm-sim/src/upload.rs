//! `upload-config` and `mark-control-plane`: what the cluster remembers of its making.

use std::collections::BTreeMap;

use api::profile::console;
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
    v1alpha1,
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
    s.tell(&console::CONFIG_STORED, &[]);
    let format = s.profile.kubeadm_config();
    let document = match format.version {
        "v1alpha1" => v1alpha1::to_value(config),
        version => {
            let mut documents = vec![config.cluster.to_value()];
            if format.key == "MasterConfiguration" {
                // The one kind of older releases holds the host's own configuration too.
                documents.insert(0, InitConfig { tokens: Vec::new(), ..config.clone() }.to_value());
            }
            formats::down(version, documents)?.into_iter().next().unwrap_or_default()
        }
    };
    let data = json!({format.key: yaml("the cluster's configuration", &document)?});
    if s.profile.configuration_is_shared() {
        return upload(s, rest, "kubeadm-config", "kubeadm:nodes-kubeadm-config", data).await;
    }
    let map = config_map(KUBE_SYSTEM, "kubeadm-config", data);
    apply(s, rest, &Resource::core("configmaps"), &map).await
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
    if !s.profile.node_local_cri_socket() && s.profile.cri_socket_annotated_in() == "upload-config" {
        annotate_cri_socket(s, rest, &config.node_name, &config.node.cri_socket).await?;
    }
    Ok(())
}

/// Writes the CRI socket down on the node.
pub(crate) async fn annotate_cri_socket(
    s: &Session<'_>,
    rest: &Rest,
    node: &str,
    socket: &str,
) -> Result<()> {
    s.tell(&console::CRI_SOCKET, &[socket, node]);
    let annotations = json!({"kubeadm.alpha.kubernetes.io/cri-socket": socket});
    patch_node(s, rest, node, &json!({"metadata": {"annotations": annotations}})).await
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
    let first = labels.first().copied().unwrap_or_default();
    let (begun, made) = if taints.is_empty() {
        (&console::MARK_BEGUN_UNTAINTED, &console::MARK_MADE_UNTAINTED)
    } else {
        (&console::MARK_BEGUN, &console::MARK_MADE)
    };
    s.tell(begun, &[node]);
    s.tell(&console::MARK_LABELS, &[node, first, &labels.join(" ")]);
    if !taints.is_empty() {
        let shown: Vec<String> = taints.iter().map(shown_taint).collect();
        s.tell(&console::MARK_TAINTS, &[node, &shown.join(" ")]);
    }
    let marks: BTreeMap<&str, &str> = labels.iter().map(|key| (*key, "")).collect();
    let mut patch = json!({"metadata": {"labels": marks}});
    if !taints.is_empty() {
        patch["spec"] = json!({"taints": taints});
    }
    patch_node(s, rest, node, &patch).await?;
    s.tell(made, &[node, first]);
    if s.profile.cri_socket_annotated_in() == "mark-control-plane" {
        annotate_cri_socket(s, rest, node, &config.node.cri_socket).await?;
    }
    Ok(())
}
