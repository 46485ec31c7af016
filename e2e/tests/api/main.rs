//! The API over the wire: cases of the conformance suite and whom they show deciding, histories by chance, slow
//! watchers, and kube-rs.

mod conformance;
mod decisions;
mod histories;
mod kube_rs;
mod plane;
mod slow_watchers;
