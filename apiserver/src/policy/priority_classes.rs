//! The two priority classes that the system's own pods use.

use serde_json::{Value, json};

/// The highest value that a user's class may have.
pub const HIGHEST_USER_VALUE: i64 = 1_000_000_000;

/// Name, value and description of the system's priority classes.
const CLASSES: [(&str, i64, &str); 2] = [
    (
        "system-cluster-critical",
        2 * HIGHEST_USER_VALUE,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        "system-node-critical",
        2 * HIGHEST_USER_VALUE + 1000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
];

/// The objects that the hook `scheduling/bootstrap-system-priority-classes` makes sure of.
pub fn priority_classes() -> Vec<Value> {
    let object = |(name, value, description): &(&str, i64, &str)| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": { "name": name },
            "value": value,
            "description": description,
            "preemptionPolicy": "PreemptLowerPriority",
        })
    };
    CLASSES.iter().map(object).collect()
}
