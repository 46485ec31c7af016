//! How well a pod fits each of the nodes that would do: the default plugins with their weights
//! (`pkg/scheduler/apis/config/v1/default_plugins.go`). Each gives 0 to 100.

mod images;
mod neighbours;
mod resources;

use std::sync::Arc;

use api::object::ObjectExt as _;
use serde_json::Value;

use super::around::Around;
use crate::{affinity, node::tolerates};

/// The most that one plugin gives.
const MAX: i64 = 100;

const FIT: i64 = 1;
const BALANCED: i64 = 1;
const IMAGES: i64 = 1;
const TAINTS: i64 = 3;
const NODE_AFFINITY: i64 = 2;
const SPREAD: i64 = 2;
const POD_AFFINITY: i64 = 2;

/// The weighted sum for each of `nodes`, in their order.
pub(super) fn all(pod: &Value, nodes: &[Arc<Value>], around: &Around) -> Vec<i64> {
    let mut total = vec![0; nodes.len()];
    let mut count = |weight: i64, scores: Vec<i64>| {
        for (sum, score) in total.iter_mut().zip(scores) {
            *sum += weight * score;
        }
    };
    let fit = resources::Fit::of(pod);
    count(FIT, nodes.iter().map(|n| fit.least_allocated(n, around)).collect());
    count(BALANCED, nodes.iter().map(|n| fit.balanced(n, around)).collect());
    count(IMAGES, images::locality(pod, nodes, around));
    count(TAINTS, reversed(nodes.iter().map(|n| soft_taints(pod, n)).collect()));
    count(NODE_AFFINITY, scaled(nodes.iter().map(|n| preferred(pod, n)).collect()));
    count(SPREAD, neighbours::spread(pod, nodes, around));
    count(POD_AFFINITY, neighbours::affinity(pod, nodes, around));
    total
}

/// The largest becomes 100 (`DefaultNormalizeScore`).
fn scaled(scores: Vec<i64>) -> Vec<i64> {
    let most = scores.iter().copied().max().unwrap_or(0);
    scores.into_iter().map(|s| if most == 0 { 0 } else { MAX * s / most }).collect()
}

/// The same, where less is better.
fn reversed(scores: Vec<i64>) -> Vec<i64> {
    scaled(scores).into_iter().map(|s| MAX - s).collect()
}

fn soft_taints(pod: &Value, node: &Value) -> i64 {
    let minds = |t: &&Value| {
        t.str_at("/effect") == "PreferNoSchedule"
            && !pod.list_at("/spec/tolerations").iter().any(|tol| tolerates(tol, t))
    };
    i64::try_from(node.list_at("/spec/taints").iter().filter(minds).count()).unwrap_or(i64::MAX)
}

fn preferred(pod: &Value, node: &Value) -> i64 {
    pod.list_at("/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution")
        .iter()
        .filter(|p| p.get("preference").is_some_and(|term| affinity::matches_term(term, node)))
        .filter_map(|p| p.i64_at("/weight"))
        .sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::around::Storage, *};

    /// Two nodes with 1 CPU each; `placed` gives pods for the first one. Which scores higher?
    fn check(pod: Value, first: Value, placed: Vec<Value>, better: std::cmp::Ordering) {
        let node = |name: &str, extra: &Value| {
            let mut node = json!({
                "metadata": {"name": name, "labels": {"zone": name, "kubernetes.io/hostname": name}},
                "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "10"}},
            });
            for (key, value) in extra.as_object().into_iter().flatten() {
                for (k, v) in value.as_object().into_iter().flatten() {
                    node[key][k] = v.clone();
                }
            }
            Arc::new(node)
        };
        let nodes = vec![node("a", &first), node("b", &json!({}))];
        let mut around = Around::new(nodes.clone(), Vec::new(), Storage::default());
        placed.into_iter().for_each(|p| around.put(Arc::new(p), nodes[0].clone()));
        let scores = all(&pod, &nodes, &around);
        assert_eq!(scores[0].cmp(&scores[1]), better, "{scores:?} for {pod}");
    }

    #[test]
    fn what_each_plugin_prefers() {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let web =
            |spec: Value| json!({"metadata": {"namespace": "n", "labels": {"app": "web"}}, "spec": spec});
        let asks = |cpu: &str| json!({"containers": [{"image": "nginx", "resources": {"requests": {"cpu": cpu, "memory": "100Mi"}}}]});
        check(web(asks("100m")), json!({}), vec![], Equal);
        check(web(asks("100m")), json!({}), vec![web(asks("300m"))], Less);
        let taint = json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}});
        check(web(asks("100m")), taint.clone(), vec![], Less);
        let mut tolerant = asks("100m");
        tolerant["tolerations"] = json!([{"key": "k", "operator": "Exists"}]);
        check(web(tolerant), taint, vec![], Equal);
        let mut choosy = asks("100m");
        choosy["affinity"] = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}}
        ]}});
        check(web(choosy), json!({}), vec![], Greater);
        let towards = |kind: &str| {
            let mut spec = asks("100m");
            spec["affinity"] = json!({kind: {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 100, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}}
            ]}});
            spec
        };
        check(web(towards("podAffinity")), json!({}), vec![web(asks("100m"))], Greater);
        check(web(towards("podAntiAffinity")), json!({}), vec![web(json!({}))], Less);
        check(web(asks("100m")), json!({}), vec![web(towards("podAffinity"))], Greater);
        let mut spread = asks("100m");
        spread["topologySpreadConstraints"] = json!([
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "web"}}}
        ]);
        check(web(spread), json!({}), vec![web(json!({"containers": []}))], Less);
        let images = json!({"status": {"images": [{"names": ["nginx:latest"], "sizeBytes": 900_000_000}]}});
        check(web(asks("100m")), images, vec![], Greater);
    }
}
