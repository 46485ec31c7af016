//! `--runtime-config`: which of the built-in group versions are served.

use std::collections::BTreeMap;

use api::kinds;

/// Group versions that the server's own informers and hooks live on.
const OWN: [(&str, &str); 6] = [
    ("", "v1"),
    ("apiextensions.k8s.io", "v1"),
    ("apiregistration.k8s.io", "v1"),
    ("coordination.k8s.io", "v1"),
    ("networking.k8s.io", "v1"),
    ("rbac.authorization.k8s.io", "v1"),
];
/// And these. Without the last, webhooks and policies that are stored would let everything pass unasked.
const MORE: [(&str, &str); 3] = [
    ("flowcontrol.apiserver.k8s.io", "v1"),
    ("scheduling.k8s.io", "v1"),
    ("admissionregistration.k8s.io", "v1"),
];

/// What is turned on and off: by kind of version, then by group version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeConfig {
    all: Option<bool>,
    ga: Option<bool>,
    beta: Option<bool>,
    alpha: Option<bool>,
    single: BTreeMap<(String, String), bool>,
}

fn needed(group: &str, version: &str) -> bool {
    OWN.iter().chain(&MORE).any(|own| *own == (group, version))
}

impl RuntimeConfig {
    /// Reads `key[=value]` entries.
    ///
    /// # Errors
    /// What is wrong with which entry.
    pub(crate) fn parse(entries: &[String]) -> Result<Self, String> {
        let mut out = Self::default();
        for entry in entries {
            let (key, value) = entry.split_once('=').unwrap_or((entry, "true"));
            let on = match value {
                "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
                "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
                _ => return Err(format!("invalid value of {entry}, failed to parse bool")),
            };
            let slot = match key {
                "api/all" => &mut out.all,
                "api/ga" => &mut out.ga,
                "api/beta" => &mut out.beta,
                "api/alpha" => &mut out.alpha,
                // Upstream dropped what this was for, and takes it still.
                "api/legacy" => continue,
                _ => {
                    let (group, version) = match key.split_once('/') {
                        None | Some(("api", _)) => ("", key.strip_prefix("api/").unwrap_or(key)),
                        Some(pair) => pair,
                    };
                    if !kinds::group_versions().iter().any(|known| known.group == group) {
                        return Err(format!("unknown api groups {group}"));
                    }
                    if !on && needed(group, version) {
                        return Err(format!("{key} cannot be turned off: the server itself lives on it"));
                    }
                    out.single.insert((group.to_owned(), version.to_owned()), on);
                    continue;
                }
            };
            *slot = Some(on);
        }
        Ok(out)
    }

    /// Whether a built-in group version is served.
    pub(crate) fn serves(&self, group: &str, version: &str) -> bool {
        if let Some(on) = self.single.get(&(group.to_owned(), version.to_owned())) {
            return *on;
        }
        let kind = if version.contains("alpha") {
            self.alpha
        } else if version.contains("beta") {
            self.beta
        } else {
            self.ga
        };
        needed(group, version) || kind.or(self.all).unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<RuntimeConfig, String> {
        RuntimeConfig::parse(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_narrower_entry_wins() {
        #[track_caller]
        fn check(text: &str, on: &[&str], off: &[&str]) {
            let config = config(text).unwrap();
            for (list, expected) in [(on, true), (off, false)] {
                for name in list {
                    let (group, version) = name.split_once('/').unwrap();
                    assert_eq!(config.serves(group, version), expected, "{text}: {name}");
                }
            }
        }
        check("api/legacy", &["apps/v1", "/v1"], &[]);
        check("batch/v1=false", &["apps/v1"], &["batch/v1"]);
        check("api/all=false", &["/v1", "rbac.authorization.k8s.io/v1"], &["apps/v1", "autoscaling/v2"]);
        check(
            "api/all=false",
            &["admissionregistration.k8s.io/v1"],
            &["admissionregistration.k8s.io/v1beta1"],
        );
        check("api/all=false,apps/v1", &["apps/v1"], &["batch/v1"]);
        check("api/beta=false", &["apps/v1"], &["storage.k8s.io/v1beta1"]);
        check("api/all=false,api/ga=true", &["apps/v1"], &["storage.k8s.io/v1alpha1"]);
    }

    #[test]
    fn nonsense_is_refused() {
        #[track_caller]
        fn check(text: &str, words: &str) {
            assert_eq!(config(text).unwrap_err(), words);
        }
        check("apps/v1=maybe", "invalid value of apps/v1=maybe, failed to parse bool");
        check("example.org/v1=true", "unknown api groups example.org");
        check("api/v1=false", "api/v1 cannot be turned off: the server itself lives on it");
        check(
            "admissionregistration.k8s.io/v1=false",
            "admissionregistration.k8s.io/v1 cannot be turned off: the server itself lives on it",
        );
    }
}
