//! Which pods stand behind a service, under which address and at which ports.

use std::{net::IpAddr, sync::Arc};

use api::object::ObjectExt as _;
use serde_json::{Map, Value, json};

use super::{is_headless, selects};
use crate::pods::{is_finished, is_ready};

/// Whether a pod's change can change the endpoints of a service.
pub(super) fn matters(old: &Value, new: &Value) -> bool {
    let differs = |at: &str| old.pointer(at) != new.pointer(at);
    let fields = [
        "/metadata/labels",
        "/metadata/uid",
        "/spec/hostname",
        "/spec/nodeName",
        "/status/podIP",
        "/status/podIPs",
    ];
    fields.into_iter().any(differs)
        || is_ready(old) != is_ready(new)
        || old.is_terminating() != new.is_terminating()
        || is_finished(old) != is_finished(new)
}

/// An address family, as slices name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    fn holds(self, ip: &str) -> bool {
        match ip.parse::<IpAddr>() {
            Ok(ip) => ip.is_ipv4() == (self == Self::V4),
            Err(_) => false,
        }
    }
}

/// The families that a service has addresses of, the first one first.
pub(super) fn families(service: &Value) -> Vec<Family> {
    let named: Vec<Family> = service
        .list_at("/spec/ipFamilies")
        .iter()
        .filter_map(|f| match f.as_str() {
            Some("IPv4") => Some(Family::V4),
            Some("IPv6") => Some(Family::V6),
            _ => None,
        })
        .collect();
    if !named.is_empty() {
        return named;
    }
    let is_v6 = Family::V6.holds(service.str_at("/spec/clusterIP"));
    vec![if is_v6 { Family::V6 } else { Family::V4 }]
}

/// The pod's address of a family.
pub(super) fn address(pod: &Value, family: Family) -> Option<String> {
    let mut all = pod.list_at("/status/podIPs").iter().map(|ip| ip.str_at("/ip"));
    let found = all.find(|ip| family.holds(ip)).or_else(|| {
        let only = pod.str_at("/status/podIP");
        family.holds(only).then_some(only)
    });
    found.map(str::to_owned)
}

/// Pods that the service selects and that can be reached: they have an address and have not ended.
/// Those on their way out only `with_terminating` (`ShouldPodBeInEndpoints`).
pub(super) fn members(service: &Value, pods: Vec<Arc<Value>>, with_terminating: bool) -> Vec<Arc<Value>> {
    let belongs = |pod: &Value| {
        !is_finished(pod)
            && !pod.str_at("/status/podIP").is_empty()
            && (with_terminating || !pod.is_terminating())
            && selects(service, pod)
    };
    pods.into_iter().filter(|pod| belongs(pod)).collect()
}

pub(super) fn tolerates_unready(service: &Value) -> bool {
    service.pointer("/spec/publishNotReadyAddresses").and_then(Value::as_bool) == Some(true)
}

/// A pod's own DNS name below the service: only if it asks for this very service.
pub(super) fn hostname<'a>(service: &Value, pod: &'a Value) -> Option<&'a str> {
    let name = pod.str_at("/spec/hostname");
    let here = pod.str_at("/spec/subdomain") == service.name();
    (!name.is_empty() && here).then_some(name)
}

pub(super) fn target(pod: &Value) -> Value {
    json!({
        "kind": "Pod",
        "name": pod.name(),
        "namespace": pod.namespace(),
        "uid": pod.uid(),
    })
}

/// Where a service's port leads in `pod`: its number, or the container port of that name and
/// protocol; sidecars count (`FindPort`).
fn find_port(pod: &Value, port: &Value) -> Option<i64> {
    match port.get("targetPort") {
        Some(Value::String(name)) => {
            let sidecars =
                pod.list_at("/spec/initContainers").iter().filter(|c| c.str_at("/restartPolicy") == "Always");
            pod.list_at("/spec/containers")
                .iter()
                .chain(sidecars)
                .flat_map(|c| c.list_at("/ports").iter())
                .find(|p| p.str_at("/name") == name && protocol(p) == protocol(port))
                .and_then(|p| p.i64_at("/containerPort"))
        }
        Some(target) => target.as_i64().filter(|n| *n > 0).or_else(|| port.i64_at("/port")),
        None => port.i64_at("/port"),
    }
}

