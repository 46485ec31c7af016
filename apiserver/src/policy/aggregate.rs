//! Cluster roles that are the sum of others: `admin`, `edit`, `view`, and any with an aggregation rule.

use serde_json::Value;

use api::selector::LabelSelector;

/// The rules that an aggregated cluster role has, given `all` cluster roles: those of every role
/// that a selector picks, in the order of the selectors and of the roles' names, each rule once.
/// `None` for a role without an aggregation rule.
///
/// A selector that cannot be read picks nothing.
pub fn rules_of(role: &Value, all: &[Value]) -> Option<Vec<Value>> {
    let selectors = role.get("aggregationRule")?.get("clusterRoleSelectors")?.as_array()?;
    let own_name = name(role);
    let mut candidates: Vec<&Value> = all.iter().filter(|other| name(other) != own_name).collect();
    candidates.sort_by_cached_key(|other| name(other));
    let mut rules: Vec<Value> = Vec::new();
    for selector in selectors.iter().filter_map(|s| LabelSelector::from_object(s).ok()) {
        for picked in candidates.iter().filter(|other| selector.matches(other)) {
            for rule in picked.get("rules").and_then(Value::as_array).into_iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Some(rules)
}

fn name(role: &Value) -> &str {
    role.get("metadata").and_then(|m| m.get("name")).and_then(Value::as_str).unwrap_or_default()
}
