//! Spreading and company that are merely preferred (`plugins/podtopologyspread/scoring.go`,
//! `plugins/interpodaffinity/scoring.go`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::object::ObjectExt as _;
use serde_json::Value;

use super::super::{
    around::Around,
    neighbours::{domain, means, selects},
};
use super::MAX;
use crate::affinity;

const HOST: &str = "kubernetes.io/hostname";
/// What a required affinity of a pod that is already there counts for (`hardPodAffinityWeight`).
const HARD: i64 = 1;

/// Domains with fewer of the pod's kind score higher.
pub(super) fn spread(pod: &Value, nodes: &[Arc<Value>], around: &Around) -> Vec<i64> {
    let constraints: Vec<&Value> = pod
        .list_at("/spec/topologySpreadConstraints")
        .iter()
        .filter(|c| c.str_at("/whenUnsatisfiable") == "ScheduleAnyway")
        .collect();
    if constraints.is_empty() {
        return vec![0; nodes.len()];
    }
    let key = |c: &Value| c.str_at("/topologyKey").to_owned();
    let has_all = |n: &Value| constraints.iter().all(|c| domain(n, &key(c)).is_some());
    let ranked: Vec<&Arc<Value>> = nodes.iter().filter(|n| has_all(n)).collect();
    let scores: Vec<Option<i64>> = nodes
        .iter()
        .map(|node| {
            has_all(node).then(|| {
                let sum: f64 = constraints.iter().map(|c| crowding(pod, c, node, &ranked, around)).sum();
                sum.round() as i64
            })
        })
        .collect();
    let known = || scores.iter().flatten().copied();
    let (least, most) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
    let rank = |score: &Option<i64>| match score {
        None => 0,
        Some(_) if most == 0 => MAX,
        Some(s) => MAX * (most + least - s) / most,
    };
    scores.iter().map(rank).collect()
}

/// The pods of the kind in the node's domain, weighted by how many domains there are.
fn crowding(pod: &Value, constraint: &Value, node: &Value, ranked: &[&Arc<Value>], around: &Around) -> f64 {
    let key = constraint.str_at("/topologyKey");
    let here = domain(node, key);
    let ignores_affinity = constraint.str_at("/nodeAffinityPolicy") == "Ignore";
    let namespace = pod.namespace();
    let pods = around.placed.iter().filter(|p| {
        domain(&p.node, key) == here
            && (key == HOST || ignores_affinity || affinity::wants(pod, &p.node))
            && p.pod.namespace() == namespace
            && !p.pod.is_terminating()
            && selects(constraint, pod, &p.pod)
    });
    let domains = if key == HOST {
        ranked.len()
    } else {
        ranked.iter().filter_map(|n| domain(n, key)).collect::<BTreeSet<_>>().len()
    };
    let weight = (domains as f64 + 2.0).ln();
    let skew = constraint.i64_at("/maxSkew").unwrap_or(1);
    pods.count() as f64 * weight + (skew - 1) as f64
}

fn preferred<'a>(pod: &'a Value, kind: &str) -> impl Iterator<Item = (&'a Value, i64)> {
    pod.list_at(&format!("/spec/affinity/{kind}/preferredDuringSchedulingIgnoredDuringExecution"))
        .iter()
        .filter_map(|p| Some((p.get("podAffinityTerm")?, p.i64_at("/weight")?)))
}

fn required<'a>(pod: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    pod.list_at(&format!("/spec/affinity/{kind}/requiredDuringSchedulingIgnoredDuringExecution")).iter()
}

/// Domains with pods that this one likes, or that like it, score higher; the others lower.
pub(super) fn affinity(pod: &Value, nodes: &[Arc<Value>], around: &Around) -> Vec<i64> {
    let mut domains: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for other in &around.placed {
        let mut count = |term: &'_ Value, weight: i64| {
            // The key is the node's own copy: it outlives the term.
            let labels = other.node.pointer("/metadata/labels").and_then(Value::as_object);
            let found = labels.and_then(|l| l.get_key_value(term.str_at("/topologyKey")));
            if let Some((key, value)) = found {
                *domains.entry((key, value.as_str().unwrap_or_default())).or_default() += weight;
            }
        };
        for (kind, sign) in [("podAffinity", 1), ("podAntiAffinity", -1)] {
            for (term, weight) in preferred(pod, kind) {
                if means(term, pod, &other.pod, around) {
                    count(term, sign * weight);
                }
            }
            for (term, weight) in preferred(&other.pod, kind) {
                if means(term, &other.pod, pod, around) {
                    count(term, sign * weight);
                }
            }
        }
        for term in required(&other.pod, "podAffinity") {
            if means(term, &other.pod, pod, around) {
                count(term, HARD);
            }
        }
    }
    let sum = |node: &Arc<Value>| -> i64 {
        domains.iter().filter(|((key, value), _)| domain(node, key) == Some(value)).map(|(_, w)| w).sum()
    };
    let scores: Vec<i64> = nodes.iter().map(sum).collect();
    let (least, most) =
        (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
    let rank = |s: &i64| if most > least { MAX * (s - least) / (most - least) } else { 0 };
    scores.iter().map(rank).collect()
}
