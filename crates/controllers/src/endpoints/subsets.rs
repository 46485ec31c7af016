//! Subsets of an Endpoints object: addresses that share all their ports (`RepackSubsets`).

use std::{collections::BTreeMap, sync::Arc};

use api::object::ObjectExt as _;
use serde_json::{Value, json};

use super::membership::{self, Family};
use crate::pods::is_ready;

/// More addresses than this are cut off, and the object says so.
const CAPACITY: usize = 1000;

/// Address (IP, UID of the pod) and how it is written.
type Addresses = BTreeMap<(String, String), Value>;

/// Addresses with the same ports.
#[derive(Default)]
struct Subset {
    ready: Addresses,
    not_ready: Addresses,
    ports: Vec<Value>,
}

/// The subsets of a service's members, and whether some had to be left out.
pub(super) fn of(service: &Value, members: &[Arc<Value>]) -> (Vec<Value>, bool) {
    let family = membership::families(service).first().copied().unwrap_or(Family::V4);
    let mut by_ports: BTreeMap<String, Subset> = BTreeMap::new();
    for pod in members {
        let Some(ip) = membership::address(pod, family) else { continue };
        let mut ports = membership::ports(service, pod);
        if ports.is_empty() && !membership::may_lack_ports(service) {
            continue;
        }
        ports.sort_by_key(|p| (p.str_at("/name").to_owned(), p.to_string()));
        for port in &mut ports {
            // A single port needs no name.
            if port.str_at("/name").is_empty()
                && let Some(fields) = port.as_object_mut()
            {
                fields.shift_remove("name");
            }
        }
        let subset = by_ports.entry(Value::from(ports.clone()).to_string()).or_default();
        subset.ports = ports;
        let key = (ip.clone(), pod.uid().to_owned());
        let ready = membership::tolerates_unready(service) || is_ready(pod);
        let into = if ready { &mut subset.ready } else { &mut subset.not_ready };
        into.insert(key, address(service, pod, &ip));
    }
    let mut room = CAPACITY;
    let mut cut = false;
    let mut take = |all: Addresses| -> Vec<Value> {
        cut |= all.len() > room;
        let taken: Vec<Value> = all.into_values().take(room).collect();
        room -= taken.len();
        taken
    };
    // Those that are ready have the first claim on the room.
    let ready: Vec<Vec<Value>> = by_ports.values_mut().map(|s| take(std::mem::take(&mut s.ready))).collect();
    let not_ready: Vec<Vec<Value>> =
        by_ports.values_mut().map(|s| take(std::mem::take(&mut s.not_ready))).collect();
    let subsets = by_ports.into_values().zip(ready.into_iter().zip(not_ready));
    let written = subsets.filter_map(|(subset, (ready, not_ready))| {
        let mut written = json!({});
        for (field, list) in [("addresses", ready), ("notReadyAddresses", not_ready), ("ports", subset.ports)]
        {
            if !list.is_empty() {
                written[field] = list.into();
            }
        }
        (written.get("addresses").is_some() || written.get("notReadyAddresses").is_some()).then_some(written)
    });
    (written.collect(), cut)
}

fn address(service: &Value, pod: &Value, ip: &str) -> Value {
    let mut address = json!({"ip": ip});
    if let Some(name) = membership::hostname(service, pod) {
        address["hostname"] = name.into();
    }
    let node = pod.str_at("/spec/nodeName");
    if !node.is_empty() {
        address["nodeName"] = node.into();
    }
    address["targetRef"] = membership::target(pod);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ip: &str, ready: bool, port: i64) -> Arc<Value> {
        Arc::new(json!({
            "metadata": {"name": name, "namespace": "n", "uid": name},
            "spec": {"nodeName": "n1", "containers": [{"ports": [{"name": "http", "containerPort": port}]}]},
            "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        }))
    }

    /// Per subset: ready IPs, not ready IPs, port numbers.
    fn check(service: Value, pods: &[Arc<Value>], expect: &[(&[&str], &[&str], &[i64])]) {
        let ips = |s: &Value, at: &str| -> Vec<String> {
            s.list_at(at).iter().map(|a| a.str_at("/ip").to_owned()).collect()
        };
        let found: Vec<_> = of(&service, pods)
            .0
            .iter()
            .map(|s| {
                let ports: Vec<i64> = s.list_at("/ports").iter().filter_map(|p| p["port"].as_i64()).collect();
                (ips(s, "/addresses"), ips(s, "/notReadyAddresses"), ports)
            })
            .collect();
        let expect: Vec<_> = expect
            .iter()
            .map(|(ready, not, ports)| {
                let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
                (owned(ready), owned(not), ports.to_vec())
            })
            .collect();
        assert_eq!(found, expect, "{service}");
    }

    #[test]
    fn addresses_are_grouped_by_their_ports() {
        let named = json!({"spec": {"ports": [{"port": 80, "targetPort": "http"}]}});
        let pods = [
            pod("a", "10.0.0.2", true, 8080),
            pod("b", "10.0.0.1", true, 8080),
            pod("c", "10.0.0.3", false, 8080),
            pod("d", "10.0.0.4", true, 9090),
        ];
        check(
            named.clone(),
            &pods,
            &[(&["10.0.0.1", "10.0.0.2"], &["10.0.0.3"], &[8080]), (&["10.0.0.4"], &[], &[9090])],
        );
        let mut tolerant = named.clone();
        tolerant["spec"]["publishNotReadyAddresses"] = true.into();
        check(tolerant, &pods[2..3], &[(&["10.0.0.3"], &[], &[8080])]);
        check(json!({"spec": {"ports": [{"port": 80, "targetPort": "none"}]}}), &pods, &[]);
        check(json!({"spec": {"clusterIP": "None"}}), &pods[..1], &[(&["10.0.0.2"], &[], &[])]);
        check(named, &[], &[]);
    }

    #[test]
    fn a_thousand_addresses_are_the_limit_and_ready_ones_go_first() {
        let service = json!({"spec": {"ports": [{"port": 80}]}});
        let pods: Vec<Arc<Value>> = (0..1001)
            .map(|i| pod(&format!("p{i}"), &format!("10.0.{}.{}", i / 250, i % 250 + 1), i != 0, 80))
            .collect();
        let (subsets, cut) = of(&service, &pods);
        assert!(cut);
        assert_eq!(subsets[0]["addresses"].as_array().map(Vec::len), Some(1000));
        assert_eq!(subsets[0].get("notReadyAddresses"), None);
        assert!(!of(&service, &pods[1..]).1);
    }
}
