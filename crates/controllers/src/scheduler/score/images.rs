//! Nodes that have the pod's images already, the rarer the image the less it counts
//! (`plugins/imagelocality`).

use std::sync::Arc;

use api::object::ObjectExt as _;
use serde_json::Value;

use super::super::around::Around;
use super::MAX;

const MB: i64 = 1024 * 1024;
const LEAST: i64 = 23 * MB;
const MOST_PER_CONTAINER: i64 = 1000 * MB;

/// A name without tag or digest means `latest`.
fn full(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

fn size_on(node: &Value, image: &str) -> Option<i64> {
    let named = |i: &&Value| i.list_at("/names").iter().filter_map(Value::as_str).any(|n| n == image);
    node.list_at("/status/images").iter().find(named).and_then(|i| i.i64_at("/sizeBytes"))
}

pub(super) fn locality(pod: &Value, nodes: &[Arc<Value>], around: &Around) -> Vec<i64> {
    let containers = pod.list_at("/spec/initContainers").iter().chain(pod.list_at("/spec/containers").iter());
    let images: Vec<(String, i64)> = containers
        .map(|c| full(c.str_at("/image")))
        .map(|image| {
            let holders = around.nodes.iter().filter(|n| size_on(n, &image).is_some()).count();
            (image, i64::try_from(holders).unwrap_or(0))
        })
        .collect();
    let all = i64::try_from(around.nodes.len().max(1)).unwrap_or(1);
    let most = MOST_PER_CONTAINER * i64::try_from(images.len().max(1)).unwrap_or(1);
    let of = |node: &Arc<Value>| {
        let sum: i64 = images
            .iter()
            .filter_map(|(image, holders)| size_on(node, image).map(|size| size / all * holders))
            .sum();
        MAX * (sum.clamp(LEAST, most) - LEAST) / (most - LEAST)
    };
    nodes.iter().map(of).collect()
}
