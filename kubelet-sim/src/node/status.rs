//! NodeStatus: what it says, whether the API knows it already, and how it is sent.

use api::object::ObjectExt as _;
use serde_json::{Value, json};

use super::capacity::{allocatable, capacity};
use crate::options::Options;

/// Images beyond these are not told (nodeStatusMaxImages).
const MOST_IMAGES: usize = 50;

/// What of a status does not follow from options and node.
pub(super) struct Facts {
    pub now: String,
    pub images: Vec<String>,
    /// The status goes along with the registration: the runtime was not looked at yet.
    pub first: bool,
}

/// Pressures in the kubelet's order: type; reason and message without and with it; the annotation of
/// the node that makes it so.
const PRESSURES: &[(&str, [&str; 2], [&str; 2], &str)] = &[
    (
        "MemoryPressure",
        ["KubeletHasSufficientMemory", "kubelet has sufficient memory available"],
        ["KubeletHasInsufficientMemory", "kubelet has insufficient memory available"],
        "chronoplane.dev/memory-pressure",
    ),
    (
        "DiskPressure",
        ["KubeletHasNoDiskPressure", "kubelet has no disk pressure"],
        ["KubeletHasDiskPressure", "kubelet has disk pressure"],
        "chronoplane.dev/disk-pressure",
    ),
    (
        "PIDPressure",
        ["KubeletHasSufficientPID", "kubelet has sufficient PID available"],
        ["KubeletHasInsufficientPID", "kubelet has insufficient PID available"],
        "chronoplane.dev/pid-pressure",
    ),
];

/// An annotation of the node: it is not Ready while it is there, for the reason that it says. Without
/// words the network is missing.
const NOT_READY: &str = "chronoplane.dev/not-ready";
const NO_NETWORK: &str = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized";
/// What a node says that has just been registered.
const NOT_LOOKED: &str = "[container runtime status check may not have completed yet, PLEG is not healthy: pleg has yet to be successful]";

/// Type, status, reason and message, in the kubelet's order.
fn judgements(node: &Value, first: bool) -> Vec<(&'static str, &'static str, String, String)> {
    let mut all: Vec<_> = PRESSURES
        .iter()
        .map(|(kind, fine, pressed, annotation)| {
            let is_pressed = node.annotation(annotation).is_some();
            let [reason, message] = if is_pressed { pressed } else { fine };
            (*kind, if is_pressed { "True" } else { "False" }, (*reason).to_owned(), (*message).to_owned())
        })
        .collect();
    let trouble = match node.annotation(NOT_READY) {
        Some("" | "true") => Some(NO_NETWORK),
        Some(words) => Some(words),
        None if first => Some(NOT_LOOKED),
        None => None,
    };
    all.push(match trouble {
        None => ("Ready", "True", "KubeletReady".into(), "kubelet is posting ready status".into()),
        Some(words) => ("Ready", "False", "KubeletNotReady".into(), words.to_owned()),
    });
    all
}

fn known<'a>(node: &'a Value, kind: &str) -> Option<&'a Value> {
    node.list_at("/status/conditions").iter().find(|c| c.str_at("/type") == kind)
}

/// What of a status follows from the options and from how often the host was switched on: made once, for it is looked at all the time.
pub(super) fn fixed(options: &Options, boots: u64) -> Value {
    let machine = fingerprint(&options.node_name);
    json!({
        "addresses": [
            {"type": "InternalIP", "address": options.node_ip.to_string()},
            {"type": "Hostname", "address": options.node_name},
        ],
        "allocatable": allocatable(options),
        "capacity": capacity(options),
        "conditions": [],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": options.port}},
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": uuid(&fingerprint(&format!("boot {boots} of {}", options.node_name))),
            "containerRuntimeVersion": "chronoplane://0.1.0",
            "kernelVersion": "simulated",
            "kubeProxyVersion": "",
            "kubeletVersion": options.profile.git_version(),
            "machineID": machine,
            "operatingSystem": "linux",
            "osImage": "chronoplane simulated node",
            "systemUUID": uuid(&machine),
        },
    })
}

/// The status of the node that is `node` to the API.
pub(super) fn status(fixed: &Value, node: &Value, facts: &Facts) -> Value {
    let conditions: Vec<Value> = judgements(node, facts.first)
        .into_iter()
        .map(|(kind, status, reason, message)| {
            let same = known(node, kind).filter(|c| c.str_at("/status") == status);
            let since = same.map_or("", |c| c.str_at("/lastTransitionTime"));
            json!({
                "type": kind,
                "status": status,
                "lastHeartbeatTime": facts.now,
                "lastTransitionTime": if since.is_empty() { &facts.now } else { since },
                "reason": reason,
                "message": message,
            })
        })
        .collect();
    let mut status = fixed.clone();
    status["conditions"] = conditions.into();
    if let Some(images) = images(facts) {
        status["images"] = images;
    }
    status
}

