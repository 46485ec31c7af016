//! The scenario catalogue as code, and what the `chronoplane` binary does.
//!
//! ```text
//! cli ─┬─ run <id>     catalogue → a story tells itself and checks itself (simulated gear, or real); timeline: as a page
//!      ├─ up           a cluster on this machine, in one process or in many (real gear)
//!      ├─ clock        the clocks of a cluster that `up` runs
//!      ├─ envtest      a folder for Go's envtest, whose programs are this one
//!      ├─ teach        the course: chapters told by a world that plays them
//!      ├─ list         the catalogue
//!      ├─ explain      from an error text to the stories that show it
//!      ├─ chaos        seeded faults over worlds with load, and the smallest plan that fails
//!      ├─ matrix       clusters that are suspended or switched off for long, and wake
//!      ├─ bench        figures
//!      ├─ conformance  cases over raw HTTP against any server
//!      ├─ store        a store's directory: check, repair, export, import
//!      ├─ machine      a host by itself: kubeadm once, then the kubelet; for containers
//!      ├─ balancer     layer 4, in front of apiservers
//!      ├─ webhook      an admission webhook for a cluster to ask about its pods
//!      ├─ doctor       what this machine can do
//!      ├─ book         pages of the book that are made from what the program itself says
//!      ├─ completions, man
//!      ├─ cfssl, cfssljson  certificates from JSON, as recipes for etcd make them
//!      └─ apiserver, etcd, controllers, scheduler, kubelet, kubeadm
//!                      the components by themselves, which `up --processes` starts
//! ```

#[macro_use]
mod out;

pub mod balancer;
pub mod bench;
pub mod book;
pub mod catalogue;
pub mod cfssl;
pub mod chaos;
pub mod cli;
pub mod clock;
pub mod components;
pub mod conformance;
pub mod doctor;
pub mod envtest;
pub mod explain;
pub mod keystone;
pub mod machine;
pub mod matrix;
pub mod milestone;
pub mod pod_webhook;
mod progress;
pub mod scenarios;
pub mod store;
pub mod story;
mod style;
pub mod teach;
pub mod timeline;
pub mod up;

/// The Rust in the pages for people is compiled with the documentation's tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/how-to-test.md")]
    struct HowToTest;
}
