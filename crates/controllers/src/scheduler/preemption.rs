//! Which pods must go so that a more important one fits (`plugins/defaultpreemption`,
//! `pkg/scheduler/framework/preemption`), free of requests.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{object::ObjectExt as _, selector::LabelSelector};
use serde_json::Value;

use super::{around::Around, filter::Refusal, words::Reasons};
use crate::objects::condition;

/// A node that would do if these pods left it.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub node: String,
    /// The most important first.
    pub victims: Vec<Arc<Value>>,
    /// How many of them a disruption budget would keep.
    pub violations: usize,
}

pub(super) fn priority(pod: &Value) -> i64 {
    pod.i64_at("/spec/priority").unwrap_or(0)
}

/// Why the pod may not preempt others; `None` if it may.
pub(super) fn ineligible(pod: &Value, around: &Around) -> Option<&'static str> {
    if pod.str_at("/spec/preemptionPolicy") == "Never" {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let leaving = |victim: &Arc<Value>| {
        priority(victim) < priority(pod)
            && victim.is_terminating()
            && condition(victim, "DisruptionTarget").is_some_and(|c| {
                c.str_at("/status") == "True" && c.str_at("/reason") == "PreemptionByScheduler"
            })
    };
    let waits = around.on(pod.str_at("/status/nominatedNodeName")).iter().any(leaving);
    waits.then_some("not eligible due to a terminating pod on the nominated node.")
}

/// Started earlier is more important among equals; who has not started yet is the least.
fn importance(pod: &Value) -> (Reverse<i64>, bool, String) {
    let started = pod.str_at("/status/startTime");
    (Reverse(priority(pod)), started.is_empty(), started.to_owned())
}

/// Candidates among the nodes that refused, and what is said of all others.
pub(super) fn candidates(
    pod: &Value,
    around: &Around,
    refused: &BTreeMap<String, Refusal>,
    budgets: &[Arc<Value>],
    fits: impl Fn(&Value, &Around) -> Result<(), Refusal>,
) -> (Vec<Candidate>, Reasons) {
    let (mut found, mut reasons) = (Vec::new(), Reasons::new());
    for node in &around.nodes {
        let name = node.name();
        let hopeless = || Refusal {
            reasons: vec!["Preemption is not helpful for scheduling".to_owned()],
            curable: false,
        };
        let outcome = match refused.get(name) {
            Some(refusal) if refusal.curable => victims(pod, node, around, budgets, &fits),
            _ => Err(hopeless()),
        };
        match outcome {
            Ok(candidate) => found.push(candidate),
            Err(why) => why.reasons.into_iter().for_each(|r| *reasons.entry(r).or_default() += 1),
        }
    }
    (found, reasons)
}

/// The fewest pods that must leave `node`: all less important ones at first; then as many as possible
/// may stay, those that a budget protects before others, the more important ones first.
fn victims(
    pod: &Value,
    node: &Value,
    around: &Around,
    budgets: &[Arc<Value>],
    fits: impl Fn(&Value, &Around) -> Result<(), Refusal>,
) -> Result<Candidate, Refusal> {
    let name = node.name();
    let mut lesser: Vec<&Arc<Value>> =
        around.on(name).iter().filter(|p| priority(p) < priority(pod)).collect();
    if lesser.is_empty() {
        let why = "No preemption victims found for incoming pod".to_owned();
        return Err(Refusal { reasons: vec![why], curable: false });
    }
    lesser.sort_by_cached_key(|p| importance(p));
    let uid = |p: &Arc<Value>| p.uid().to_owned();
    let mut gone: BTreeSet<String> = lesser.iter().map(|p| uid(p)).collect();
    let fits_without =
        |gone: &BTreeSet<String>| fits(node, &around.without(&gone.iter().map(String::as_str).collect()));
    fits_without(&gone)?;
    let protected = protected(&lesser, budgets);
    let (kept_by_budget, others): (Vec<&Arc<Value>>, Vec<&Arc<Value>>) =
        lesser.iter().partition(|p| protected.contains(&uid(p)));
    let mut violations = 0;
    for (violates, victim) in
        kept_by_budget.into_iter().map(|p| (true, p)).chain(others.into_iter().map(|p| (false, p)))
    {
        gone.remove(&uid(victim));
        if fits_without(&gone).is_err() {
            gone.insert(uid(victim));
            violations += usize::from(violates);
        }
    }
    let victims = lesser.into_iter().filter(|p| gone.contains(&uid(p))).cloned().collect();
    Ok(Candidate { node: name.to_owned(), victims, violations })
}

/// The pods, most important first, that budgets have no more disruptions left for.
fn protected(pods: &[&Arc<Value>], budgets: &[Arc<Value>]) -> BTreeSet<String> {
    let mut left: Vec<i64> =
        budgets.iter().map(|b| b.i64_at("/status/disruptionsAllowed").unwrap_or(0)).collect();
    let mut found = BTreeSet::new();
    for pod in pods {
        for (budget, left) in budgets.iter().zip(&mut left) {
            let selector = budget.pointer("/spec/selector").cloned().unwrap_or_default();
            let covers = budget.namespace() == pod.namespace()
                && pod.pointer("/metadata/labels").is_some()
                && LabelSelector::from_object(&selector).is_ok_and(|s| !s.is_everything() && s.matches(pod));
            let counted =
                budget.pointer("/status/disruptedPods").is_some_and(|d| d.get(pod.name()).is_some());
            if covers && !counted {
                *left -= 1;
                if *left < 0 {
                    found.insert(pod.uid().to_owned());
                }
            }
        }
    }
    found
}

