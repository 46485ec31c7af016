//! Rules of the default cluster roles, read once in a process: a test binary starts many servers, and each holds all of
//! them.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use api::{object::ObjectExt as _, profile::Profile};
use serde_json::Value;

use crate::{authz::rule::Rule, policy};

/// As they are written, and as they were read.
type Rules = (&'static [Value], Arc<[Rule]>);

/// The newest release's, by name.
static RULES: LazyLock<BTreeMap<&'static str, Rules>> = LazyLock::new(|| {
    let of = |role: &'static Value| (role.name(), (role.list_at("/rules"), read(role)));
    policy::cluster_roles(Profile::NEWEST).iter().map(of).collect()
});

fn read(role: &Value) -> Arc<[Rule]> {
    role.list_at("/rules").iter().map(Rule::from_value).collect()
}

/// The rules of a role: everybody's, if they are those of a default one.
pub(super) fn rules(role: &Value) -> Arc<[Rule]> {
    match RULES.get(role.name()) {
        Some((rules, held)) if *rules == role.list_at("/rules") => held.clone(),
        _ => read(role),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_rules_of_a_default_role_shares_them() {
        let view = policy::cluster_roles(Profile::NEWEST).iter().find(|role| role.name() == "view").unwrap();
        let mut role = view.clone();
        role.set_at("/metadata/labels", serde_json::json!({"a": "b"}));
        assert!(Arc::ptr_eq(&rules(view), &rules(&role)));
        let list = role["rules"].as_array_mut().unwrap();
        list.pop();
        let own = rules(&role);
        assert_eq!(own.len() + 1, rules(view).len());
        assert!(!rules(view).is_empty() && own.iter().eq(rules(view).iter().take(own.len())));
        // A namespace's role may have that name, and other rules.
        role.set_at("/rules", serde_json::json!([]));
        assert!(rules(&role).is_empty());
    }
}
