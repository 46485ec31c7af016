//! The scenario catalogue as code, and what the `chronoplane` binary does.
//!
//! ```text
//! cli ─┬─ run <id>     catalogue → a story tells itself and checks itself (simulated gear); timeline: as a page
//!      ├─ up           a cluster on this machine, in one process or in many (real gear)
//!      ├─ list         the catalogue
//!      ├─ explain      from an error text to the stories that show it
//!      ├─ chaos        seeded faults over worlds with load, and the smallest plan that fails
//!      ├─ bench        figures
//!      ├─ conformance  cases over raw HTTP against any server
//!      ├─ store        a store's directory: check, repair, export, import
//!      ├─ machine      a host by itself: kubeadm once, then the kubelet; for containers
//!      ├─ balancer     layer 4, in front of apiservers
//!      ├─ webhook        an admission webhook for a cluster to ask about its pods
//!      ├─ cfssl, cfssljson  certificates from JSON, as recipes for etcd make them
//!      └─ apiserver, etcd, controllers, scheduler, kubelet, kubeadm
//!                      the components by themselves, which `up --processes` starts
//! ```

#[macro_use]
mod out;

pub mod balancer;
pub mod bench;
pub mod catalogue;
pub mod cfssl;
pub mod chaos;
pub mod cli;
pub mod components;
pub mod conformance;
pub mod explain;
pub mod keystone;
pub mod machine;
pub mod pod_webhook;
pub mod progress;
pub mod scenarios;
pub mod store;
pub mod story;
pub mod timeline;
pub mod up;
