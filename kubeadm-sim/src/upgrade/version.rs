//! Versions as people name them to an upgrade, pre-releases among them, which no profile has.

use std::{cmp::Ordering, fmt};

use api::profile::Profile;

use crate::session::{Failure, Result};

/// `v1.33.0` or `v1.33.0-rc.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub release: Profile,
    /// Empty for a release.
    pub pre_release: String,
}

impl Version {
    /// Reads what was asked for.
    ///
    /// # Errors
    /// No version, or one without a profile.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (release, pre_release) = text.split_once('-').unwrap_or((text, ""));
        let release = Profile::parse(release)
            .map_err(|e| Failure::new(format!("couldn't parse Kubernetes version {text:?}: {e}")))?;
        Ok(Self { release, pre_release: pre_release.to_owned() })
    }

    /// The profile to upgrade to.
    ///
    /// # Errors
    /// A pre-release.
    pub(super) fn profile(&self) -> Result<Profile> {
        if self.pre_release.is_empty() {
            return Ok(self.release);
        }
        Err(Failure::new(format!(
            "{self} has no profile: only releases are simulated; upgrade to {} instead",
            self.release.git_version()
        )))
    }
}

impl From<Profile> for Version {
    fn from(release: Profile) -> Self {
        Self { release, pre_release: String::new() }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dash = if self.pre_release.is_empty() { "" } else { "-" };
        write!(f, "{}{dash}{}", self.release.git_version(), self.pre_release)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    /// A pre-release comes before its release.
    fn cmp(&self, other: &Self) -> Ordering {
        let stage = |v: &Self| (v.release, v.pre_release.is_empty());
        stage(self).cmp(&stage(other)).then_with(|| self.pre_release.cmp(&other.pre_release))
    }
}

/// The numbers of an image's tag such as `3.5.16-0`, for comparison.
pub(super) fn numbers(tag: &str) -> Vec<u64> {
    tag.trim_start_matches('v').split(['.', '-']).map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_and_pre_releases_are_known_as_such() {
        let parse = |text: &str| Version::parse(text).expect(text);
        let sorted = ["1.31.9", "v1.32.0-alpha.1", "v1.32.0-rc.1", "1.32", "v1.32.1"].map(parse);
        assert!(sorted.is_sorted(), "{sorted:?}");
        assert_eq!(parse("1.32.0-rc.1").to_string(), "v1.32.0-rc.1");
        assert!(parse("1.32.0-rc.1").profile().expect_err("no release").0.contains("upgrade to v1.32.0"));
        assert!(Version::parse("latest").expect_err("a label").0.contains("\"latest\""));
    }

    #[test]
    fn tags_are_compared_by_their_numbers() {
        assert!(numbers("3.5.9-0") < numbers("3.5.16-0"));
        assert!(numbers("3.5.16-0") < numbers("3.6.4-0"));
        assert_eq!(numbers("v1.11.3"), [1, 11, 3]);
    }
}
