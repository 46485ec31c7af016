//! Nodes that have the pod's images already, the rarer the image the less it counts
//! (`plugins/imagelocality`).

use std::sync::Arc;

use serde_json::Value;

use super::super::around::Around;
use super::MAX;
use crate::objects::{list, number, text};

const MB: i64 = 1024 * 1024;
const LEAST: i64 = 23 * MB;
const MOST_PER_CONTAINER: i64 = 1000 * MB;

/// A name without tag or digest means `latest`.
fn full(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

fn size_on(node: &Value, image: &str) -> Option<i64> {
    let named = |i: &&Value| list(i, "/names").filter_map(Value::as_str).any(|n| n == image);
    list(node, "/status/images").find(named).and_then(|i| number(i, "/sizeBytes"))
}

pub(super) fn locality(pod: &Value, nodes: &[Arc<Value>], around: &Around) -> Vec<i64> {
    let containers = list(pod, "/spec/initContainers").chain(list(pod, "/spec/containers"));
    let images: Vec<(String, i64)> = containers
        .map(|c| full(text(c, "/image")))
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
