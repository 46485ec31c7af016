//! Nodes that fall silent: conditions, taints, and the pods that must go.

mod eviction;
mod lifecycle;

use client::Resource;

pub(crate) use eviction::{run as evict, tolerates};
pub(crate) use lifecycle::run as watch_health;

const NODES: Resource = Resource::core("nodes");
const PODS: Resource = Resource::core("pods");
const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
