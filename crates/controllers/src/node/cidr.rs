//! node-ipam: each node gets addresses for its pods, a part of `--cluster-cidr` of its own
//! (`pkg/controller/nodeipam/ipam/range_allocator.go`).

use std::sync::Arc;

use api::object::ObjectExt as _;
use client::{Change, Patch, WorkQueue};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{NODES, subnets::Subnets};
use crate::{context::Context, start::start};

/// Starts the loop; off without `--allocate-node-cidrs`.
///
/// # Errors
/// The ranges cannot be cut as the flags say.
pub(crate) fn run(c: &Context) -> Result<(), String> {
    let options = &c.options;
    if !options.allocate_node_cidrs {
        return Ok(());
    }
    let Some(ranges) = options.cluster_cidr.as_deref().filter(|r| !r.is_empty()) else {
        return Err("--cluster-cidr must be set when --allocate-node-cidrs is".into());
    };
    let (plain, four, six) =
        (options.node_cidr_mask_size, options.node_cidr_mask_size_ipv4, options.node_cidr_mask_size_ipv6);
    let dual = ranges.contains(',');
    let size = move |is_six: bool| {
        let own = if is_six { six } else { four };
        let single = plain.filter(|_| !dual);
        own.or(single).unwrap_or(if is_six { 64 } else { 24 })
    };
    let mut pools = Vec::new();
    for range in ranges.split(',') {
        let mut pool = Subnets::new(range, size).map_err(|e| e.to_string())?;
        options.service_cluster_ip_range.iter().flat_map(|r| r.split(',')).for_each(|r| pool.occupy(r));
        pools.push(pool);
    }
    let pools = Arc::new(Mutex::new(pools));
    let (nodes, rest) = (c.informer(NODES), c.rest("node-controller"));
    let recorder = c.recorder(&rest, "cidrAllocator");
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let (informer, taken, all) = (nodes.clone(), pools.clone(), queue.clone());
    // What nodes have already is taken before the first one is given anything.
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        informer.on(move |change| {
            let node = change.object();
            for cidr in cidrs(node) {
                let mut pools = taken.lock();
                match change {
                    Change::Deleted(_) => pools.iter_mut().for_each(|p| p.release(cidr)),
                    _ => pools.iter_mut().for_each(|p| p.occupy(cidr)),
                }
            }
            match change {
                // Nodes that were left without may have what this one gives back.
                Change::Deleted(_) => feed.add(""),
                _ if cidrs(node).next().is_none() => feed.add(change.key()),
                _ => {}
            }
        });
    };
    start(&c.host, [nodes.clone()], queue, 1, follow, move |name| {
        let (nodes, rest, recorder, pools, all) =
            (nodes.clone(), rest.clone(), recorder.clone(), pools.clone(), all.clone());
        async move {
            if name.is_empty() {
                let without = nodes.list().into_iter().filter(|n| cidrs(n).next().is_none());
                without.for_each(|n| all.add(client::key_of(&n)));
                return Ok(());
            }
            let Some(node) = nodes.get(None, &name).filter(|n| cidrs(n).next().is_none()) else {
                return Ok(());
            };
            let given = {
                let mut pools = pools.lock();
                let given: Vec<Option<String>> = pools.iter_mut().map(Subnets::take).collect();
                if given.iter().any(Option::is_none) {
                    let back = given.iter().flatten();
                    back.for_each(|cidr| pools.iter_mut().for_each(|p| p.release(cidr)));
                    None
                } else {
                    Some(given.into_iter().flatten().collect::<Vec<String>>())
                }
            };
            let Some(given) = given else {
                let words = format!("Node {name} status is now: CIDRNotAvailable");
                recorder.normal(&node, "CIDRNotAvailable", words);
                return Ok(());
            };
            let patch = json!({"spec": {"podCIDR": given.first(), "podCIDRs": given}});
            match rest.patch(&NODES, None, &name, Patch::Strategic(&patch), None).await {
                Ok(_) => Ok(()),
                Err(e) => {
                    given.iter().for_each(|cidr| pools.lock().iter_mut().for_each(|p| p.release(cidr)));
                    if e.is_not_found() {
                        return Ok(());
                    }
                    let words = format!("Node {name} status is now: CIDRAssignmentFailed");
                    recorder.normal(&node, "CIDRAssignmentFailed", words);
                    Err(e.to_string())
                }
            }
        }
    });
    Ok(())
}

/// What a node has already.
fn cidrs(node: &Value) -> impl Iterator<Item = &str> {
    let single = Some(node.str_at("/spec/podCIDR")).filter(|s| !s.is_empty());
    let several = node.list_at("/spec/podCIDRs").iter().filter_map(Value::as_str);
    single.into_iter().chain(several)
}
