//! What a pod asks for and what a node has, in thousandths.

use std::collections::BTreeMap;

use api::{object::ObjectExt as _, quantity::Quantity};
use serde_json::Value;

/// Resource name to thousandths of its unit.
pub(super) type Amounts = BTreeMap<String, i128>;

/// What a container that asks for nothing counts as in scores.
const DEFAULTS: [(&str, i128); 2] = [("cpu", 100), ("memory", 200 * 1024 * 1024 * 1000)];

pub(super) fn amounts(value: Option<&Value>) -> Amounts {
    let all = value.and_then(Value::as_object).into_iter().flatten();
    all.filter_map(|(name, quantity)| {
        Some((name.clone(), quantity.as_str()?.parse::<Quantity>().ok()?.milli().into()))
    })
    .collect()
}

fn add(to: &mut Amounts, more: &Amounts) {
    for (name, n) in more {
        *to.entry(name.clone()).or_default() += n;
    }
}

fn at_least(to: &mut Amounts, floor: &Amounts) {
    for (name, n) in floor {
        let slot = to.entry(name.clone()).or_default();
        *slot = (*slot).max(*n);
    }
}

/// The sum over containers, or the largest init container with the sidecars before it if that is more;
/// what the pod itself asks for takes its place; plus the overhead.
fn total(pod: &Value, of: impl Fn(&Value) -> Amounts) -> Amounts {
    let mut total = Amounts::new();
    pod.list_at("/spec/containers").iter().for_each(|c| add(&mut total, &of(c)));
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in pod.list_at("/spec/initContainers") {
        let own = of(container);
        if container.str_at("/restartPolicy") == "Always" {
            add(&mut total, &own);
            add(&mut sidecars, &own);
            at_least(&mut peak, &sidecars);
        } else {
            let mut now = sidecars.clone();
            add(&mut now, &own);
            at_least(&mut peak, &now);
        }
    }
    at_least(&mut total, &peak);
    total.extend(amounts(pod.pointer("/spec/resources/requests")));
    add(&mut total, &amounts(pod.pointer("/spec/overhead")));
    total
}

/// What the pod's containers ask for.
pub(super) fn requests(pod: &Value) -> Amounts {
    total(pod, |container| amounts(container.pointer("/resources/requests")))
}

/// For scoring only: a container that asks for nothing counts as 100m and 200Mi.
pub(super) fn scored(pod: &Value) -> Amounts {
    total(pod, |container| {
        let mut own = amounts(container.pointer("/resources/requests"));
        for (name, amount) in DEFAULTS {
            own.entry(name.to_owned()).or_insert(amount);
        }
        own
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_add_up_and_init_containers_do_not() {
        let check = |spec: Value, cpu: i128| {
            assert_eq!(requests(&json!({"spec": spec})).get("cpu"), Some(&cpu), "{spec}");
        };
        let cpu = |n: &str| json!({"resources": {"requests": {"cpu": n}}});
        let sidecar = json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}});
        check(
            json!({"containers": [cpu("100m"), cpu("200m")], "initContainers": [cpu("250m"), cpu("1")]}),
            1000,
        );
        check(json!({"containers": [cpu("1"), cpu("200m")], "initContainers": [cpu("1")]}), 1200);
        check(json!({"containers": [cpu("100m")], "initContainers": [sidecar, cpu("200m")]}), 250);
        check(
            json!({"containers": [cpu("1")], "resources": {"requests": {"cpu": "2"}}, "overhead": {"cpu": "10m"}}),
            2010,
        );
    }

    #[test]
    fn for_scores_each_container_counts() {
        let pod = json!({"spec": {"containers": [{}, {"resources": {"requests": {"cpu": "1"}}}]}});
        assert_eq!(scored(&pod).get("cpu"), Some(&1100));
        assert_eq!(scored(&pod).get("memory"), Some(&(400 * 1024 * 1024 * 1000)));
    }
}
