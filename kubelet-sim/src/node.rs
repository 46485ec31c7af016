//! The Node object: registration with backoff, and the status that follows.

use std::{sync::Arc, time::Duration};

use client::{Patch, Resource, Rest};
use serde_json::{Value, json};
use world::{Host, Mono, Wall, rfc3339};

use crate::options::Options;

pub(crate) const NODES: Resource = Resource::core("nodes");

/// Tries within one round of status reporting.
const STATUS_RETRIES: u32 = 5;

/// Registers the node and keeps its status fresh, for ever.
pub(crate) async fn run(
    host: Host,
    options: Arc<Options>,
    rest: Rest,
    registered: Arc<crate::kubelet::Registered>,
) {
    register(&host, &options, &rest, &registered).await;
    let mut reported: Option<Mono> = None;
    loop {
        let report = host.periods().of(options.status_report);
        let due = reported.is_none_or(|at| host.clock().monotonic().since(at) >= report);
        if due {
            for _ in 0..STATUS_RETRIES {
                match report_status(&host, &options, &rest).await {
                    Ok(()) => {
                        reported = Some(host.clock().monotonic());
                        break;
                    }
                    // Somebody deleted the node: a kubelet registers once, and so do we.
                    Err(e) => tracing::error!("Error updating node status, will retry: {e}"),
                }
            }
        }
        host.recur(options.status_update).await;
    }
}

async fn register(host: &Host, options: &Options, rest: &Rest, registered: &crate::kubelet::Registered) {
    let (mut pause, longest) = (Duration::from_millis(100), Duration::from_secs(7));
    loop {
        tracing::info!(node = options.node_name, "Attempting to register node");
        let node = new_node(options);
        let answer = match rest.create(&NODES, None, &node).await {
            Err(e) if e.is_already_exists() || e.is_forbidden() => {
                rest.get(&NODES, None, &options.node_name).await
            }
            other => other,
        };
        match answer {
            Ok(node) => {
                let uid = node.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
                host.record(
                    "node",
                    vec![("name", options.node_name.clone()), ("state", "registered".into())],
                );
                tracing::info!(node = options.node_name, "Successfully registered node");
                registered.set(uid);
                return;
            }
            Err(e) => {
                tracing::error!(node = options.node_name, "Unable to register node with API server: {e}")
            }
        }
        host.clock().sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

fn new_node(options: &Options) -> Value {
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
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
            "labels": labels,
            "name": name,
        },
        "spec": spec,
    })
}

async fn report_status(host: &Host, options: &Options, rest: &Rest) -> Result<(), client::ClientError> {
    let node = rest.get(&NODES, None, &options.node_name).await?;
    let status = status(options, &node, host.clock().wall());
    rest.patch(
        &NODES,
        None,
        &options.node_name,
        Patch::Strategic(&json!({"status": status})),
        Some("status"),
    )
    .await?;
    Ok(())
}

/// Type, status, reason and message of the four conditions, in the kubelet's order.
const CONDITIONS: &[(&str, &str, &str, &str)] = &[
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
];

fn status(options: &Options, node: &Value, now: Wall) -> Value {
    let now = rfc3339(now);
    let old = |kind: &str| {
        let all = node.pointer("/status/conditions").and_then(Value::as_array);
        all.into_iter().flatten().find(|c| c["type"] == kind)
    };
    let conditions: Vec<Value> = CONDITIONS
        .iter()
        .map(|(kind, status, reason, message)| {
            let since =
                old(kind).filter(|c| c["status"] == *status).and_then(|c| c["lastTransitionTime"].as_str());
            json!({
                "type": kind,
                "status": status,
                "lastHeartbeatTime": now,
                "lastTransitionTime": since.unwrap_or(&now),
                "reason": reason,
                "message": message,
            })
        })
        .collect();
    let room = json!({
        "cpu": "8",
        "ephemeral-storage": "100Gi",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": "32Gi",
        "pods": options.max_pods.to_string(),
    });
    json!({
        "addresses": [
            {"type": "InternalIP", "address": options.node_ip.to_string()},
            {"type": "Hostname", "address": options.node_name},
        ],
        "allocatable": room,
        "capacity": room,
        "conditions": conditions,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": options.port}},
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": "",
            "containerRuntimeVersion": "chronoplane://0.1.0",
            "kernelVersion": "simulated",
            "kubeProxyVersion": "",
            "kubeletVersion": options.profile.git_version(),
            "machineID": options.node_name,
            "operatingSystem": "linux",
            "osImage": "chronoplane simulated node",
            "systemUUID": "",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_transition_time_while_its_status_stays() {
        let node = json!({"status": {"conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"},
            {"type": "DiskPressure", "status": "Unknown", "lastTransitionTime": "2020-01-01T00:00:00Z"},
        ]}});
        let options = Options::for_tests();
        let status = status(&options, &node, "2026-01-01T00:00:00Z".parse().expect("a time"));
        let since = |i: usize| status["conditions"][i]["lastTransitionTime"].as_str().map(str::to_owned);
        assert_eq!(since(3).as_deref(), Some("2020-01-01T00:00:00Z"), "Ready stayed True");
        assert_eq!(since(1).as_deref(), Some("2026-01-01T00:00:00Z"), "DiskPressure came back from Unknown");
    }
}
