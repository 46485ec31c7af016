//! What a pod asks for and what a node has, in thousandths.

use std::collections::BTreeMap;

use api::quantity::Quantity;
use serde_json::Value;

use crate::objects::list;

/// Resource name to thousandths of its unit.
pub(super) type Amounts = BTreeMap<String, i128>;

pub(super) fn amounts(value: Option<&Value>) -> Amounts {
    let all = value.and_then(Value::as_object).into_iter().flatten();
    all.filter_map(|(name, quantity)| {
        Some((name.clone(), quantity.as_str()?.parse::<Quantity>().ok()?.milli().into()))
    })
    .collect()
}

fn add(to: &mut Amounts, more: Amounts) {
    for (name, n) in more {
        *to.entry(name).or_default() += n;
    }
}

fn at_least(to: &mut Amounts, floor: Amounts) {
    for (name, n) in floor {
        let slot = to.entry(name).or_default();
        *slot = (*slot).max(n);
    }
}

/// The sum over containers, or the largest init container if that is more, plus the overhead.
pub(super) fn requests(pod: &Value) -> Amounts {
    let of = |container: &Value| amounts(container.pointer("/resources/requests"));
    let mut total = Amounts::new();
    list(pod, "/spec/containers").for_each(|c| add(&mut total, of(c)));
    list(pod, "/spec/initContainers").for_each(|c| at_least(&mut total, of(c)));
    add(&mut total, amounts(pod.pointer("/spec/overhead")));
    total
}

/// For scoring only: a pod that asks for nothing counts as 100m and 200Mi.
pub(super) fn scored(pod: &Value) -> Amounts {
    let mut total = requests(pod);
    total.entry("cpu".into()).or_insert(100);
    total.entry("memory".into()).or_insert(200 * 1024 * 1024 * 1000);
    total
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_add_up_and_init_containers_do_not() {
        let cpu = |n: &str| json!({"resources": {"requests": {"cpu": n}}});
        let pod = json!({"spec": {"containers": [cpu("100m"), cpu("200m")], "initContainers": [cpu("250m"), cpu("1")]}});
        assert_eq!(requests(&pod).get("cpu"), Some(&1000));
        let pod = json!({"spec": {"containers": [cpu("1"), cpu("200m")], "initContainers": [cpu("1")]}});
        assert_eq!(requests(&pod).get("cpu"), Some(&1200));
    }
}
