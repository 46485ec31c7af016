//! What one object counts for in a quota, by kind (`pkg/quota/v1/evaluator/core`).

use serde_json::{Value, json};

use super::amounts::{self, Amounts, Side};
use crate::{
    object::ObjectExt as _,
    quantity::{Format, Quantity},
};

/// Resources of a pod that quotas know by name; hugepages and extended ones are known by prefix.
const COMPUTE: [&str; 9] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];
/// Kinds that quotas count under their bare name too.
const BARE_NAMES: [&str; 5] =
    ["configmaps", "resourcequotas", "replicationcontrollers", "secrets", "services"];
const CLASS_SUFFIX: &str = ".storageclass.storage.k8s.io/";

fn one() -> Quantity {
    Quantity::units(1, Format::DecimalSi)
}

/// `count/pods`, `count/deployments.apps`
fn count_name(group: &str, resource: &str) -> String {
    if group.is_empty() { format!("count/{resource}") } else { format!("count/{resource}.{group}") }
}

/// Whether the quota's resource `name` counts objects of this kind.
pub fn counts(group: &str, resource: &str, name: &str) -> bool {
    if name == count_name(group, resource) {
        return true;
    }
    match (group, resource) {
        ("", "pods") => {
            let extended = name.strip_prefix("requests.").is_some_and(|r| r.contains('/'));
            name == "pods"
                || COMPUTE.contains(&name)
                || extended
                || name.starts_with("hugepages-")
                || name.starts_with("requests.hugepages-")
        }
        ("", "services") => matches!(name, "services" | "services.nodeports" | "services.loadbalancers"),
        ("", "persistentvolumeclaims") => {
            matches!(name, "persistentvolumeclaims" | "requests.storage")
                || name.ends_with(&format!("{CLASS_SUFFIX}persistentvolumeclaims"))
                || name.ends_with(&format!("{CLASS_SUFFIX}requests.storage"))
        }
        ("", resource) => BARE_NAMES.contains(&resource) && name == resource,
        _ => false,
    }
}

