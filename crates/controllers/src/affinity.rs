//! Whether a node is one that a pod asks for: node selector and node affinity.

use api::object::ObjectExt as _;
use serde_json::Value;

/// Whether `node` has what the pod's selector and required affinity ask for.
pub(crate) fn wants(pod: &Value, node: &Value) -> bool {
    matches_selector(pod, node) && matches_affinity(pod, node)
}

fn matches_selector(pod: &Value, node: &Value) -> bool {
    let labels = node.pointer("/metadata/labels");
    let wanted = pod.pointer("/spec/nodeSelector").and_then(Value::as_object);
    wanted.into_iter().flatten().all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v))
}

fn matches_affinity(pod: &Value, node: &Value) -> bool {
    let at = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    pod.pointer(at).and_then(Value::as_array).is_none_or(|terms| terms.iter().any(|t| matches_term(t, node)))
}

/// Whether a volume can be used on the node: its required node affinity.
pub(crate) fn reaches(volume: &Value, node: &Value) -> bool {
    let terms = volume.pointer("/spec/nodeAffinity/required/nodeSelectorTerms").and_then(Value::as_array);
    terms.is_none_or(|terms| terms.iter().any(|t| matches_term(t, node)))
}

/// Whether the node has all that a term asks for; an empty term picks nothing.
pub(crate) fn matches_term(term: &Value, node: &Value) -> bool {
    let holds = |expression: &Value, value: Option<&str>| {
        let values = || expression.list_at("/values").iter().filter_map(Value::as_str);
        let number = |s: &str| s.parse::<i64>().ok();
        match expression.str_at("/operator") {
            "In" => value.is_some_and(|v| values().any(|x| x == v)),
            "NotIn" => value.is_none_or(|v| !values().any(|x| x == v)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => value.and_then(number).zip(values().next().and_then(number)).is_some_and(|(a, b)| a > b),
            "Lt" => value.and_then(number).zip(values().next().and_then(number)).is_some_and(|(a, b)| a < b),
            _ => false,
        }
    };
    let labels = node.pointer("/metadata/labels");
    let label = |e: &Value| labels.and_then(|l| l.get(e.str_at("/key"))).and_then(Value::as_str);
    let name = node.name();
    let empty = term.list_at("/matchExpressions").is_empty() && term.list_at("/matchFields").is_empty();
    !empty
        && term.list_at("/matchExpressions").iter().all(|e| holds(e, label(e)))
        && term
            .list_at("/matchFields")
            .iter()
            .all(|e| holds(e, (e.str_at("/key") == "metadata.name").then_some(name)))
}
