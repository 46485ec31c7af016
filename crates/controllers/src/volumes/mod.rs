//! Persistent volumes: which claim gets which, who makes them, and what may not be deleted yet.

mod binder;
pub(crate) mod matching;
mod protection;
mod provisioner;
mod reclaim;

use client::Resource;

pub(crate) use binder::run as bind;
pub(crate) use protection::{claims as protect_claims, volumes as protect_volumes};

const CLAIMS: Resource = Resource::core("persistentvolumeclaims");
const VOLUMES: Resource = Resource::core("persistentvolumes");
const CLASSES: Resource = Resource::new("storage.k8s.io", "v1", "storageclasses");
