//! Names that a host resolves otherwise than the world does.

use std::{collections::BTreeMap, time::Duration};

/// What a host's resolver says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The address of that host: an old record, a typing error, a balancer's name that still leads to what it replaced.
    Host(String),
    /// There is no such name (NXDOMAIN).
    Unknown,
    /// The name server does not answer.
    Silence,
}

/// By host and name.
#[derive(Default)]
pub(super) struct Resolver(BTreeMap<String, BTreeMap<String, Resolution>>);

impl Resolver {
    /// How long a name server that is silent is waited for: two attempts of five seconds (Go's and glibc's defaults;
    /// from memory).
    pub(super) const PATIENCE: Duration = Duration::from_secs(10);

    /// `None`: as the world has it.
    pub(super) fn set(&mut self, on: &str, name: &str, resolution: Option<Resolution>) {
        let names = self.0.entry(on.to_owned()).or_default();
        match resolution {
            Some(resolution) => drop(names.insert(name.to_owned(), resolution)),
            None => drop(names.remove(name)),
        }
    }

    pub(super) fn get(&self, on: &str, name: &str) -> Option<&Resolution> {
        self.0.get(on)?.get(name)
    }
}
