//! The JSON client of [`Cluster::admin`](crate::Cluster::admin) and [`ControlPlane::admin`](crate::ControlPlane::admin), and
//! what its requests are made of. In a module, for kube has things of the same names.

pub use client::{ClientError, DeleteParams, List, ListParams, Patch, Resource, Rest, WatchParams};
