//! clusterrole-aggregation: a cluster role with an aggregation rule has the rules of all that its
//! selectors pick (`pkg/controller/clusterroleaggregation`).

use std::sync::Arc;

use api::{object::ObjectExt as _, selector::LabelSelector};
use client::{Patch, Resource, WorkQueue};
use serde_json::{Value, json};

use crate::{context::Context, start::start};

const ROLES: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "clusterroles");

fn is_aggregated(role: &Value) -> bool {
    role.pointer("/aggregationRule/clusterRoleSelectors").is_some()
}

/// In the order of the selectors and of the roles' names, each rule once.
fn sum(role: &Value, all: &[Arc<Value>]) -> Vec<Value> {
    let own = role.name();
    let mut rules: Vec<Value> = Vec::new();
    for selector in role.list_at("/aggregationRule/clusterRoleSelectors") {
        let Ok(selector) = LabelSelector::from_object(selector) else { continue };
        for other in all.iter().filter(|r| r.name() != own && selector.matches(r)) {
            for rule in other.list_at("/rules") {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    rules
}

/// Starts the loop.
pub(crate) fn aggregate(c: &Context) {
    let (roles, rest) = (c.informer(ROLES), c.rest("clusterrole-aggregation-controller"));
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let all = roles.clone();
    let follow = move |queue: &WorkQueue| {
        let (feed, roles) = (queue.clone(), all.clone());
        all.on(move |_| {
            roles.list().iter().filter(|r| is_aggregated(r)).for_each(|r| feed.add(client::key_of(r)));
        });
    };
    start(&c.host, [roles.clone()], queue, 5, follow, move |name| {
        let (roles, rest) = (roles.clone(), rest.clone());
        async move {
            let Some(role) = roles.get(None, &name).filter(|r| is_aggregated(r)) else { return Ok(()) };
            let wanted = sum(&role, &roles.list());
            if role.list_at("/rules").iter().eq(wanted.iter()) {
                return Ok(());
            }
            let version = role.resource_version();
            let patch = json!({"metadata": {"resourceVersion": version}, "rules": wanted});
            match rest.patch(&ROLES, None, &name, Patch::Merge(&patch), None).await {
                // The informer will show what changed.
                Err(e) if !e.is_not_found() && !e.is_conflict() => Err(e.to_string()),
                _ => Ok::<(), String>(()),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_the_sum_of_those_that_are_picked() {
        let role = |name: &str, label: &str, verbs: &[&str]| {
            Arc::new(
                json!({"metadata": {"name": name, "labels": {label: "true"}}, "rules": [{"verbs": verbs}]}),
            )
        };
        let all = [role("a", "to-x", &["get"]), role("b", "to-y", &["list"]), role("c", "to-x", &["get"])];
        let selector = |label: &str| json!({"matchLabels": {label: "true"}});
        let sum_of = |selectors: Value| {
            sum(
                &json!({"metadata": {"name": "x"}, "aggregationRule": {"clusterRoleSelectors": selectors}}),
                &all,
            )
        };
        assert_eq!(sum_of(json!([selector("to-x")])), [json!({"verbs": ["get"]})]);
        assert_eq!(
            sum_of(json!([selector("to-y"), selector("to-x")])),
            [json!({"verbs": ["list"]}), json!({"verbs": ["get"]})]
        );
        assert_eq!(sum_of(json!([])), Vec::<Value>::new());
    }
}
