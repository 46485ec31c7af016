//! Quality of service: who is evicted first when a node runs out of memory.

use serde_json::Value;

use crate::{object::ObjectExt, quantity::Quantity};

/// `Guaranteed` if every container limits CPU and memory and requests as much, `BestEffort` if none
/// asks for anything, `Burstable` between.
pub fn qos_class(pod: &Value) -> &'static str {
    let pod_level = pod.at("/spec/resources").filter(|r| r.as_object().is_some_and(|r| !r.is_empty()));
    let containers =
        ["/spec/initContainers", "/spec/containers"].into_iter().flat_map(|list| pod.list_at(list));
    let all: Vec<&Value> = match pod_level {
        Some(resources) => vec![resources],
        None => containers.map(|container| container.at("/resources").unwrap_or(&Value::Null)).collect(),
    };
    let asks = |resources: &&Value| ["/requests", "/limits"].iter().any(|side| has_any(resources, side));
    if !all.iter().any(asks) {
        return "BestEffort";
    }
    if all.iter().all(|resources| is_guaranteed(resources)) { "Guaranteed" } else { "Burstable" }
}

fn has_any(resources: &Value, side: &str) -> bool {
    ["cpu", "memory"].iter().any(|name| amount(resources, side, name).is_some())
}

fn is_guaranteed(resources: &Value) -> bool {
    ["cpu", "memory"].iter().all(|name| {
        let limit = amount(resources, "/limits", name);
        let request = amount(resources, "/requests", name);
        limit.is_some() && (request.is_none() || request == limit)
    })
}

fn amount(resources: &Value, side: &str, name: &str) -> Option<Quantity> {
    let amount = Quantity::from_value(resources.map_at(side)?.get(name)?).ok()?;
    (!amount.is_zero()).then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows() {
        #[track_caller]
        fn check(containers: Value, class: &str) {
            assert_eq!(qos_class(&json!({"spec": {"containers": containers}})), class);
        }
        let full = json!({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}});
        check(json!([]), "BestEffort");
        check(json!([{}, {"resources": {}}]), "BestEffort");
        check(json!([{"resources": {"limits": {"cpu": "0"}}}]), "BestEffort");
        check(json!([full]), "Guaranteed");
        check(json!([full, full]), "Guaranteed");
        check(json!([full, {}]), "Burstable");
        check(json!([{"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]), "Guaranteed");
        check(json!([{"resources": {"limits": {"cpu": "1"}}}]), "Burstable");
        check(json!([{"resources": {"requests": {"memory": "1"}}}]), "Burstable");
        check(
            json!([{"resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}}]),
            "Burstable",
        );
    }
}
