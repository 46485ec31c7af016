//! Which nodes a daemon's pods belong on, and how a pod is tied to its node
//! (`pkg/controller/daemon/util`).

use api::object::ObjectExt as _;
use serde_json::{Value, json};

use crate::{affinity, node::tolerates, pods::from_template, workloads::revisions};

/// Taints that every daemon pod tolerates: it runs on cordoned and on silent nodes.
const TOLERATED: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
const NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");
const GENERATION: &str = "deprecated.daemonset.template.generation";

/// What a node is to a daemon set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is to have a pod.
    Run,
    /// It is to get none, but one that is there may stay.
    Stay,
    /// It is to have none.
    No,
}

/// `NodeShouldRunDaemonPod`. `pod` is what the set would make.
pub(super) fn place(pod: &Value, node: &Value) -> Place {
    let wanted = pod.str_at("/spec/nodeName");
    if (!wanted.is_empty() && wanted != node.name()) || !affinity::wants(pod, node) {
        return Place::No;
    }
    let untolerated = |effects: &[&str]| {
        node.list_at("/spec/taints").iter().any(|taint| {
            effects.contains(&taint.str_at("/effect"))
                && !pod.list_at("/spec/tolerations").iter().any(|t| tolerates(t, taint))
        })
    };
    match (untolerated(&["NoSchedule", "NoExecute"]), untolerated(&["NoExecute"])) {
        (false, _) => Place::Run,
        (true, false) => Place::Stay,
        (true, true) => Place::No,
    }
}

/// A pod of the set's template with a daemon's tolerations, not yet tied to a node.
pub(super) fn pod(set: &Value, hash: &str) -> Value {
    let mut pod = from_template(set);
    pod["metadata"]["labels"][revisions::HASH] = hash.into();
    let generation = set.pointer("/metadata/annotations").and_then(|a| a.get(GENERATION));
    if let Some(generation) = generation {
        pod["metadata"]["labels"]["pod-template-generation"] = generation.clone();
    }
    let on_host = pod.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true);
    let mut tolerations: Vec<Value> = pod.list_at("/spec/tolerations").to_vec();
    for (key, effect) in TOLERATED.iter().chain(on_host.then_some(&NETWORK)) {
        let toleration = json!({"effect": effect, "key": key, "operator": "Exists"});
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    pod["spec"]["tolerations"] = tolerations.into();
    pod
}

/// The scheduler binds the pod, and may bind it to this node only.
pub(super) fn tied(mut pod: Value, node: &str) -> Value {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    pod["spec"]["affinity"]["nodeAffinity"][required] = json!({"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    ]});
    pod
}

/// The node that a pod is on or is meant for.
pub(super) fn node_of(pod: &Value) -> &str {
    let bound = pod.str_at("/spec/nodeName");
    if !bound.is_empty() {
        return bound;
    }
    let at = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    pod.list_at(at)
        .iter()
        .flat_map(|term| term.list_at("/matchFields").iter())
        .find(|field| field.str_at("/key") == "metadata.name")
        .map_or("", |field| field.str_at("/values/0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: Value, node: Value, expect: Place) {
        let set = json!({"metadata": {"name": "d"}, "spec": {"template": {"spec": template}}});
        assert_eq!(place(&pod(&set, "h"), &node), expect, "{set} on {node}");
    }

    fn tainted(key: &str, effect: &str) -> Value {
        json!({"metadata": {"name": "n1"}, "spec": {"taints": [{"key": key, "effect": effect}]}})
    }

    #[test]
    fn which_nodes_run_a_daemon() {
        let plain = json!({"metadata": {"name": "n1", "labels": {"disk": "ssd"}}});
        check(json!({}), plain.clone(), Place::Run);
        check(json!({"nodeName": "n1"}), plain.clone(), Place::Run);
        check(json!({"nodeName": "n2"}), plain.clone(), Place::No);
        check(json!({"nodeSelector": {"disk": "ssd"}}), plain.clone(), Place::Run);
        check(json!({"nodeSelector": {"disk": "tape"}}), plain, Place::No);
        check(json!({}), tainted("k", "NoSchedule"), Place::Stay);
        check(json!({}), tainted("k", "NoExecute"), Place::No);
        check(json!({}), tainted("k", "PreferNoSchedule"), Place::Run);
        check(json!({"tolerations": [{"operator": "Exists"}]}), tainted("k", "NoExecute"), Place::Run);
        for (key, effect) in TOLERATED {
            check(json!({}), tainted(key, effect), Place::Run);
        }
        check(json!({}), tainted(NETWORK.0, NETWORK.1), Place::Stay);
        check(json!({"hostNetwork": true}), tainted(NETWORK.0, NETWORK.1), Place::Run);
    }

    #[test]
    fn a_pod_knows_its_node_before_it_is_bound() {
        let set = json!({"metadata": {"name": "d"}, "spec": {"template": {"spec": {}}}});
        let tied = tied(pod(&set, "h"), "n7");
        assert_eq!(node_of(&tied), "n7");
        assert!(affinity::wants(&tied, &json!({"metadata": {"name": "n7"}})));
        assert!(!affinity::wants(&tied, &json!({"metadata": {"name": "n8"}})));
    }
}
