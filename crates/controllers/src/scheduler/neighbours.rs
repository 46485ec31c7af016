//! Whether a node suits a pod because of the pods around it: topology spread, then affinity to pods and
//! against pods (`plugins/podtopologyspread`, `plugins/interpodaffinity`). Only what is required; what
//! is merely preferred counts in `score`.

use std::collections::{BTreeMap, BTreeSet};

use api::{object::ObjectExt as _, selector::LabelSelector};
use serde_json::Value;

use super::around::{Around, Placed};
use crate::affinity;

/// Whether pods that come or change their labels can make room for `pod`.
pub(super) fn concern(pod: &Value) -> bool {
    ["/spec/affinity/podAffinity", "/spec/affinity/podAntiAffinity", "/spec/topologySpreadConstraints"]
        .into_iter()
        .any(|at| pod.pointer(at).is_some())
}

/// Why the pods around forbid this node, and whether it would do if some of them left; `None` if they do
/// not.
pub(super) fn refusal(pod: &Value, node: &Value, around: &Around) -> Option<(&'static str, bool)> {
    spread(pod, node, around).or_else(|| affinity_to_pods(pod, node, around))
}

pub(super) fn domain<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    node.pointer("/metadata/labels")?.get(key)?.as_str()
}

fn label<'a>(pod: &'a Value, key: &str) -> Option<&'a str> {
    domain(pod, key)
}

/// The term's selector, narrowed to the pod's own values of `matchLabelKeys`.
pub(super) fn selects(term: &Value, incoming: &Value, other: &Value) -> bool {
    let selector = term.get("labelSelector").unwrap_or(&Value::Null);
    let narrowed = term
        .list_at("/matchLabelKeys")
        .iter()
        .filter_map(Value::as_str)
        .filter(|key| label(incoming, key).is_some())
        .all(|key| label(incoming, key) == label(other, key));
    narrowed && LabelSelector::from_object(selector).is_ok_and(|s| s.matches(other))
}

fn spread(pod: &Value, node: &Value, around: &Around) -> Option<(&'static str, bool)> {
    let constraints: Vec<&Value> = pod
        .list_at("/spec/topologySpreadConstraints")
        .iter()
        .filter(|c| c.str_at("/whenUnsatisfiable") != "ScheduleAnyway")
        .collect();
    if constraints.iter().any(|c| domain(node, c.str_at("/topologyKey")).is_none()) {
        return Some((
            "node(s) didn't match pod topology spread constraints (missing required label)",
            false,
        ));
    }
    for constraint in &constraints {
        let key = constraint.str_at("/topologyKey");
        let ignores_affinity = constraint.str_at("/nodeAffinityPolicy") == "Ignore";
        let counts = |n: &Value| {
            (ignores_affinity || affinity::wants(pod, n))
                && constraints.iter().all(|c| domain(n, c.str_at("/topologyKey")).is_some())
        };
        let mut pods: BTreeMap<&str, i64> = BTreeMap::new();
        for n in around.nodes.iter().filter(|n| counts(n)) {
            pods.entry(domain(n, key).unwrap_or_default()).or_default();
        }
        for other in around.placed.iter().filter(|p| counts(&p.node)) {
            let same = other.pod.namespace() == pod.namespace();
            if same && !other.pod.is_terminating() && selects(constraint, pod, &other.pod) {
                *pods.entry(domain(&other.node, key).unwrap_or_default()).or_default() += 1;
            }
        }
        let domains = i64::try_from(pods.len()).unwrap_or(i64::MAX);
        let too_few = constraint.i64_at("/minDomains").is_some_and(|least| domains < least);
        let least = if too_few { 0 } else { pods.values().min().copied().unwrap_or(0) };
        let here = domain(node, key).and_then(|d| pods.get(d)).copied().unwrap_or(0);
        let skew = here + i64::from(selects(constraint, pod, pod)) - least;
        if skew > constraint.i64_at("/maxSkew").unwrap_or(1) {
            return Some(("node(s) didn't match pod topology spread constraints", true));
        }
    }
    None
}

fn terms<'a>(pod: &'a Value, kind: &str) -> Vec<&'a Value> {
    pod.list_at(&format!("/spec/affinity/{kind}/requiredDuringSchedulingIgnoredDuringExecution"))
        .iter()
        .collect()
}

/// Whether a term of `owner` means `other`: namespace and labels.
pub(super) fn means(term: &Value, owner: &Value, other: &Value, around: &Around) -> bool {
    let namespace = other.namespace();
    let named: BTreeSet<&str> = term.list_at("/namespaces").iter().filter_map(Value::as_str).collect();
    let selector = term.get("namespaceSelector").filter(|s| s.is_object());
    let in_reach = match selector {
        None if named.is_empty() => namespace == owner.namespace(),
        None => named.contains(namespace),
        Some(selector) => {
            let found = around.namespaces.iter().find(|n| n.name() == namespace);
            let selected = LabelSelector::from_object(selector)
                .is_ok_and(|s| s.is_everything() || found.is_some_and(|n| s.matches(n)));
            selected || named.contains(namespace)
        }
    };
    let mismatched = term
        .list_at("/mismatchLabelKeys")
        .iter()
        .filter_map(Value::as_str)
        .filter(|key| label(owner, key).is_some())
        .all(|key| label(owner, key) != label(other, key));
    in_reach && mismatched && selects(term, owner, other)
}