fn protocol(port: &Value) -> &str {
    Some(port.str_at("/protocol")).filter(|p| !p.is_empty()).unwrap_or("TCP")
}

/// The ports of a service as `pod` has them; a name that the pod does not know is left out.
pub(super) fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    service
        .list_at("/spec/ports")
        .iter()
        .filter_map(|port| {
            let mut found = Map::new();
            found.insert("name".into(), port.str_at("/name").into());
            found.insert("port".into(), find_port(pod, port)?.into());
            found.insert("protocol".into(), protocol(port).into());
            if let Some(app) = port.get("appProtocol") {
                found.insert("appProtocol".into(), app.clone());
            }
            Some(Value::Object(found))
        })
        .collect()
}

/// Whether a service without any port has endpoints nevertheless.
pub(super) fn may_lack_ports(service: &Value) -> bool {
    is_headless(service) && service.list_at("/spec/ports").is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "web"}},
            "spec": {
                "containers": [{"ports": [
                    {"name": "http", "containerPort": 8080},
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                ]}],
                "initContainers": [
                    {"restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 9000}]},
                    {"ports": [{"name": "init", "containerPort": 9001}]},
                ],
            },
            "status": {"podIP": "10.244.1.2", "podIPs": [{"ip": "10.244.1.2"}, {"ip": "fd00::2"}], "phase": "Running"},
        })
    }

    fn check_port(port: Value, expect: Option<i64>) {
        let service = json!({"spec": {"ports": [port]}});
        let found = ports(&service, &pod()).first().and_then(|p| p.i64_at("/port"));
        assert_eq!(found, expect, "{service}");
    }

    #[test]
    fn where_a_port_leads() {
        check_port(json!({"port": 80}), Some(80));
        check_port(json!({"port": 80, "targetPort": 8080}), Some(8080));
        check_port(json!({"port": 80, "targetPort": "http"}), Some(8080));
        check_port(json!({"port": 80, "targetPort": "http", "protocol": "UDP"}), None);
        check_port(json!({"port": 53, "targetPort": "dns", "protocol": "UDP"}), Some(53));
        check_port(json!({"port": 80, "targetPort": "side"}), Some(9000));
        check_port(json!({"port": 80, "targetPort": "init"}), None);
        check_port(json!({"port": 80, "targetPort": "none"}), None);
    }

    fn check_member(change: impl Fn(&mut Value), with_terminating: bool, expect: bool) {
        let service = json!({"spec": {"selector": {"app": "web"}}});
        let mut pod = pod();
        change(&mut pod);
        let found = members(&service, vec![Arc::new(pod.clone())], with_terminating).len() == 1;
        assert_eq!(found, expect, "{pod}");
    }

    #[test]
    fn who_is_a_member() {
        check_member(|_| {}, false, true);
        check_member(|p| p["metadata"]["labels"]["app"] = "other".into(), false, false);
        check_member(|p| p["status"]["podIP"] = "".into(), false, false);
        check_member(|p| p["status"]["phase"] = "Succeeded".into(), true, false);
        check_member(|p| p["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(), false, false);
        check_member(|p| p["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(), true, true);
    }

    #[test]
    fn each_family_has_its_address() {
        assert_eq!(address(&pod(), Family::V4).as_deref(), Some("10.244.1.2"));
        assert_eq!(address(&pod(), Family::V6).as_deref(), Some("fd00::2"));
        assert_eq!(families(&json!({"spec": {"ipFamilies": ["IPv6", "IPv4"]}})), [Family::V6, Family::V4]);
        assert_eq!(families(&json!({"spec": {"clusterIP": "fd00::1"}})), [Family::V6]);
        assert_eq!(families(&json!({"spec": {"clusterIP": "None"}})), [Family::V4]);
    }
}
