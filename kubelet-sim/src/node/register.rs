//! Registration: once, with the first status, for as long as it takes; a node that is there already
//! is reconciled.

use std::time::Duration;

use api::object::ObjectExt as _;
use client::{ClientError, Patch, Rest};
use serde_json::{Value, json};
use world::Host;

use super::{
    NODES,
    capacity::{allocatable, capacity},
    status::{self, Facts},
};
use crate::options::Options;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(7);
const ATTACH_DETACH: &str = "volumes.kubernetes.io/controller-managed-attach-detach";

/// Returns the node as the API has it then.
pub(super) async fn register(
    host: &Host,
    options: &Options,
    rest: &Rest,
    facts: impl Fn() -> Facts,
) -> Value {
    let name = &options.node_name;
    let mut pause = FIRST_PAUSE;
    loop {
        host.clock().sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        tracing::info!(node = name, "Attempting to register node");
        let wanted = new_node(options, host.boots(), &facts());
        match try_once(rest, name, &wanted).await {
            Ok(node) => {
                host.record("node", vec![("name", name.clone()), ("state", "registered".into())]);
                tracing::info!(node = name, "Successfully registered node");
                return node;
            }
            Err(why) => {
                tracing::error!(node = name, "{why}");
                host.record("node", vec![("name", name.clone()), ("error", why)]);
            }
        }
    }
}

async fn try_once(rest: &Rest, name: &str, wanted: &Value) -> Result<Value, String> {
    let unable = |e: ClientError| format!("Unable to register node with API server: {e}");
    match rest.create(&NODES, None, wanted).await {
        Err(e) if e.is_already_exists() || e.is_forbidden() => {}
        created => return created.map_err(unable),
    }
    let there = rest
        .get(&NODES, None, name)
        .await
        .map_err(|e| format!("Unable to register node with API server, error getting existing node: {e}"))?;
    tracing::info!(node = name, "Node was previously registered");
    let Some(patch) = reconciliation(&there, wanted) else { return Ok(there) };
    rest.patch(&NODES, None, name, Patch::Strategic(&patch), Some("status"))
        .await
        .map_err(|e| format!("Unable to reconcile node with API server, error updating node: {e}"))
}

/// What an existing node lacks of what this kubelet says; nothing if it lacks nothing.
fn reconciliation(there: &Value, wanted: &Value) -> Option<Value> {
    let mut patch = json!({});
    for (key, value) in DEFAULT_LABELS.iter().filter_map(|key| Some((*key, wanted.label(key)?))) {
        if there.label(key) != Some(value) {
            patch["metadata"]["labels"][key] = value.into();
        }
    }
    if there.annotation(ATTACH_DETACH) != wanted.annotation(ATTACH_DETACH) {
        patch["metadata"]["annotations"][ATTACH_DETACH] = wanted.annotation(ATTACH_DETACH).into();
    }
    for at in ["capacity", "allocatable"] {
        for (name, amount) in wanted.map_at(&format!("/status/{at}")).into_iter().flatten() {
            let known = there.at("/status").and_then(|s| s.get(at)).and_then(|s| s.get(name));
            if name.starts_with("hugepages-") && known != Some(amount) {
                patch["status"][at][name] = amount.clone();
            }
        }
    }
    (patch != json!({})).then_some(patch)
}

/// Labels that a kubelet corrects on a node that exists; those of `--node-labels` it only ever sets at
/// creation.
const DEFAULT_LABELS: &[&str] = &[
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];

fn new_node(options: &Options, boots: u64, facts: &Facts) -> Value {
    let name = &options.node_name;
    let mut labels = json!({
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
    });
    for (key, value) in &options.labels {
        labels[key] = value.as_str().into();
    }
    let mut spec = json!({});
    if !options.taints.is_empty() {
        spec["taints"] = options
            .taints
            .iter()
            .map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}))
            .collect();
    }
    let mut node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"annotations": {ATTACH_DETACH: "true"}, "labels": labels, "name": name},
        "spec": spec,
        "status": {"allocatable": allocatable(options), "capacity": capacity(options)},
    });
    node["status"] = status::status(&status::fixed(options, boots), &node, facts);
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { now: "2026-01-01T00:00:00Z".into(), images: Vec::new(), first: true }
    }

    #[test]
    fn an_existing_node_gets_what_it_lacks_and_keeps_the_rest() {
        let options = Options { labels: vec![("tier".into(), "a".into())], ..Options::for_tests() };
        let wanted = new_node(&options, 1, &facts());
        let check = |change: fn(&mut Value), expect: Option<Value>| {
            let mut there = wanted.clone();
            change(&mut there);
            assert_eq!(reconciliation(&there, &wanted), expect);
        };
        check(|_| {}, None);
        check(|node| node["metadata"]["labels"]["tier"] = "b".into(), None);
        check(|node| node["metadata"]["labels"]["own"] = "x".into(), None);
        check(
            |node| node["metadata"]["labels"]["kubernetes.io/arch"] = "s390x".into(),
            Some(json!({"metadata": {"labels": {"kubernetes.io/arch": "amd64"}}})),
        );
        check(
            |node| node["metadata"]["annotations"] = json!({}),
            Some(json!({"metadata": {"annotations": {ATTACH_DETACH: "true"}}})),
        );
        check(
            |node| node["status"]["capacity"]["hugepages-2Mi"] = "4Mi".into(),
            Some(json!({"status": {"capacity": {"hugepages-2Mi": "0"}}})),
        );
    }
}
