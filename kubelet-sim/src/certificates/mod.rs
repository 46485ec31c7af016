//! The kubelet's client certificate: when to renew it, how to ask for it, where it is kept.

mod manager;
mod request;
mod store;

pub(crate) use manager::{Manager, Outlook};
pub(crate) use store::current_path;
