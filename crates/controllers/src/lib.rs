//! The loops of kube-controller-manager, and a scheduler.
//!
//! ```text
//! manager::run ─ options ─ health (10257) ─ leader election ─┬─ csr        approving, signing, cleaner, expiry
//!                                                            ├─ bootstrap  signer, token cleaner
//!                                                            ├─ accounts   default service account, root CA
//!                                                            ├─ tokens     secrets that hold one, and legacy ones
//!                                                            ├─ namespace  deletion
//!                                                            ├─ node       lifecycle, taint eviction, addresses, ttl
//!                                                            ├─ workloads  deployment, replicaset, daemonset, statefulset
//!                                                            ├─ jobs       job, cronjob, what removes them
//!                                                            ├─ endpoints  addresses behind services
//!                                                            ├─ volumes    which claim gets which, and protection
//!                                                            ├─ disruption what budgets allow
//!                                                            ├─ quota      what namespaces use
//!                                                            ├─ roles      aggregated cluster roles
//!                                                            ├─ podgc      pods that nobody else removes
//!                                                            └─ garbage    dependents of what is gone, of any kind
//! scheduler::run ─ health (10259) ─ leader election ─ filter, score, preempt, bind
//! ```
//!
//! Loops read informers that share the manager's own client, and write as their own service
//! accounts (`--use-service-account-credentials`). They speak HTTP to the apiserver like anybody.
//! Facts are kube-controller-manager 1.36's (`pkg/controller`).

mod accounts;
mod affinity;
mod bootstrap;
mod context;
mod csr;
mod disruption;
mod endpoints;
mod expectations;
mod garbage;
mod health;
mod jobs;
mod legacy_tokens;
pub mod manager;
mod namespace;
mod node;
mod objects;
mod options;
mod podgc;
mod pods;
mod quota;
mod roles;
pub mod scheduler;
mod start;
#[cfg(test)]
mod testing;
mod tokens;
mod volumes;
mod workloads;

pub use options::{ManagerOptions, OptionsError, SchedulerOptions};
