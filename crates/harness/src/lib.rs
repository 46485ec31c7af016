//! A Kubernetes control plane inside your test, and the clocks it lives by.
//!
//! ```
//! use chronoplane::{ControlPlane, HarnessError, Manifests};
//!
//! # const IN_LIFE: &str = stringify!(
//! #[chronoplane::test]
//! # );
//! async fn the_answer_is_stored(plane: ControlPlane) -> Result<(), HarnessError> {
//!     let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: answer}, data: {is: '42'}}";
//!     plane.apply(&Manifests::yaml(manifest)?).await?;
//!     plane.elapse(std::time::Duration::from_secs(86_400)).await?; // a day, in milliseconds
//!     plane.wait_for("configmap/answer", "jsonpath={.data.is}=42").await?;
//!     Ok(())
//! }
//! # chronoplane::testing::run(chronoplane::testing::Options::new("docs"), the_answer_is_stored).unwrap();
//! ```
//!
//! **What to start**
//!
//! * [`ControlPlane`]: one apiserver on a memory store, ready in milliseconds, with controllers if asked for. What envtest
//!   gives, in the process; hundreds at once in one test binary, each a world of its own.
//! * [`Cluster`]: kubeadm init and joins on simulated hosts: certificates, static pods, kubelets, controllers.
//! * [`test`] makes either in the simulated gear, where time is the test's; [`testing::run`] is the same as a function.
//!   [`real::run`] is a world of real sockets and the system's clock.
//!
//! **What to do with it**, the same for both
//!
//! * [`ControlPlane::client`] is an administrator's `kube::Client`, [`ControlPlane::client_as`] anybody's ([`Identity`]),
//!   [`ControlPlane::faulty_client`] one whose requests are late, refused or lose their answer ([`Faults`]).
//! * [`ControlPlane::apply`] applies [`Manifests`]: YAML, files, folders, derived types. Definitions are served afterwards.
//! * [`ControlPlane::wait_for`] waits on a named [`Condition`] and says, if it does not come, what was seen instead.
//! * [`Webhook`] serves the author's admission or conversion webhook to the API server.
//! * Time: waits with `tokio::time` travel along, so [`ControlPlane::elapse`] runs everything that the controller under test
//!   does in that time. What reads the system's clock (`SystemTime::now`) sees the system's time: hand such code the time of
//!   a [`Clock`]. [`Sim`] and [`Cluster`] set, stop and bend the clocks of single hosts ([`Cluster::step`],
//!   [`Cluster::suspend`]); [`Cluster::expirations`] tells what ends next.
//! * What goes wrong: [`Cluster::link`] for the network, [`Cluster::crash`] and [`Cluster::stop`] for its programs,
//!   [`Cluster::power_failure`], [`Cluster::slow_fsync`], [`Cluster::compact`],
//!   [`Cluster::resolve_wrongly`]; [`balancer`] stands in front of several apiservers; [`chaos`] plays seeded faults over a
//!   working cluster, and finds the smallest plan that fails.
//!
//! Nothing is left behind: the simulated gear has no process, port or file; the real one takes them down, after a panic too.
//! Tests run under `cargo test` and under nextest, as many at a time as there are cores; one that fails says
//! with which `CHRONOPLANE_SEED` that is seen again.
//! [`Machinery`] is the seam to processes of one's own; [`machinery`] and [`balancer`] have what is handed to them, [`rest`] what
//! the JSON client takes.

#![deny(missing_docs)]

mod administrator;
pub mod balancer;
pub mod chaos;
pub mod cluster;
mod condition;
mod control_plane;
pub mod expirations;
mod faults;
mod identity;
mod launcher;
pub mod machinery;
mod manifests;
mod nodes;
#[doc(hidden)]
pub mod peek;
mod programs;
pub mod real;
pub mod rest;
mod stack;
mod target;
pub mod testing;
mod time;
mod webhook;

pub use client::{Fault, Faults, Planned, Requests};
pub use cluster::{Cluster, ClusterOptions, HarnessError};
pub use condition::{Condition, IntoCondition};
pub use control_plane::{ControlPlane, ControlPlaneOptions};
pub use expirations::{Credential, Expiration};
pub use faults::Link;
pub use identity::Identity;
pub use launcher::TaskLauncher;
pub use machinery::Machinery;
pub use macros::test;
pub use manifests::Manifests;
pub use programs::Component;
pub use target::Target;
pub use time::Who;
pub use webhook::Webhook;
pub use world::{
    Clock, Gear, Host, Periods, Wall,
    real::Real,
    sim::{Conditions, Resolution, Sim},
};

pub use api::profile::Profile;
pub use jiff::{self, SignedDuration};
pub use k8s_openapi;
pub use kube;
pub use kubeadm_sim::ExternalEtcd;
pub use pki::{KeyAlgorithm, token::BootstrapToken};
