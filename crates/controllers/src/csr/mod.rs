//! Certificate signing requests: who approves, who signs, what is cleaned up.

mod approving;
mod cleaner;
mod expiry;
mod files;
mod rules;
mod signing;

use client::Resource;

pub(crate) use approving::run as approve;
pub(crate) use cleaner::run as clean;
pub(crate) use expiry::run as watch_expiry;
pub(crate) use files::Signing;
pub(crate) use signing::run as sign;

const CSRS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
