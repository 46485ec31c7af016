//! Deployments and the ReplicaSets below them.

mod deployment;
mod replicaset;
mod rollout;

use client::Resource;

pub(crate) use deployment::run as deployments;
pub(crate) use replicaset::run as replica_sets;

const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
const REPLICA_SETS: Resource = Resource::new("apps", "v1", "replicasets");
const PODS: Resource = Resource::core("pods");