fn affinity_to_pods(pod: &Value, node: &Value, around: &Around) -> Option<(&'static str, bool)> {
    let together = |term: &Value, a: &Value, b: &Value| {
        let key = term.str_at("/topologyKey");
        domain(a, key).is_some_and(|d| domain(b, key) == Some(d))
    };
    let wanted = terms(pod, "podAffinity");
    if !wanted.is_empty() {
        let friends: Vec<&Placed> = around
            .placed
            .iter()
            .filter(|p| wanted.iter().all(|term| means(term, pod, &p.pod, around)))
            .collect();
        let near = wanted.iter().all(|term| friends.iter().any(|f| together(term, node, &f.node)));
        // The first of a group that wants to be together must begin somewhere.
        let first = friends.is_empty()
            && wanted.iter().all(|term| {
                means(term, pod, pod, around) && domain(node, term.str_at("/topologyKey")).is_some()
            });
        if !near && !first {
            return Some(("node(s) didn't match pod affinity rules", false));
        }
    }
    let avoids = terms(pod, "podAntiAffinity").iter().any(|term| {
        around.placed.iter().any(|p| together(term, node, &p.node) && means(term, pod, &p.pod, around))
    });
    if avoids {
        return Some(("node(s) didn't match pod anti-affinity rules", true));
    }
    let avoided = around.placed.iter().any(|p| {
        terms(&p.pod, "podAntiAffinity")
            .iter()
            .any(|term| together(term, node, &p.node) && means(term, &p.pod, pod, around))
    });
    avoided.then_some(("node(s) didn't satisfy existing pods anti-affinity rules", true))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::{super::around::Storage, *};

    /// Nodes a1, a2 and b1 in zones a and b; `placed` names nodes and the app of their pods.
    fn around(placed: &[(&str, Value)]) -> Around {
        let nodes: Vec<Arc<Value>> = ["a1", "a2", "b1"]
            .into_iter()
            .map(|n| Arc::new(json!({"metadata": {"name": n, "labels": {"zone": &n[..1], "host": n}}})))
            .collect();
        let find = |name: &str| nodes.iter().find(|n| n["metadata"]["name"] == name).expect("a node").clone();
        let mut around = Around::new(nodes.clone(), Vec::new(), Storage::default());
        placed.iter().for_each(|(n, pod)| around.put(Arc::new(pod.clone()), find(n)));
        around
    }

    fn pod(app: &str, spec: Value) -> Value {
        json!({"metadata": {"namespace": "n", "labels": {"app": app}}, "spec": spec})
    }

    /// Which nodes are left, and the reason of the first that is refused.
    fn check(pod: Value, placed: &[(&str, Value)], fit: &[&str], why: Option<&str>) {
        let around = around(placed);
        let (mut fitting, mut reason) = (Vec::new(), None);
        for node in &around.nodes {
            match refusal(&pod, node, &around) {
                None => fitting.push(node.name()),
                Some((why, _)) => reason = reason.or(Some(why)),
            }
        }
        assert_eq!((fitting.as_slice(), reason), (fit, why), "{pod}");
    }

    fn term(kind: &str, app: &str, key: &str) -> Value {
        json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}
        ]}}})
    }

    #[test]
    fn pods_seek_and_avoid_each_other() {
        let web = |spec| pod("web", spec);
        let db = ("a1", pod("db", json!({})));
        let all = ["a1", "a2", "b1"];
        check(web(json!({})), std::slice::from_ref(&db), &all, None);
        let near = "node(s) didn't match pod affinity rules";
        check(web(term("podAffinity", "db", "zone")), std::slice::from_ref(&db), &["a1", "a2"], Some(near));
        check(web(term("podAffinity", "db", "host")), std::slice::from_ref(&db), &["a1"], Some(near));
        check(web(term("podAffinity", "db", "zone")), &[], &[], Some(near));
        check(web(term("podAffinity", "web", "zone")), &[], &all, None);
        let far = "node(s) didn't match pod anti-affinity rules";
        check(web(term("podAntiAffinity", "db", "zone")), std::slice::from_ref(&db), &["b1"], Some(far));
        let shy = ("b1", pod("shy", term("podAntiAffinity", "web", "host")));
        let existing = "node(s) didn't satisfy existing pods anti-affinity rules";
        check(web(json!({})), std::slice::from_ref(&shy), &["a1", "a2"], Some(existing));
        let mut elsewhere = db;
        elsewhere.1["metadata"]["namespace"] = "other".into();
        check(web(term("podAntiAffinity", "db", "zone")), std::slice::from_ref(&elsewhere), &all, None);
        let mut everywhere = term("podAntiAffinity", "db", "zone");
        everywhere["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]["namespaceSelector"] =
            json!({});
        check(web(everywhere), &[elsewhere], &["b1"], Some(far));
    }

    #[test]
    fn pods_are_spread_over_domains() {
        let spread = |key: &str| {
            pod(
                "web",
                json!({"topologySpreadConstraints": [
                    {"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}
                ]}),
            )
        };
        let web = |node| (node, pod("web", json!({})));
        let why = "node(s) didn't match pod topology spread constraints";
        check(spread("zone"), &[], &["a1", "a2", "b1"], None);
        check(spread("zone"), &[web("a1")], &["b1"], Some(why));
        check(spread("host"), &[web("a1")], &["a2", "b1"], Some(why));
        check(spread("zone"), &[web("a1"), web("b1")], &["a1", "a2", "b1"], None);
        let missing = "node(s) didn't match pod topology spread constraints (missing required label)";
        check(spread("rack"), &[], &[], Some(missing));
    }
}
