//! What the objects of a namespace add up to, free of requests.

use std::{collections::BTreeMap, sync::Arc};

use api::{
    quantity::{Format, Quantity},
    quota::{
        amounts::{Amounts, add},
        usage,
    },
};
use serde_json::{Map, Value, json};

use super::kinds::{Counted, hard};

/// Whether the quota counts objects of the kind.
pub(super) fn counts(quota: &Value, kind: &Counted) -> bool {
    hard(quota).any(|name| usage::counts(&kind.group, &kind.plural, name))
}

/// The status: the limits, and what is used of them.
pub(super) fn status(quota: &Value, objects: &BTreeMap<Counted, Vec<Arc<Value>>>) -> Value {
    let mut total = Amounts::new();
    for (kind, objects) in objects {
        for object in objects.iter().filter(|o| usage::in_scope(&kind.group, &kind.plural, quota, o)) {
            add(&mut total, &usage::of(&kind.group, &kind.plural, object));
        }
    }
    let limits = quota.pointer("/spec/hard").cloned().unwrap_or_else(|| json!({}));
    let used: Map<String, Value> = hard(quota)
        .map(|name| {
            let none = Quantity::units(0, Format::DecimalSi);
            let amount = total.get(name).copied().unwrap_or(none);
            (name.clone(), amount.to_string().into())
        })
        .collect();
    json!({"hard": limits, "used": used})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(quota: Value, pods: Vec<Value>, expect: Value) {
        let kind = Counted { group: String::new(), version: "v1".into(), plural: "pods".into() };
        let pods = pods.into_iter().map(Arc::new).collect();
        let status = status(&json!({"spec": quota}), &BTreeMap::from([(kind, pods)]));
        assert_eq!(status["used"], expect, "{quota}");
    }

    #[test]
    fn what_is_used() {
        let pod = |cpu: &str, phase: &str| {
            json!({
                "spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]},
                "status": {"phase": phase},
            })
        };
        let best_effort = json!({"spec": {"containers": [{}]}});
        check(json!({"hard": {"pods": "2", "secrets": "1"}}), vec![], json!({"pods": "0", "secrets": "0"}));
        let all = vec![pod("100m", "Running"), pod("1", "Running"), pod("1", "Succeeded"), best_effort];
        check(json!({"hard": {"pods": "9", "cpu": "4"}}), all.clone(), json!({"pods": "3", "cpu": "1100m"}));
        check(json!({"hard": {"count/pods": "9"}}), all.clone(), json!({"count/pods": "4"}));
        check(json!({"hard": {"pods": "9"}, "scopes": ["BestEffort"]}), all, json!({"pods": "1"}));
    }
}
