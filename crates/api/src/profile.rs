//! What differs between the Kubernetes minors from 1.8 to 1.36.
//!
//! A [`Profile`] is a version; every fact that depends on it stands once, in the tables below
//! `profile/facts`, with the minor where it begins. The API that is served is 1.36's in every
//! profile.

pub mod console;
mod facts;
mod shown;

use std::{fmt, str::FromStr, time::Duration};

pub use facts::{Difference, EtcdNames, EtcdProbes, Fact, facts};

/// Oldest minor that has a profile.
pub const OLDEST: u16 = 8;
/// Newest minor, and the default.
pub const NEWEST: u16 = 36;

/// Major and minor of a Go release.
pub type GoVersion = (u16, u16);

/// A Kubernetes version of the 1.x line, by which upstream's behaviour is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile {
    minor: u16,
    patch: u16,
}

/// A version that cannot be used, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// It is no version.
    #[error("{given:?} is not a Kubernetes version: write it like 1.32, v1.32 or 1.32.4")]
    Malformed {
        /// What was given.
        given: String,
    },
    /// There is no profile for it.
    #[error("Kubernetes {given} has no profile: versions from 1.{OLDEST} to 1.{NEWEST} are known")]
    OutOfRange {
        /// What was given.
        given: String,
    },
}

/// How the apiserver makes the certificate of its connection to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loopback {
    /// One certificate or two.
    pub shape: Shape,
    /// How long before its making it begins.
    pub backdate: Duration,
    /// From its beginning to its end; the livez check counts as long from the process's start.
    pub max_age: Duration,
    /// Whether /livez and /healthz turn red after its end.
    pub livez_check: bool,
}

/// The certificates behind the loopback connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One self-signed certificate that is its own authority.
    SelfSigned,
    /// A leaf and the authority that signed it.
    CaAndLeaf,
}

/// Where a leaf certificate made by kubeadm begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafStart {
    /// Where its authority begins, however long ago that is.
    AuthorityStart,
    /// Five minutes before it is made; certificates in kubeconfigs still begin with their authority.
    Backdated,
}

/// How kubeadm stores the cluster's configuration in the ConfigMap kubeadm-config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigFormat {
    /// Version in the group kubeadm.k8s.io that kubeadm writes.
    pub version: &'static str,
    /// Key of the cluster's configuration.
    pub key: &'static str,
    /// Whether the key `ClusterStatus` is kept too.
    pub cluster_status: bool,
}

impl Profile {
    /// The newest profile, at its first release.
    pub const NEWEST: Profile = Profile { minor: NEWEST, patch: 0 };
    /// The oldest profile, at its first release.
    pub const OLDEST: Profile = Profile { minor: OLDEST, patch: 0 };

    /// The profile of a minor, at its first release.
    pub fn of_minor(minor: u16) -> Result<Profile, ProfileError> {
        Profile { minor, patch: 0 }.known(&format!("1.{minor}"))
    }

    /// Reads `1.32`, `v1.32` or `1.32.4`.
    pub fn parse(text: &str) -> Result<Profile, ProfileError> {
        let malformed = || ProfileError::Malformed { given: text.into() };
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.').map(number);
        let (major, minor) = (parts.next().flatten(), parts.next().flatten());
        let patch = parts.next().unwrap_or(Some(0));
        match (major, minor, patch, parts.next()) {
            (Some(1), Some(minor), Some(patch), None) => Profile { minor, patch }.known(text),
            (Some(_), Some(_), Some(_), None) => Err(ProfileError::OutOfRange { given: text.into() }),
            _ => Err(malformed()),
        }
    }

    fn known(self, given: &str) -> Result<Profile, ProfileError> {
        if (OLDEST..=NEWEST).contains(&self.minor) {
            Ok(self)
        } else {
            Err(ProfileError::OutOfRange { given: given.into() })
        }
    }

    /// All profiles, oldest first.
    pub fn all() -> impl Iterator<Item = Profile> {
        (OLDEST..=NEWEST).map(|minor| Profile { minor, patch: 0 })
    }

    /// Where the apiserver says whether it may be sent requests.
    pub fn ready_path(self) -> &'static str {
        self.health_paths().last().copied().unwrap_or("/healthz")
    }

    /// 32 of 1.32.4.
    pub fn minor(self) -> u16 {
        self.minor
    }

    /// 4 of 1.32.4.
    pub fn patch(self) -> u16 {
        self.patch
    }

    /// What `gitVersion` in /version says: `v1.32.4`.
    pub fn git_version(self) -> String {
        format!("v1.{}.{}", self.minor, self.patch)
    }

    /// What `goVersion` in /version says.
    pub fn go_version(self) -> String {
        let (major, minor) = self.go();
        format!("go{major}.{minor}")
    }

    /// Whether Go puts `tls: failed to verify certificate: ` before what is wrong with a certificate.
    pub fn tls_verify_prefix(self) -> bool {
        self.go() >= (1, 20)
    }

    /// Name of the ConfigMap with the kubelet's configuration, if there is one.
    pub fn kubelet_config_name(self) -> Option<String> {
        match self.kubelet_config_map() {
            "" => None,
            name => Some(name.replace("<minor>", &self.minor.to_string())),
        }
    }

    /// What another version does otherwise.
    pub fn differences(self, other: Profile) -> Vec<Difference> {
        facts().filter_map(|fact| fact.difference(self, other)).collect()
    }
}

/// A number without sign and without leading zero.
fn number(part: &str) -> Option<u16> {
    let digits = part.bytes().all(|c| c.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    // More digits than a version has are a version all the same, only not one that we know.
    if digits && part.len() > 4 { Some(u16::MAX) } else { part.parse().ok().filter(|_| digits) }
}

impl Default for Profile {
    fn default() -> Profile {
        Profile::NEWEST
    }
}

impl FromStr for Profile {
    type Err = ProfileError;
    fn from_str(text: &str) -> Result<Profile, ProfileError> {
        Profile::parse(text)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}.{}", self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests;
