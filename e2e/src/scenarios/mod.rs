//! The stories, one file each or one for a family that shares its stage. Each file's head tells the incident.

mod ground;
mod joining;
mod kubelet_client;
mod loopback;
mod pki_at_large;
mod serving;
mod stage;
mod tokens_and_leases;

pub use ground::Ground;
pub use stage::{Stage, briefly, config, instead, raw, verdict};

use std::collections::BTreeSet;

use crate::catalogue::{Entry, Family};

/// All of them, in the order in which they are best read.
pub(crate) const FAMILIES: &[Family] = &[
    loopback::FAMILY,
    kubelet_client::FAMILY,
    serving::FAMILY,
    joining::FAMILY,
    pki_at_large::FAMILY,
    tokens_and_leases::FAMILY,
];

/// Every story.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().flat_map(|family| family.entries)
}

/// The id that `text` is the beginning of, or that looks most like it: for who mistyped it.
pub(crate) fn nearest(text: &str) -> &'static str {
    let pairs = |s: &str| s.as_bytes().windows(2).map(<[u8]>::to_vec).collect::<BTreeSet<_>>();
    let wanted = pairs(text);
    // Families begin with what is best read first: of several that are as near, the first.
    let far = |e: &&Entry| {
        let shared = pairs(e.id).intersection(&wanted).count();
        std::cmp::Reverse((e.id.starts_with(text), shared))
    };
    all().min_by_key(far).map_or("loopback-expiry", |e| e.id)
}
