//! One decision, free of requests: where a pod goes, or why nowhere.

use std::{collections::BTreeMap, sync::Arc};

use api::object::ObjectExt as _;
use serde_json::Value;

use super::{
    around::Around,
    filter::{self, Incoming, Refusal},
    preemption::priority,
    score,
    volumes::{self, Plan},
};

/// Nodes that must fit before the others are not looked at, whatever the cluster's size.
const ENOUGH: usize = 100;

/// What comes of looking at the nodes.
#[derive(Debug)]
pub(super) enum Decision {
    /// On one of these, which are equally good; each with what its claims need.
    Fits(Vec<(String, Plan)>),
    /// On none.
    Refused(BTreeMap<String, Refusal>),
}

/// How many nodes must fit before the best of them is taken (`numFeasibleNodesToFind`): all of a
/// small cluster; of a larger one a share that shrinks from a half to a twentieth.
fn enough(nodes: usize) -> usize {
    if nodes < ENOUGH {
        return nodes;
    }
    let share = 50_usize.saturating_sub(nodes / 125).max(5);
    (nodes * share / 100).max(ENOUGH)
}

/// The filters, with the pods that are promised a node here and are no less important: what fits only
/// as long as they are away does not fit, nor what fits only once they are there.
pub(super) fn fits(
    incoming: &Incoming<'_>,
    node: &Value,
    around: &Around,
    promised: &[(Arc<Value>, String)],
) -> Result<(), Refusal> {
    let name = node.name();
    let coming = promised.iter().filter(|(other, to)| {
        to == name && priority(other) >= priority(incoming.pod) && other.uid() != incoming.pod.uid()
    });
    let coming: Vec<&Arc<Value>> = coming.map(|(pod, _)| pod).collect();
    if !coming.is_empty() {
        let mut full = around.clone();
        let here = Arc::new(node.clone());
        coming.into_iter().for_each(|pod| full.put(pod.clone(), here.clone()));
        filter::check(incoming, node, &full)?;
    }
    filter::check(incoming, node, around)
}

/// Looks at the nodes from the `start`th on, so that all of a large cluster get their turn; how many
/// were looked at.
pub(super) fn decide(
    incoming: &Incoming<'_>,
    around: &Around,
    promised: &[(Arc<Value>, String)],
    start: usize,
) -> (Decision, usize) {
    let plan = |node: &Value| volumes::plan(incoming.claims, node, &around.storage).unwrap_or_default();
    let named = |node: &Value| node.name().to_owned();
    let mut refused = BTreeMap::new();
    // A node that was made free for this pod comes before all others.
    let nominated = incoming.pod.str_at("/status/nominatedNodeName");
    let own = around.nodes.iter().find(|n| !nominated.is_empty() && n.name() == nominated);
    if let Some(node) = own
        && fits(incoming, node, around, promised).is_ok()
    {
        return (Decision::Fits(vec![(named(node), plan(node))]), 0);
    }
    let count = around.nodes.len();
    let (mut fitting, mut seen) = (Vec::new(), 0);
    for node in around.nodes.iter().cycle().skip(start % count.max(1)).take(count) {
        seen += 1;
        match fits(incoming, node, around, promised) {
            Ok(()) => fitting.push(node.clone()),
            Err(why) => {
                refused.insert(named(node), why);
            }
        }
        if fitting.len() >= enough(count) {
            break;
        }
    }
    if fitting.is_empty() {
        return (Decision::Refused(refused), seen);
    }
    // Equals are sorted by name: what chance picks from does not depend on where the look began.
    fitting.sort_by_cached_key(|n| named(n));
    let scores = score::all(incoming.pod, &fitting, around);
    let best = scores.iter().copied().max().unwrap_or(0);
    let best = fitting.iter().zip(&scores).filter(|(_, s)| **s == best).map(|(n, _)| (named(n), plan(n)));
    (Decision::Fits(best.collect()), seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_large_cluster_a_part_is_enough() {
        for (nodes, expect) in [(3, 3), (99, 99), (100, 100), (1000, 420), (5000, 500), (6000, 300)] {
            assert_eq!(enough(nodes), expect, "{nodes} nodes");
        }
    }
}
