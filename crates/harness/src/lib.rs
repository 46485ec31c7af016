//! A Kubernetes control plane inside your test, and the clocks it lives by.
//!
//! ```no_run
//! # use std::time::Duration;
//! #[chronoplane::test(nodes = 3, version = "1.32", sparse)]
//! async fn certificates_end_after_a_year(cluster: chronoplane::Cluster) {
//!     cluster.elapse(Duration::from_secs(364 * 86_400)).await;
//!     let nodes = cluster.admin().list(&client::Resource::core("nodes"), None, &Default::default()).await;
//!     assert_eq!(nodes.expect("the API answers").items.len(), 4);
//! }
//! ```
//!
//! * [`ControlPlane`]: one apiserver on a memory store, ready in milliseconds, with an
//!   administrator's `kube::Client`. What envtest gives, in the process.
//! * [`Cluster`]: kubeadm init and joins on simulated hosts: certificates, static pods, kubelets.
//!   Its clocks are yours: [`Cluster::elapse`], [`Cluster::step`], [`Cluster::suspend`] and their like, and
//!   [`Cluster::expirations`] tells what ends next.
//!   What goes wrong around it is yours too: [`Cluster::link`] for the network, [`Cluster::power_failure`],
//!   [`Cluster::slow_fsync`], [`Cluster::lying_fsync`], [`Cluster::resolve_wrongly`].
//! * [`balancer`]: what stands in front of several apiservers, on layer 4 and on layer 7.
//! * [`chaos`]: seeded faults over a working cluster, what must hold all the same, and the smallest plan if it does not.
//! * [`testing`]: what `#[chronoplane::test]` expands to.
//! * [`Machinery`]: who runs what a kubelet is told to run; the seam to processes of one's own.

pub mod balancer;
pub mod chaos;
pub mod cluster;
mod control_plane;
pub mod expirations;
mod faults;
mod launcher;
pub mod machinery;
pub mod peek;
pub mod testing;
mod time;

pub use cluster::{Cluster, ClusterOptions, HarnessError};
pub use control_plane::{ControlPlane, ControlPlaneOptions};
pub use expirations::{Credential, Expiration};
pub use faults::Link;
pub use launcher::TaskLauncher;
pub use machinery::Machinery;
pub use macros::test;
pub use time::Who;
pub use world::sim::Sim;
