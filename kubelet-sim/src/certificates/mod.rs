//! The kubelet's certificates: what to ask for, how to ask, where they are kept, when to renew them,
//! and how the client's connections follow.

mod template;

mod request;
mod wait;

mod store;

mod manager;
mod renewals;
mod transport;

pub(crate) use manager::{Manager, Settings, Wanted};
pub(crate) use renewals::Certificates;
pub(crate) use request::{Ask, submit};
pub(crate) use store::{FileStore, words_of_pair};
pub(crate) use template::{Purpose, Template};
pub(crate) use transport::watch;
pub(crate) use wait::issued;
