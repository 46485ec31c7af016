//! ttl: how long a kubelet may believe what it has read of secrets and config maps, by the size of the
//! cluster (`pkg/controller/ttl`).

use std::sync::Arc;

use api::object::ObjectExt as _;
use client::{Patch, WorkQueue};
use parking_lot::Mutex;
use serde_json::json;

use super::NODES;
use crate::{context::Context, start::start};

const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";

/// Fewest and most nodes, and the seconds. They overlap, so that a cluster at the border does not flap.
const STEPS: [(usize, usize, u32); 5] =
    [(0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, 10_000, 300)];

/// The step for so many nodes, coming from `step`.
fn step_for(nodes: usize, mut step: usize) -> usize {
    while step + 1 < STEPS.len() && nodes > STEPS[step].1 {
        step += 1;
    }
    while step > 0 && nodes < STEPS[step].0 {
        step -= 1;
    }
    step
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let (nodes, rest) = (c.informer(NODES), c.rest("ttl-controller"));
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let step = Arc::new(Mutex::new(0));
    let (all, now) = (nodes.clone(), step.clone());
    let follow = move |queue: &WorkQueue| {
        let (feed, nodes) = (queue.clone(), all.clone());
        all.on(move |change| {
            let wanted = step_for(nodes.len(), *now.lock());
            if std::mem::replace(&mut *now.lock(), wanted) != wanted {
                nodes.list().iter().for_each(|n| feed.add(client::key_of(n)));
            }
            if !matches!(change, client::Change::Deleted(_)) {
                feed.add(change.key());
            }
        });
    };
    start(&c.host, [nodes.clone()], queue, 1, follow, move |name| {
        let (nodes, rest, step) = (nodes.clone(), rest.clone(), step.clone());
        async move {
            let seconds = STEPS[*step.lock()].2.to_string();
            let Some(node) = nodes.get(None, &name) else { return Ok(()) };
            let held = node.str_at("/metadata/annotations/node.alpha.kubernetes.io~1ttl");
            if held == seconds {
                return Ok(());
            }
            let patch = json!({"metadata": {"annotations": {ANNOTATION: seconds}}});
            match rest.patch(&NODES, None, &name, Patch::Strategic(&patch), None).await {
                Err(e) if !e.is_not_found() => Err(e.to_string()),
                _ => Ok::<(), String>(()),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn larger_clusters_read_more_rarely() {
        let check = |nodes, from: usize, seconds| {
            assert_eq!(STEPS[step_for(nodes, from)].2, seconds, "{nodes} nodes from step {from}");
        };
        check(1, 0, 0);
        check(100, 0, 0);
        check(101, 0, 15);
        check(95, 1, 15);
        check(89, 1, 0);
        check(1500, 0, 60);
        check(20_000, 0, 300);
        check(3, 4, 0);
    }

    #[test]
    fn the_annotation_is_the_key_of_its_pointer() {
        let node: Value = json!({"metadata": {"annotations": {ANNOTATION: "15"}}});
        assert_eq!(node.str_at("/metadata/annotations/node.alpha.kubernetes.io~1ttl"), "15");
    }
}
