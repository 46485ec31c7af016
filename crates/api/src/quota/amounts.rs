//! What a pod asks for and may use, added up as upstream adds it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{object::ObjectExt as _, quantity::Quantity};

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// The two sides of `resources`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is asked for.
    Requests,
    /// What may be used.
    Limits,
}

impl Side {
    fn path(self) -> &'static str {
        match self {
            Self::Requests => "/resources/requests",
            Self::Limits => "/resources/limits",
        }
    }
}

/// Reads a map of quantities; what cannot be read is left out (validation names it).
pub fn read(amounts: Option<&Value>) -> Amounts {
    let entries = amounts.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), Quantity::from_value(value).ok()?))).collect()
}

/// One side of a container's resources.
pub fn of_container(container: &Value, side: Side) -> Amounts {
    read(container.at(side.path()))
}

/// One side of a pod's resources: containers together, or the largest init container if that is more.
/// Init containers that keep running count with the containers, and with the init containers after them.
pub fn of_pod(pod: &Value, side: Side) -> Amounts {
    let mut total = Amounts::new();
    for container in pod.list_at("/spec/containers") {
        add(&mut total, &of_container(container, side));
    }
    let (mut running, mut peak) = (Amounts::new(), Amounts::new());
    for container in pod.list_at("/spec/initContainers") {
        let own = of_container(container, side);
        if container.str_at("/restartPolicy") == "Always" {
            add(&mut total, &own);
            add(&mut running, &own);
            raise(&mut peak, &running);
        } else {
            let mut now = running.clone();
            add(&mut now, &own);
            raise(&mut peak, &now);
        }
    }
    raise(&mut total, &peak);
    total
}

/// Adds each amount.
pub fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        match to.get_mut(name) {
            Some(held) => *held += *amount,
            None => {
                to.insert(name.clone(), *amount);
            }
        }
    }
}

/// Takes the larger of each amount.
fn raise(to: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        match to.get_mut(name) {
            Some(held) if *held < *amount => *held = *amount,
            Some(_) => {}
            None => {
                to.insert(name.clone(), *amount);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn init_containers_count_by_the_largest_and_sidecars_always() {
        let check = |spec: Value, cpu: &str| {
            let total = of_pod(&json!({ "spec": spec }), Side::Requests);
            assert_eq!(total.get("cpu").map(ToString::to_string).unwrap_or_default(), cpu, "{spec}");
        };
        let needs = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let sidecar = |cpu: &str| json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
        check(json!({"containers": [needs("100m"), needs("200m")]}), "300m");
        check(json!({"containers": [needs("100m")], "initContainers": [needs("1"), needs("500m")]}), "1");
        check(json!({"containers": [needs("100m")], "initContainers": [sidecar("50m")]}), "150m");
        check(
            json!({"containers": [needs("100m")], "initContainers": [sidecar("50m"), needs("200m")]}),
            "250m",
        );
        check(json!({"containers": [{}]}), "");
    }
}
