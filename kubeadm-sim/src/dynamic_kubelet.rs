//! Dynamic kubelet configuration (gate DynamicKubeletConfig): a base configuration in the cluster that the
//! node's object points to (`cmd/kubeadm/app/phases/kubelet` of 1.9 to 1.12). The objects are upstream's; a
//! simulated kubelet reads its own file.

use client::{Resource, Rest};
use serde_json::{Value, json};

use crate::{
    config::InitConfig,
    objects::{apply, config_map, group, patch_node, share_config_map},
    paths::{KUBE_SYSTEM, NODE_TOKEN_GROUP},
    session::{Result, Session, yaml},
};

const GATE: &str = "DynamicKubeletConfig";
const BASE_MAP: &str = "kubelet-base-config";
const BASE_FILE: &str = "/var/lib/kubelet/config/init/kubelet";

fn base<'a>(config: &'a InitConfig, own: &'a Value) -> &'a Value {
    config.master.kubelet_base.as_ref().unwrap_or(own)
}

/// Writes what the master's kubelet begins with.
pub(crate) fn write_base(s: &mut Session<'_>, config: &InitConfig, own: &Value) -> Result<()> {
    if !config.cluster.feature_gates.enabled(GATE) {
        return Ok(());
    }
    s.say(format!(
        "[kubelet] Writing base configuration of kubelets to disk on master node {}",
        config.node_name
    ));
    s.disk().write(BASE_FILE, yaml("the kubelets' base configuration", base(config, own))?, 0o644)?;
    Ok(())
}

/// Puts the configuration into the cluster, unless it is there, and makes the node point to it.
pub(crate) async fn run(s: &mut Session<'_>, rest: &Rest, config: &InitConfig, own: &Value) -> Result<()> {
    if !config.cluster.feature_gates.enabled(GATE) {
        return Ok(());
    }
    let node = &config.node_name;
    let source = match s.profile.kubelet_config_name() {
        // upload-config has written it.
        Some(name) => {
            s.say(format!(
                "[kubelet] Enabling Dynamic Kubelet Config for Node {node:?}; config sourced from ConfigMap {name:?} \
                 in namespace {KUBE_SYSTEM}"
            ));
            s.say(
                "[kubelet] WARNING: The Dynamic Kubelet Config feature is beta, but off by default. It hasn't been \
                 well-tested yet at this stage, use with caution.",
            );
            json!({"configMap": {"kubeletConfigKey": "kubelet", "name": name, "namespace": KUBE_SYSTEM}})
        }
        None => {
            let uid = upload(s, rest, base(config, own)).await?;
            s.say(format!(
                "[kubelet] Using Dynamic Kubelet Config for node {node:?}; config sourced from ConfigMap {BASE_MAP:?} \
                 in namespace {KUBE_SYSTEM}"
            ));
            // Upstream's field was configMapRef then; the API here is a later one, which has dropped it.
            json!({"configMap": {
                "kubeletConfigKey": "kubelet", "name": BASE_MAP, "namespace": KUBE_SYSTEM, "uid": uid,
            }})
        }
    };
    patch_node(s, rest, node, &json!({"spec": {"configSource": source}})).await
}

async fn upload(s: &mut Session<'_>, rest: &Rest, base: &Value) -> Result<String> {
    s.say(format!(
        "[kubelet] Uploading a ConfigMap {BASE_MAP:?} in namespace {KUBE_SYSTEM} with base configuration for the \
         kubelets in the cluster"
    ));
    let maps = Resource::core("configmaps");
    let data = json!({"kubelet": yaml("the kubelets' base configuration", base)?});
    apply(s, rest, &maps, &config_map(KUBE_SYSTEM, BASE_MAP, data)).await?;
    let readers = [group("system:nodes"), group(NODE_TOKEN_GROUP)];
    share_config_map(s, rest, KUBE_SYSTEM, BASE_MAP, "kubeadm:kubelet-base-configmap", &readers).await?;
    let stored = rest.get(&maps, Some(KUBE_SYSTEM), BASE_MAP).await?;
    Ok(stored.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned())
}
