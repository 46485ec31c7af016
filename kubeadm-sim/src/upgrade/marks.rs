//! Labels and taints of control planes, which changed their names between 1.20 and 1.25: an upgrade across such a
//! change marks every control plane anew (`cmd/kubeadm/app/phases/upgrade/postupgrade.go` of those releases).

use api::profile::Profile;
use client::Rest;
use serde_json::{Map, Value, json};

use super::cluster::nodes;
use crate::{
    objects::patch_node,
    session::{Result, Session},
};

const NEW: &str = "node-role.kubernetes.io/control-plane";
const OLD: &str = "node-role.kubernetes.io/master";
const BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Marks the control planes as `to` does, if that differs from how `from` did.
pub(super) async fn renew(s: &mut Session<'_>, rest: &Rest, from: Profile, to: Profile) -> Result<()> {
    let (old_labels, labels) = (from.control_plane_labels(), to.control_plane_labels());
    let (old_taints, taints) = (from.control_plane_taints(), to.control_plane_taints());
    if (old_labels, old_taints) == (labels, taints) {
        return Ok(());
    }
    for line in words(old_labels, labels, old_taints, taints) {
        s.say(line);
    }
    let Some(known_by) = old_labels.first() else { return Ok(()) };
    for node in nodes(rest, &format!("{known_by}=")).await? {
        let name = node.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let gone = old_labels.iter().filter(|label| !labels.contains(label));
        let marks: Map<String, Value> = labels
            .iter()
            .map(|label| ((*label).to_owned(), json!("")))
            .chain(gone.map(|label| ((*label).to_owned(), Value::Null)))
            .collect();
        let patch =
            json!({"metadata": {"labels": marks}, "spec": {"taints": retaint(&node, old_taints, taints)}});
        patch_node(s, rest, name, &patch).await?;
    }
    Ok(())
}

/// All of the node's taints, with kubeadm's own exchanged: a patch replaces the list.
fn retaint(node: &Value, old: &[&str], new: &[&str]) -> Vec<Value> {
    let all = node.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
    let key = |taint: &Value| taint.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
    // People take the taint away to use a control plane as a worker: then it stays away.
    let marked = all.iter().any(|taint| old.contains(&key(taint).as_str()));
    let is_there = |name: &str| all.iter().any(|taint| key(taint) == name);
    let added: Vec<Value> = new
        .iter()
        .filter(|name| marked && !is_there(name))
        .map(|name| json!({"effect": "NoSchedule", "key": name}))
        .collect();
    let kept = all.iter().filter(|taint| {
        let name = key(taint);
        !old.contains(&name.as_str()) || new.contains(&name.as_str())
    });
    kept.cloned().chain(added).collect()
}

fn words(old_labels: &[&str], labels: &[&str], old_taints: &[&str], taints: &[&str]) -> Vec<String> {
    let added = |name: &str| labels.contains(&name) && !old_labels.contains(&name);
    let mut lines = Vec::new();
    if added(NEW) {
        lines.push(format!(
            "[upgrade/postupgrade] Applying label {NEW}='' to Nodes with label {OLD}='' (deprecated)"
        ));
    }
    if added(BALANCERS) {
        lines.push(format!("[upgrade/postupgrade] Applying label {BALANCERS}='' to control plane Nodes"));
    }
    if old_labels.contains(&OLD) && !labels.contains(&OLD) {
        lines.push(format!(
            "[upgrade/postupgrade] Removing the deprecated label {OLD}='' from all control plane Nodes. After this step only \
             the label {NEW}='' will be present on control plane Nodes."
        ));
    }
    if taints.contains(&NEW) && !old_taints.contains(&NEW) {
        lines.push(format!(
            "[upgrade/postupgrade] Adding the new taint {NEW}:NoSchedule to all control plane Nodes. After this step both \
             taints {NEW}:NoSchedule and {OLD}:NoSchedule should be present on control plane Nodes."
        ));
    }
    if old_taints.contains(&OLD) && !taints.contains(&OLD) {
        lines.push(format!(
            "[upgrade/postupgrade] Removing the old taint {OLD}:NoSchedule from all control plane Nodes. After this step only \
             the {NEW}:NoSchedule taint will be present on control plane Nodes."
        ));
    }
    lines
}
