//! Whether a pod fits a node, and why not: the filters in upstream's order (`pkg/scheduler/framework/plugins`).

use std::sync::Arc;

use api::{object::ObjectExt as _, profile::Profile};
use serde_json::Value;

use super::{
    around::Around,
    neighbours,
    resources::{amounts, requests},
    volumes::{self, Claims},
    words,
};
use crate::{affinity, node::tolerates};

/// Why a node does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The reasons of the first filter that says no.
    pub reasons: Vec<String>,
    /// Whether it could be another answer if other pods left the node (upstream's `Unschedulable`, as
    /// opposed to `UnschedulableAndUnresolvable`).
    pub curable: bool,
}

impl Refusal {
    fn for_good(why: impl Into<String>) -> Self {
        Self { reasons: vec![why.into()], curable: false }
    }

    fn for_now(why: impl Into<String>) -> Self {
        Self { reasons: vec![why.into()], curable: true }
    }
}

/// A pod to be placed, with what does not depend on the node.
pub(super) struct Incoming<'a> {
    pub pod: &'a Value,
    pub claims: &'a Claims,
    pub profile: Profile,
}

/// Whether a change of a node can make room for a pod that waits.
pub(super) fn matters(old: &Value, new: &Value) -> bool {
    let differs = |at: &str| old.pointer(at) != new.pointer(at);
    differs("/spec/taints")
        || differs("/spec/unschedulable")
        || differs("/metadata/labels")
        || differs("/status/allocatable")
}

/// The filters, in order; the first that refuses has the word.
pub(super) fn check(incoming: &Incoming<'_>, node: &Value, around: &Around) -> Result<(), Refusal> {
    let pod = incoming.pod;
    let taken = around.on(node.name());
    if node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true) {
        let taint = serde_json::json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
        if !pod.list_at("/spec/tolerations").iter().any(|t| tolerates(t, &taint)) {
            return Err(Refusal::for_good("node(s) were unschedulable"));
        }
    }
    let wanted = pod.str_at("/spec/nodeName");
    if !wanted.is_empty() && wanted != node.name() {
        return Err(Refusal::for_good("node(s) didn't match the requested node name"));
    }
    let blocking = |t: &&Value| {
        matches!(t.str_at("/effect"), "NoSchedule" | "NoExecute")
            && !pod.list_at("/spec/tolerations").iter().any(|tol| tolerates(tol, t))
    };
    if let Some(taint) = node.list_at("/spec/taints").iter().find(blocking) {
        return Err(Refusal::for_good(words::untolerated(incoming.profile, taint)));
    }
    if !affinity::wants(pod, node) {
        return Err(Refusal::for_good("node(s) didn't match Pod's node affinity/selector"));
    }
    if ports_clash(pod, taken) {
        return Err(Refusal::for_now("node(s) didn't have free ports for the requested pod ports"));
    }
    fits_resources(pod, node, taken)?;
    volumes::restricted(incoming.claims, pod, around).map_or(Ok(()), |why| Err(Refusal::for_now(why)))?;
    volumes::plan(incoming.claims, node, &around.storage)
        .map_err(|reasons| Refusal { reasons, curable: false })?;
    neighbours::refusal(pod, node, around)
        .map_or(Ok(()), |(why, curable)| Err(Refusal { reasons: vec![why.to_owned()], curable }))
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
    let ports = pod.list_at("/spec/containers").iter().flat_map(|c| c.list_at("/ports").iter());
    ports
        .filter_map(|p| {
            let protocol = Some(p.str_at("/protocol")).filter(|s| !s.is_empty()).unwrap_or("TCP").to_owned();
            let port = p.get("hostPort").and_then(Value::as_u64).filter(|n| *n > 0)?;
            Some(HostPort { port, protocol, ip: p.str_at("/hostIP").to_owned() })
        })
        .collect()
}

fn ports_clash(pod: &Value, taken: &[Arc<Value>]) -> bool {
    let wanted = host_ports(pod);
    !wanted.is_empty()
        && taken.iter().flat_map(|p| host_ports(p)).any(|p| wanted.iter().any(|w| w.clashes(&p)))
}

fn fits_resources(pod: &Value, node: &Value, taken: &[Arc<Value>]) -> Result<(), Refusal> {
    let room = amounts(node.pointer("/status/allocatable"));
    let have = |name: &str| room.get(name).copied().unwrap_or(0);
    let (mut reasons, mut curable) = (Vec::new(), true);
    if (taken.len() as i128 + 1) * 1000 > have("pods") {
        reasons.push("Too many pods".to_owned());
    }
    let used: Vec<_> = taken.iter().map(|p| requests(p)).collect();
    for (name, wanted) in requests(pod) {
        let in_use: i128 = used.iter().filter_map(|u| u.get(&name)).sum();
        if wanted > 0 && in_use + wanted > have(&name) {
            reasons.push(format!("Insufficient {name}"));
            // More than the whole node has: nobody's leaving helps.
            curable &= wanted <= have(&name);
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(Refusal { reasons, curable }) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::around::Storage, *};

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
        let node = Arc::new(node(extra));
        let mut around = Around::new(vec![node.clone()], Vec::new(), Storage::default());
        taken.into_iter().for_each(|p| around.put(Arc::new(p), node.clone()));
        let incoming = Incoming { pod: &pod, claims: &Claims::default(), profile: Profile::default() };
        let got = check(&incoming, &node, &around).err().map(|r| r.reasons).unwrap_or_default();
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
}