/// The candidate that hurts least: fewest budgets violated, least important victims, smallest sum of
/// their priorities, fewest of them, those that started last; the first of equals
/// (`pickOneNodeForPreemption`).
pub(super) fn pick(candidates: Vec<Candidate>) -> Option<Candidate> {
    let hurt = |c: &Candidate| {
        let highest = c.victims.first().map_or(i64::MIN, |p| priority(p));
        let sum: i64 = c.victims.iter().map(|p| priority(p) + i64::from(i32::MAX) + 1).sum();
        let earliest = c
            .victims
            .iter()
            .filter(|p| priority(p) == highest)
            .filter_map(|p| p.time_at("/status/startTime"))
            .min();
        (c.violations, highest, sum, c.victims.len(), Reverse(earliest))
    };
    candidates.into_iter().min_by_key(hurt)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::around::Storage, *};

    /// A pod: its name, its priority, its size, and since when it runs.
    fn pod(name: &str, priority: i64, size: i64, minute: u32) -> Value {
        json!({
            "metadata": {"namespace": "n", "name": name, "uid": name, "labels": {"app": name.trim_end_matches(char::is_numeric)}},
            "spec": {"priority": priority, "size": size},
            "status": {"startTime": format!("2026-01-01T00:{minute:02}:00Z")},
        })
    }

    /// Nodes of ten units; the pod asks for `size` of priority 100. Which node is picked, and who leaves?
    fn check(size: i64, nodes: &[(&str, Vec<Value>)], budgets: &[Value], expect: Option<(&str, &[&str])>) {
        let all: Vec<Arc<Value>> =
            nodes.iter().map(|(n, _)| Arc::new(json!({"metadata": {"name": n}}))).collect();
        let mut around = Around::new(all.clone(), Vec::new(), Storage::default());
        for (node, (_, pods)) in all.iter().zip(nodes) {
            pods.iter().for_each(|p| around.put(Arc::new(p.clone()), node.clone()));
        }
        let incoming = pod("incoming", 100, size, 0);
        let fits = |node: &Value, around: &Around| {
            let used: i64 = around.on(node.name()).iter().filter_map(|p| p.i64_at("/spec/size")).sum();
            if used + size <= 10 {
                return Ok(());
            }
            Err(Refusal { reasons: vec!["Insufficient size".into()], curable: true })
        };
        let refused = nodes
            .iter()
            .map(|(n, _)| ((*n).to_owned(), Refusal { reasons: Vec::new(), curable: true }))
            .collect();
        let budgets: Vec<Arc<Value>> = budgets.iter().cloned().map(Arc::new).collect();
        let (found, _) = candidates(&incoming, &around, &refused, &budgets, fits);
        let picked = pick(found);
        let got = picked.as_ref().map(|c| {
            let victims: Vec<&str> = c.victims.iter().map(|p| p.name()).collect();
            (c.node.as_str(), victims)
        });
        assert_eq!(got, expect.map(|(n, v)| (n, v.to_vec())));
    }

    #[test]
    fn the_fewest_and_least_important_leave() {
        let full = |name: &str, priority| vec![pod(name, priority, 10, 0)];
        check(5, &[("a", full("x", 100))], &[], None);
        check(5, &[("a", full("x", 99))], &[], Some(("a", &["x"])));
        check(11, &[("a", full("x", 1))], &[], None);
        // Those that may stay do: the most important first.
        let mixed = vec![pod("x", 3, 4, 0), pod("y", 2, 3, 0), pod("z", 1, 3, 0)];
        check(3, &[("a", mixed.clone())], &[], Some(("a", &["z"])));
        check(6, &[("a", mixed)], &[], Some(("a", &["y", "z"])));
        // Of nodes: the one whose most important victim is the least important.
        check(5, &[("a", full("x", 2)), ("b", full("y", 1))], &[], Some(("b", &["y"])));
        // Then the smallest sum, with which fewer pods win too.
        let two = vec![pod("x", 1, 5, 0), pod("w", 1, 5, 0)];
        check(10, &[("a", two), ("b", full("y", 1))], &[], Some(("b", &["y"])));
        // Then those that started last.
        let late = vec![pod("y", 1, 10, 30)];
        check(5, &[("a", full("x", 1)), ("b", late)], &[], Some(("b", &["y"])));
    }

    #[test]
    fn budgets_are_kept_if_they_can_be() {
        let budget = |app: &str, allowed: i64| {
            json!({
                "metadata": {"namespace": "n", "name": app},
                "spec": {"selector": {"matchLabels": {"app": app}}},
                "status": {"disruptionsAllowed": allowed},
            })
        };
        let nodes = [("a", vec![pod("x", 1, 10, 0)]), ("b", vec![pod("y", 2, 10, 0)])];
        check(5, &nodes, &[], Some(("a", &["x"])));
        check(5, &nodes, &[budget("x", 0)], Some(("b", &["y"])));
        check(5, &nodes, &[budget("x", 1)], Some(("a", &["x"])));
        check(5, &nodes, &[budget("x", 0), budget("y", 0)], Some(("a", &["x"])));
        // On one node the protected pod stays if another one makes room.
        let both = [("a", vec![pod("x", 1, 5, 0), pod("y", 2, 5, 0)])];
        check(5, &both, &[budget("x", 0)], Some(("a", &["y"])));
    }
}