fn images(facts: &Facts) -> Option<Value> {
    let names = facts.images.iter().take(MOST_IMAGES);
    let images: Vec<Value> = names.map(|name| json!({"names": [name], "sizeBytes": 0})).collect();
    (!images.is_empty()).then(|| images.into())
}

/// 32 hex digits that are the same at every start of a host, as /etc/machine-id is.
fn fingerprint(name: &str) -> String {
    let fold =
        |basis: u64| name.bytes().fold(basis, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{:016x}{:016x}", fold(0xcbf2_9ce4_8422_2325), fold(0x8422_2325_cbf2_9ce4))
}

fn uuid(digits: &str) -> String {
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

/// Whether the status would say more to the API than that the kubelet is alive.
pub(super) fn differs(fixed: &Value, node: &Value, facts: &Facts) -> bool {
    let conditions = judgements(node, facts.first).into_iter().any(|(kind, status, reason, message)| {
        let old = known(node, kind).map(|c| ["/status", "/reason", "/message"].map(|at| c.str_at(at)));
        old != Some([status, reason.as_str(), message.as_str()])
    });
    let there = |at: &str| node.at("/status").and_then(|status| status.at(at));
    let changed =
        |at: &str, new: Option<&Value>| new.is_some_and(|new| there(at).is_none_or(|old| !covers(old, new)));
    let rest = ["/addresses", "/daemonEndpoints", "/nodeInfo"];
    let amounts = |at: &str| {
        let read = |v: Option<&Value>| {
            v.and_then(|v| api::quantity::Quantity::from_value(v).ok()).map(|q| q.nanos())
        };
        let old = |name: &str| there(at).and_then(|all| all.get(name));
        let differ = |name: &str, new: &Value| old(name) != Some(new) && read(Some(new)) != read(old(name));
        fixed.map_at(at).into_iter().flatten().any(|(name, new)| differ(name, new))
    };
    conditions
        || rest.into_iter().any(|at| changed(at, fixed.at(at)))
        || changed("/images", images(facts).as_ref())
        || ["/capacity", "/allocatable"].into_iter().any(amounts)
}

/// Whether `old` says all that `new` says; a server may have added to it.
fn covers(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => new.iter().all(|(key, value)| match old.get(key) {
            Some(there) => covers(there, value),
            None => value == "" || value == 0,
        }),
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| covers(old, new))
        }
        (old, new) => old == new,
    }
}

/// What an event says if the host was switched on again since the API heard of it last.
pub(super) fn reboot(name: &str, node: &Value, wanted: &Value) -> Option<String> {
    let (before, now) = (node.str_at("/status/nodeInfo/bootID"), wanted.str_at("/nodeInfo/bootID"));
    (!before.is_empty() && before != now).then(|| format!("Node {name} has been rebooted, boot id: {now}"))
}

/// Events of what changes with `wanted`: reason and message.
pub(super) fn transitions(name: &str, node: &Value, wanted: &Value) -> Vec<(&'static str, String)> {
    let changed = wanted.list_at("/conditions").iter().filter(|c| {
        known(node, c.str_at("/type")).is_none_or(|old| old.str_at("/status") != c.str_at("/status"))
    });
    changed
        .filter_map(|c| {
            let reason = match (c.str_at("/type"), c.str_at("/status")) {
                ("MemoryPressure", "False") => "NodeHasSufficientMemory",
                ("MemoryPressure", _) => "NodeHasInsufficientMemory",
                ("DiskPressure", "False") => "NodeHasNoDiskPressure",
                ("DiskPressure", _) => "NodeHasDiskPressure",
                ("PIDPressure", "False") => "NodeHasSufficientPID",
                ("PIDPressure", _) => "NodeHasInsufficientPID",
                ("Ready", "True") => "NodeReady",
                ("Ready", _) => "NodeNotReady",
                _ => return None,
            };
            Some((reason, format!("Node {name} status is now: {reason}")))
        })
        .collect()
}

