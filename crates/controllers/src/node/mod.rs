//! Nodes that fall silent: conditions, taints, and the pods that must go.

mod changes;
mod cidr;
mod eviction;
mod lifecycle;
mod subnets;
mod taints;
mod ttl;
mod zones;

use client::Resource;

pub(crate) use cidr::run as allocate_cidrs;
pub(crate) use eviction::{run as evict, tolerates};
pub(crate) use lifecycle::run as watch_health;
pub(crate) use ttl::run as annotate_ttl;

const NODES: Resource = Resource::core("nodes");
const PODS: Resource = Resource::core("pods");
const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
