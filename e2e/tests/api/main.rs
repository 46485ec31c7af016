//! The API over the wire: cases of the conformance suite, histories by chance, slow watchers, and kube-rs.

mod conformance;
mod histories;
mod kube_rs;
mod plane;
mod slow_watchers;
