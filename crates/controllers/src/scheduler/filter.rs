//! Whether a pod fits a node, why not, and how well.

use std::sync::Arc;

use serde_json::Value;

use super::{
    neighbours::{self, Around},
    resources::{amounts, requests, scored},
};
use crate::{
    affinity,
    node::tolerates,
    objects::{list, text},
};

/// What comes of looking at one node.
pub(super) enum Verdict {
    /// Higher is better, 0 to 100.
    Fits(i128),
    /// The reasons of the first filter that says no.
    Refused(Vec<String>),
}

/// Whether a change of a node can make room for a pod that waits.
pub(super) fn matters(old: &Value, new: &Value) -> bool {
    let differs = |at: &str| old.pointer(at) != new.pointer(at);
    differs("/spec/taints")
        || differs("/spec/unschedulable")
        || differs("/metadata/labels")
        || differs("/status/allocatable")
}

/// Filters in upstream's order, then the score.
pub(super) fn check(pod: &Value, node: &Value, taken: &[Arc<Value>], around: &Around) -> Verdict {
    let refused = |why: &str| Verdict::Refused(vec![why.to_owned()]);
    if node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true) {
        let taint = serde_json::json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
        if !list(pod, "/spec/tolerations").any(|t| tolerates(t, &taint)) {
            return refused("node(s) were unschedulable");
        }
    }
    let wanted = text(pod, "/spec/nodeName");
    if !wanted.is_empty() && wanted != text(node, "/metadata/name") {
        return refused("node(s) didn't match the requested node name");
    }
    let blocking = |t: &&Value| {
        matches!(text(t, "/effect"), "NoSchedule" | "NoExecute")
            && !list(pod, "/spec/tolerations").any(|tol| tolerates(tol, t))
    };
    if list(node, "/spec/taints").find(blocking).is_some() {
        return refused("node(s) had untolerated taint(s)");
    }
    if !affinity::wants(pod, node) {
        return refused("node(s) didn't match Pod's node affinity/selector");
    }
    if ports_clash(pod, taken) {
        return refused("node(s) didn't have free ports for the requested pod ports");
    }
    match (fits_resources(pod, node, taken), neighbours::refusal(pod, node, around)) {
        (Verdict::Fits(_), Some(why)) => refused(why),
        (verdict, _) => verdict,
    }
}

struct HostPort {
    port: u64,
    protocol: String,
    ip: String,
}

impl HostPort {
    /// An address that means all of them clashes with each.
    fn clashes(&self, other: &Self) -> bool {
        let all = |p: &Self| matches!(p.ip.as_str(), "" | "0.0.0.0");
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || all(self) || all(other))
    }
}

fn host_ports(pod: &Value) -> Vec<HostPort> {
    let ports = list(pod, "/spec/containers").flat_map(|c| list(c, "/ports"));
    ports
        .filter_map(|p| {
            let protocol = Some(text(p, "/protocol")).filter(|s| !s.is_empty()).unwrap_or("TCP").to_owned();
            let port = p.get("hostPort").and_then(Value::as_u64).filter(|n| *n > 0)?;
            Some(HostPort { port, protocol, ip: text(p, "/hostIP").to_owned() })
        })
        .collect()
}

fn ports_clash(pod: &Value, taken: &[Arc<Value>]) -> bool {
    let wanted = host_ports(pod);
    !wanted.is_empty()
        && taken.iter().flat_map(|p| host_ports(p)).any(|p| wanted.iter().any(|w| w.clashes(&p)))
}

