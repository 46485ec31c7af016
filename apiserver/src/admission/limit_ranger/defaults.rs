//! The amounts that a container gets when it names none.

use api::object::ObjectExt as _;
use serde_json::{Map, Value};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Fills `pod`'s containers from `range` and says in an annotation what was filled.
pub(super) fn apply(range: &Value, pod: &mut Value) {
    let (requests, limits) = defaults(range);
    let mut notes = Vec::new();
    for (list, kind) in [("/spec/containers", "container"), ("/spec/initContainers", "init container")] {
        for container in pod.at_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let name = container.str_at("/name").to_owned();
            // Both are looked at before either is written: a default limit is no request.
            let set_limits = fill(container, "/resources/limits", &limits);
            let set_requests = fill(container, "/resources/requests", &requests);
            if !set_requests.is_empty() {
                notes.push(format!("{} request for {kind} {name}", set_requests.join(", ")));
            }
            if !set_limits.is_empty() {
                notes.push(format!("{} limit for {kind} {name}", set_limits.join(", ")));
            }
        }
    }
    if !notes.is_empty() {
        pod.set_annotation(ANNOTATION, &format!("LimitRanger plugin set: {}", notes.join("; ")));
    }
}

/// Default requests and limits of a range. Where it says less, a maximum is the default limit, a
/// default limit the default request, and a minimum too.
fn defaults(range: &Value) -> (Map<String, Value>, Map<String, Value>) {
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for limit in range.list_at("/spec/limits").iter().filter(|l| l.str_at("/type") == "Container") {
        let entries = |field: &str| limit.map_at(field).into_iter().flatten();
        let mut own_limits: Map<String, Value> = Map::new();
        for (name, amount) in entries("/default").chain(entries("/max")) {
            own_limits.entry(name.clone()).or_insert_with(|| amount.clone());
        }
        let mut own_requests: Map<String, Value> = Map::new();
        for (name, amount) in entries("/defaultRequest").chain(own_limits.iter()).chain(entries("/min")) {
            own_requests.entry(name.clone()).or_insert_with(|| amount.clone());
        }
        requests.extend(own_requests);
        limits.extend(own_limits);
    }
    (requests, limits)
}

/// Adds what is missing; the names of what was added, sorted.
fn fill(container: &mut Value, at: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let missing = |name: &str| !container.map_at(at).is_some_and(|held| held.contains_key(name));
    let mut names: Vec<String> = defaults.keys().filter(|name| missing(name)).cloned().collect();
    for name in &names {
        if let Some(amount) = defaults.get(name) {
            if container.map_at(at).is_none() {
                container.set_at(at, Map::new());
            }
            if let Some(held) = container.at_mut(at).and_then(Value::as_object_mut) {
                held.insert(name.clone(), amount.clone());
            }
        }
    }
    names.sort();
    names
}