/// What `object` counts for.
pub fn of(group: &str, resource: &str, object: &Value) -> Amounts {
    let mut usage = Amounts::from([(count_name(group, resource), one())]);
    match (group, resource) {
        ("", "pods") => {
            let is_over = matches!(object.str_at("/status/phase"), "Failed" | "Succeeded");
            if !is_over {
                usage.insert("pods".to_owned(), one());
                let (requests, limits) =
                    (amounts::of_pod(object, Side::Requests), amounts::of_pod(object, Side::Limits));
                usage.extend(compute(&requests, &limits));
            }
        }
        ("", "services") => {
            let ports = object.list_at("/spec/ports");
            let with_node_port = || {
                let keeps_all = object.at("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
                ports.iter().filter(|port| keeps_all || port.i64_at("/nodePort").unwrap_or(0) != 0).count()
            };
            let (node_ports, balancers) = match object.str_at("/spec/type") {
                "NodePort" => (ports.len(), 0),
                "LoadBalancer" => (with_node_port(), 1),
                _ => (0, 0),
            };
            let units = |n: usize| Quantity::units(n as i64, Format::DecimalSi);
            usage.insert("services".to_owned(), one());
            usage.insert("services.nodeports".to_owned(), units(node_ports));
            usage.insert("services.loadbalancers".to_owned(), units(balancers));
        }
        ("", "persistentvolumeclaims") => {
            usage.insert("persistentvolumeclaims".to_owned(), one());
            let storage = amounts::read(object.at("/spec/resources/requests")).remove("storage");
            usage.extend(storage.map(|amount| ("requests.storage".to_owned(), amount)));
            let class = object.str_at("/spec/storageClassName");
            if !class.is_empty() {
                usage.insert(format!("{class}{CLASS_SUFFIX}persistentvolumeclaims"), one());
                usage
                    .extend(storage.map(|amount| (format!("{class}{CLASS_SUFFIX}requests.storage"), amount)));
            }
        }
        ("", resource) if BARE_NAMES.contains(&resource) => {
            usage.insert(resource.to_owned(), one());
        }
        _ => {}
    }
    usage
}

/// The names under which a quota knows these amounts.
pub fn compute(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut usage = Amounts::new();
    for (name, amount) in requests {
        match name.as_str() {
            "cpu" | "memory" | "ephemeral-storage" => {
                usage.insert(name.clone(), *amount);
                usage.insert(format!("requests.{name}"), *amount);
            }
            huge if huge.starts_with("hugepages-") => {
                usage.insert(name.clone(), *amount);
                usage.insert(format!("requests.{name}"), *amount);
            }
            extended if extended.contains('/') => {
                usage.insert(format!("requests.{name}"), *amount);
            }
            _ => {}
        }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
        usage.extend(limits.get(name).map(|amount| (format!("limits.{name}"), *amount)));
    }
    usage
}

/// Whether all scopes of the quota match the object. Scopes are about pods, and one about claims; a quota
/// that has any counts nothing else.
pub fn in_scope(group: &str, resource: &str, quota: &Value, object: &Value) -> bool {
    scopes(quota).iter().all(|scope| has_scope(group, resource, scope, object))
}

/// The scopes of a quota in the form of a selector's: name, operator, values.
pub fn scopes(quota: &Value) -> Vec<Value> {
    let plain = quota.list_at("/spec/scopes").iter().filter_map(Value::as_str);
    let plain = plain.map(|name| json!({ "scopeName": name, "operator": "Exists" }));
    plain.chain(quota.list_at("/spec/scopeSelector/matchExpressions").iter().cloned()).collect()
}

/// Whether the object is in a scope.
pub fn has_scope(group: &str, resource: &str, scope: &Value, object: &Value) -> bool {
    let values: Vec<&str> = scope.list_at("/values").iter().filter_map(Value::as_str).collect();
    let (name, operator) = (scope.str_at("/scopeName"), scope.str_at("/operator"));
    match (group, resource) {
        ("", "pods") => pod_matches(object, name, operator, &values),
        ("", "persistentvolumeclaims") if name == "VolumeAttributesClass" => {
            let named = [
                "/spec/volumeAttributesClassName",
                "/status/currentVolumeAttributesClassName",
                "/status/modifyVolumeStatus/targetVolumeAttributesClassName",
            ]
            .map(|field| object.str_at(field));
            let mut named: Vec<&str> = named.into_iter().filter(|class| !class.is_empty()).collect();
            if named.is_empty() {
                named.push("");
            }
            named.into_iter().any(|class| class_matches(class, operator, &values))
        }
        _ => false,
    }
}

/// Whether a selector takes the name of a class; an empty one is none.
fn class_matches(class: &str, operator: &str, values: &[&str]) -> bool {
    match operator {
        "In" => values.contains(&class),
        "NotIn" => !values.contains(&class),
        "DoesNotExist" => class.is_empty(),
        _ => !class.is_empty(),
    }
}

/// Whether the pod seeks or shuns pods of other namespaces.
fn looks_across_namespaces(pod: &Value) -> bool {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let across = |term: &Value| {
        !term.list_at("/namespaces").is_empty() || term.get("namespaceSelector").is_some_and(|s| !s.is_null())
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let at = format!("/spec/affinity/{kind}");
        let preferred = pod.list_at(&format!("{at}/{PREFERRED}")).iter();
        pod.list_at(&format!("{at}/{REQUIRED}")).iter().any(across)
            || preferred.filter_map(|weighted| weighted.get("podAffinityTerm")).any(across)
    })
}

fn pod_matches(pod: &Value, scope: &str, operator: &str, values: &[&str]) -> bool {
    let has_deadline = pod.i64_at("/spec/activeDeadlineSeconds").is_some_and(|s| s >= 0);
    match scope {
        "Terminating" => has_deadline,
        "NotTerminating" => !has_deadline,
        "BestEffort" => is_best_effort(pod),
        "NotBestEffort" => !is_best_effort(pod),
        "PriorityClass" => class_matches(pod.str_at("/spec/priorityClassName"), operator, values),
        "CrossNamespacePodAffinity" => looks_across_namespaces(pod),
        _ => false,
    }
}

/// Whether no container asks for, or is limited in, anything that counts.
pub fn is_best_effort(pod: &Value) -> bool {
    let mut containers = pod.list_at("/spec/containers").iter().chain(pod.list_at("/spec/initContainers"));
    containers.all(|container| {
        [Side::Requests, Side::Limits].into_iter().all(|side| {
            let amounts = amounts::of_container(container, side);
            ["cpu", "memory"].iter().all(|name| amounts.get(*name).is_none_or(|q| q.is_zero()))
        })
    })
}
