//! The one table of facts that changed between minors, a part for each component: each value with the minor where it
//! begins. A value holds until the next begins; the first one holds since before 1.8.
//!
//! Patch releases changed some facts within a minor (Go versions most of all). A row says what the
//! minor's first release did, except where it says otherwise.

use std::time::Duration;

use super::Profile;

/// One fact of the table.
pub struct Fact {
    /// Name of the accessor on [`Profile`].
    pub name: &'static str,
    /// What it is about, for people.
    pub words: &'static str,
    /// The minors in which a new value begins.
    pub starts: &'static [u16],
    shown: fn(Profile) -> String,
}

/// A fact in which two versions differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub words: &'static str,
    /// In the one version.
    pub here: String,
    /// In the other.
    pub there: String,
}

impl Fact {
    /// The value in a version, for people.
    pub fn shown(&self, profile: Profile) -> String {
        (self.shown)(profile)
    }

    /// How two versions differ in this fact, if they do.
    pub fn difference(&self, here: Profile, there: Profile) -> Option<Difference> {
        let (here, there) = (self.shown(here), self.shown(there));
        (here != there).then_some(Difference { words: self.words, here, there })
    }
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $words:literal { $($since:literal => $value:expr),+ $(,)? })+) => {
        impl crate::profile::Profile {
            $($(#[$doc])* pub fn $name(self) -> $type {
                const STEPS: &[(u16, $type)] = &[$(($since, $value)),+];
                let begun = STEPS.iter().rev().find(|(since, _)| *since <= self.minor());
                begun.map_or(STEPS[0].1, |(_, value)| *value)
            })+
        }

        /// These rows.
        pub(super) const FACTS: &[super::Fact] = &[$(super::Fact {
            name: stringify!($name),
            words: $words,
            starts: &[$($since),+],
            shown: |profile| crate::profile::shown::Shown::shown(&profile.$name()),
        }),+];
    };
}

mod apiserver;
mod certificates;
mod controllers;
mod kubeadm;
mod kubelet;
mod manifests;
mod upgrade;
mod words;

pub use certificates::EtcdNames;
pub use manifests::EtcdProbes;

/// The whole table.
pub fn facts() -> impl Iterator<Item = &'static Fact> {
    let parts = [
        words::FACTS,
        apiserver::FACTS,
        controllers::FACTS,
        kubelet::FACTS,
        certificates::FACTS,
        manifests::FACTS,
        kubeadm::FACTS,
        upgrade::FACTS,
    ];
    parts.into_iter().flatten()
}
