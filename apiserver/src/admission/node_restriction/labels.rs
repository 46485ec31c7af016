//! Which labels a kubelet may put on its node: none that decides where sensitive work runs.

use std::collections::{BTreeMap, BTreeSet};

use api::object::ObjectExt as _;
use serde_json::Value;

/// Labels of Kubernetes' own domains that a kubelet may set.
const ALLOWED: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];
/// Domains, with subdomains, under which a kubelet may set any label.
const ALLOWED_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Labels that differ between `new` and `old` and that a kubelet may not touch, sorted.
pub(super) fn forbidden(new: &Value, old: Option<&Value>) -> Vec<String> {
    let new: BTreeMap<&str, &str> = new.labels().collect();
    let old: BTreeMap<&str, &str> = old.map(|o| o.labels().collect()).unwrap_or_default();
    let keys: BTreeSet<&str> = new.keys().chain(old.keys()).copied().collect();
    let touched = keys.into_iter().filter(|key| new.get(key) != old.get(key));
    touched.filter(|key| !is_allowed(key)).map(str::to_owned).collect()
}

fn is_allowed(label: &str) -> bool {
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    let under = |of: &str| domain == of || domain.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'));
    if under("node-restriction.kubernetes.io") {
        return false;
    }
    if !under("kubernetes.io") && !under("k8s.io") {
        return true;
    }
    ALLOWED.contains(&label) || ALLOWED_DOMAINS.iter().any(|of| under(of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_kubelet_may_say_about_its_node() {
        let check = |label: &str, allowed: bool| assert_eq!(is_allowed(label), allowed, "{label}");
        check("kubernetes.io/hostname", true);
        check("topology.kubernetes.io/zone", true);
        check("node.kubernetes.io/anything", true);
        check("sub.node.kubernetes.io/anything", true);
        check("kubelet.kubernetes.io/x", true);
        check("example.com/x", true);
        check("plain", true);
        check("notkubernetes.io/x", true);
        check("node-role.kubernetes.io/control-plane", false);
        check("kubernetes.io/x", false);
        check("other.kubernetes.io/x", false);
        check("x.k8s.io/y", false);
        check("node-restriction.kubernetes.io/x", false);
        check("sub.node-restriction.kubernetes.io/x", false);
    }

    #[test]
    fn only_labels_that_change_are_judged() {
        let node = |labels: Value| json!({"metadata": {"labels": labels}});
        let bad = "node-role.kubernetes.io/x";
        assert_eq!(forbidden(&node(json!({bad: "a"})), None), [bad]);
        assert_eq!(forbidden(&node(json!({bad: "a"})), Some(&node(json!({bad: "b"})))), [bad]);
        assert_eq!(forbidden(&node(json!({})), Some(&node(json!({bad: "b"})))), [bad]);
        assert!(forbidden(&node(json!({bad: "a", "x": "1"})), Some(&node(json!({bad: "a"})))).is_empty());
    }
}
