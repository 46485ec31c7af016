//! Deployments and the ReplicaSets below them; DaemonSets; StatefulSets.

mod daemonset;
mod deployment;
mod replicaset;
mod revisions;
mod rollout;
mod statefulset;

use client::Resource;

pub(crate) use daemonset::run as daemon_sets;
pub(crate) use deployment::run as deployments;
pub(crate) use replicaset::run as replica_sets;
pub(crate) use rollout::scaled;
pub(crate) use statefulset::run as stateful_sets;

const DAEMON_SETS: Resource = Resource::new("apps", "v1", "daemonsets");
const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
const REPLICA_SETS: Resource = Resource::new("apps", "v1", "replicasets");
const REVISIONS: Resource = Resource::new("apps", "v1", "controllerrevisions");
const STATEFUL_SETS: Resource = Resource::new("apps", "v1", "statefulsets");
