//! Whether nodes are Ready, and what those say that are not.

use client::{ListParams, Resource, Rest};
use serde_json::Value;
use world::Host;

use crate::{HarnessError, cluster::wait_for, condition};

/// Whether the node says so.
pub fn is_ready(node: &Value) -> bool {
    ready(node).is_some_and(|condition| condition["status"] == "True")
}

fn ready(node: &Value) -> Option<&Value> {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready")
}

/// Waits until `count` nodes are there and Ready.
///
/// # Errors
/// Not within five minutes: how many are there, which of them are not Ready, and what their condition says.
pub async fn nodes_ready(host: &Host, admin: &Rest, count: usize) -> Result<(), HarnessError> {
    let mut seen = String::new();
    let waited = wait_for(host, &format!("{count} nodes are Ready"), async || {
        match admin.list(&Resource::core("nodes"), None, &ListParams::default()).await {
            Ok(nodes) => {
                seen = told(nodes.items.iter().map(|node| &**node), count);
                (nodes.items.len() == count && nodes.items.iter().all(|node| is_ready(node))).then_some(())
            }
            Err(e) => {
                seen = e.to_string();
                None
            }
        }
    })
    .await;
    waited.map_err(|e| HarnessError::new(format!("{e}: {seen}")))
}

fn told<'a>(nodes: impl Iterator<Item = &'a Value>, count: usize) -> String {
    let (mut there, mut words) = (0, Vec::new());
    for node in nodes {
        there += 1;
        if !is_ready(node) {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            let says = ready(node).map_or_else(|| "has no condition Ready".to_owned(), condition::told);
            words.push(format!("; {name}: {says}"));
        }
    }
    format!("{there} of {count} nodes are there{}", words.concat())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn those_that_are_not_ready_are_named_with_what_they_say() {
        let node = |name: &str, conditions: Value| json!({"metadata": {"name": name}, "status": {"conditions": conditions}});
        let well = node("cp1", json!([{"type": "Ready", "status": "True"}]));
        let dark = node(
            "node1",
            json!([
                {"type": "DiskPressure", "status": "Unknown"},
                {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped."},
            ]),
        );
        let new = node("node2", json!([]));
        for (nodes, words) in [
            (vec![], "0 of 3 nodes are there"),
            (vec![&well], "1 of 3 nodes are there"),
            (
                vec![&well, &dark, &new],
                "3 of 3 nodes are there; node1: Ready=Unknown (NodeStatusUnknown: Kubelet stopped.); \
                 node2: has no condition Ready",
            ),
        ] {
            assert_eq!(told(nodes.into_iter(), 3), words);
        }
    }
}