fn fits_resources(pod: &Value, node: &Value, taken: &[Arc<Value>]) -> Verdict {
    let room = amounts(node.pointer("/status/allocatable"));
    let have = |name: &str| room.get(name).copied().unwrap_or(0);
    let mut short = Vec::new();
    if (taken.len() as i128 + 1) * 1000 > have("pods") {
        short.push("Too many pods".to_owned());
    }
    let used: Vec<_> = taken.iter().map(|p| requests(p)).collect();
    for (name, wanted) in requests(pod) {
        let in_use: i128 = used.iter().filter_map(|u| u.get(&name)).sum();
        if wanted > 0 && in_use + wanted > have(&name) {
            short.push(format!("Insufficient {name}"));
        }
    }
    if !short.is_empty() {
        return Verdict::Refused(short);
    }
    // LeastAllocated over cpu and memory, equal weights.
    let scored_use: Vec<_> = taken.iter().map(|p| scored(p)).collect();
    let mine = scored(pod);
    let score = |name: &str| {
        let total = have(name);
        let in_use: i128 = scored_use.iter().filter_map(|u| u.get(name)).sum::<i128>()
            + mine.get(name).copied().unwrap_or(0);
        if total == 0 || in_use > total { 0 } else { (total - in_use) * 100 / total }
    };
    Verdict::Fits((score("cpu") + score("memory")) / 2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(extra: Value) -> Value {
        let mut node = json!({
            "metadata": {"name": "n1", "labels": {"zone": "a", "cores": "8"}},
            "spec": {},
            "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "2"}},
        });
        json_patch(&mut node, &extra);
        node
    }

    fn json_patch(to: &mut Value, from: &Value) {
        match (to, from) {
            (Value::Object(to), Value::Object(from)) => {
                from.iter().for_each(|(k, v)| json_patch(to.entry(k.clone()).or_insert(Value::Null), v))
            }
            (to, from) => *to = from.clone(),
        }
    }

    fn check_row(pod: Value, extra: Value, taken: Vec<Value>, expect: &[&str]) {
        let taken: Vec<Arc<Value>> = taken.into_iter().map(Arc::new).collect();
        let got = match check(&pod, &node(extra), &taken, &Around::default()) {
            Verdict::Fits(_) => Vec::new(),
            Verdict::Refused(why) => why,
        };
        assert_eq!(got, expect, "{pod}");
    }

    fn asks(cpu: &str) -> Value {
        json!({"spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}})
    }

    #[test]
    fn each_filter_has_its_reason() {
        let taint = json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}});
        let affinity = |operator: &str, key: &str, values: Value| {
            json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}
            ]}}}}})
        };
        let mismatch = "node(s) didn't match Pod's node affinity/selector";
        check_row(json!({}), json!({}), vec![], &[]);
        check_row(
            json!({}),
            json!({"spec": {"unschedulable": true}}),
            vec![],
            &["node(s) were unschedulable"],
        );
        check_row(json!({}), taint.clone(), vec![], &["node(s) had untolerated taint(s)"]);
        check_row(json!({"spec": {"tolerations": [{"key": "k", "operator": "Exists"}]}}), taint, vec![], &[]);
        check_row(
            json!({}),
            json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}}),
            vec![],
            &[],
        );
        check_row(json!({"spec": {"nodeSelector": {"zone": "b"}}}), json!({}), vec![], &[mismatch]);
        check_row(affinity("In", "zone", json!(["a"])), json!({}), vec![], &[]);
        check_row(affinity("NotIn", "zone", json!(["a"])), json!({}), vec![], &[mismatch]);
        check_row(affinity("Gt", "cores", json!(["4"])), json!({}), vec![], &[]);
        check_row(affinity("Lt", "cores", json!(["4"])), json!({}), vec![], &[mismatch]);
        let port = json!({"spec": {"containers": [{"ports": [{"containerPort": 80, "hostPort": 80}]}]}});
        let on = |ip: &str| json!({"spec": {"containers": [{"ports": [{"hostPort": 80, "hostIP": ip}]}]}});
        check_row(on("10.0.0.1"), json!({}), vec![on("10.0.0.2")], &[]);
        check_row(
            on("10.0.0.1"),
            json!({}),
            vec![port.clone()],
            &["node(s) didn't have free ports for the requested pod ports"],
        );
        check_row(
            port.clone(),
            json!({}),
            vec![port],
            &["node(s) didn't have free ports for the requested pod ports"],
        );
        check_row(asks("1"), json!({}), vec![], &[]);
        check_row(asks("1001m"), json!({}), vec![], &["Insufficient cpu"]);
        check_row(asks("600m"), json!({}), vec![asks("500m")], &["Insufficient cpu"]);
        check_row(json!({}), json!({}), vec![json!({}), json!({})], &["Too many pods"]);
    }

    #[test]
    fn the_emptier_node_scores_higher() {
        let score = |taken: Vec<Value>| match check(
            &asks("100m"),
            &node(json!({})),
            &taken.into_iter().map(Arc::new).collect::<Vec<_>>(),
            &Around::default(),
        ) {
            Verdict::Fits(score) => score,
            Verdict::Refused(why) => panic!("{why:?}"),
        };
        assert!(score(vec![]) > score(vec![asks("500m")]));
    }
}