/// Addresses are a list that merges by type; the kubelet's are all there are.
pub(super) fn as_patch(mut status: Value) -> Value {
    if let Some(addresses) = status.get_mut("addresses").and_then(Value::as_array_mut) {
        addresses.push(json!({"$patch": "replace"}));
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: &str) -> Facts {
        Facts { now: now.into(), images: Vec::new(), first: false }
    }

    /// A node whose status was told at `now`.
    fn told(now: &str) -> Value {
        let node = json!({"metadata": {"name": "n1"}});
        let status = status(&fixed(&Options::for_tests(), 1), &node, &at(now));
        json!({"metadata": {"name": "n1"}, "status": status})
    }

    #[test]
    fn a_condition_keeps_its_transition_time_while_its_status_stays() {
        let node = json!({"status": {"conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"},
            {"type": "DiskPressure", "status": "Unknown", "lastTransitionTime": "2020-01-01T00:00:00Z"},
        ]}});
        let status = status(&fixed(&Options::for_tests(), 1), &node, &at("2026-01-01T00:00:00Z"));
        let condition =
            |i: usize, at: &str| status["conditions"][i][at].as_str().unwrap_or_default().to_owned();
        let order: Vec<String> = (0..4).map(|i| condition(i, "type")).collect();
        assert_eq!(order, ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"]);
        assert_eq!(condition(3, "lastTransitionTime"), "2020-01-01T00:00:00Z", "Ready stayed True");
        assert_eq!(
            condition(1, "lastTransitionTime"),
            "2026-01-01T00:00:00Z",
            "DiskPressure came back from Unknown"
        );
    }

    #[test]
    fn only_news_are_told_between_heartbeats() {
        let check = |change: fn(&mut Value), facts: Facts, expect: bool| {
            let mut node = told("2026-01-01T00:00:00Z");
            change(&mut node);
            assert_eq!(differs(&fixed(&Options::for_tests(), 1), &node, &facts), expect, "{node}");
        };
        let later = || at("2026-01-01T01:00:00Z");
        check(|_| {}, later(), false);
        check(|node| node["status"]["conditions"][3]["status"] = "Unknown".into(), later(), true);
        check(|node| node["status"]["nodeInfo"]["kubeletVersion"] = "v1.8.0".into(), later(), true);
        check(|node| node["status"]["capacity"]["memory"] = "32Gi".into(), later(), false);
        check(|node| node["status"]["capacity"]["memory"] = "33Gi".into(), later(), true);
        check(|node| node["metadata"]["annotations"] = json!({NOT_READY: ""}), later(), true);
        check(|_| {}, Facts { images: vec!["nginx".into()], ..later() }, true);
    }

    #[test]
    fn another_boot_is_told_once() {
        let node = told("2026-01-01T00:00:00Z");
        let wanted = |boots| status(&fixed(&Options::for_tests(), boots), &node, &at("2026-01-01T01:00:00Z"));
        let id = |status: &Value| status.str_at("/nodeInfo/bootID").to_owned();
        assert_eq!(reboot("n1", &node, &wanted(1)), None);
        let again = wanted(2);
        assert_ne!(id(&again), id(node.at("/status").expect("there")));
        let words = format!("Node n1 has been rebooted, boot id: {}", id(&again));
        assert_eq!(reboot("n1", &node, &again), Some(words));
        assert_eq!(reboot("n1", &json!({}), &again), None, "a new node");
        assert!(differs(&fixed(&Options::for_tests(), 2), &node, &at("2026-01-01T01:00:00Z")));
    }

    #[test]
    fn faults_of_a_node_are_annotations() {
        let check = |annotation: &str, value: &str, events: &[&str], ready: &str| {
            let mut node = told("2026-01-01T00:00:00Z");
            node["metadata"]["annotations"] = json!({annotation: value});
            let wanted = status(&fixed(&Options::for_tests(), 1), &node, &at("2026-01-01T01:00:00Z"));
            let reasons: Vec<&str> = transitions("n1", &node, &wanted).into_iter().map(|(r, _)| r).collect();
            assert_eq!(reasons, events, "{annotation}");
            assert_eq!(wanted["conditions"][3]["message"], ready, "{annotation}");
        };
        let fine = "kubelet is posting ready status";
        check("chronoplane.dev/memory-pressure", "true", &["NodeHasInsufficientMemory"], fine);
        check("chronoplane.dev/disk-pressure", "", &["NodeHasDiskPressure"], fine);
        check(NOT_READY, "", &["NodeNotReady"], NO_NETWORK);
        check(NOT_READY, "PLEG is not healthy", &["NodeNotReady"], "PLEG is not healthy");
        check("other", "x", &[], fine);
    }
}
