//! kubeadm's own feature gates: `--feature-gates` and the field of that name (`cmd/kubeadm/app/features`).

use std::collections::BTreeMap;

use api::profile::Profile;
use serde_json::{Map, Value};

use crate::documents::ConfigError;

/// Gates by name, as somebody set them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureGates(BTreeMap<String, bool>);

impl FeatureGates {
    /// Whether a gate was set to true.
    pub fn enabled(&self, gate: &str) -> bool {
        self.0.get(gate).copied().unwrap_or_default()
    }

    /// What a gate was set to, if it was.
    pub fn get(&self, gate: &str) -> Option<bool> {
        self.0.get(gate).copied()
    }

    /// Reads `A=true,B=false` on top of what is set.
    ///
    /// # Errors
    /// A gate that the release does not have, or a value that is no bool.
    pub(crate) fn read_flag(&mut self, profile: Profile, text: &str) -> Result<(), ConfigError> {
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let invalid = |why: String| ConfigError::invalid("--feature-gates", why);
            let (gate, value) = part
                .split_once('=')
                .ok_or_else(|| invalid(format!("missing bool value for feature-gate key:{part}")))?;
            let on = match value.trim() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
                "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
                other => {
                    return Err(invalid(format!(
                        "invalid value {other} for feature-gate key: {gate}, use true|false instead"
                    )));
                }
            };
            self.set(profile, "--feature-gates", gate.trim(), on)?;
        }
        Ok(())
    }

    /// Sets one gate; `field` is where it stands.
    ///
    /// # Errors
    /// The release does not have it.
    pub(crate) fn set(
        &mut self,
        profile: Profile,
        field: &str,
        gate: &str,
        on: bool,
    ) -> Result<(), ConfigError> {
        let known = profile.kubeadm_feature_gates();
        // Of later releases any name is taken.
        if !known.is_empty() && !known.contains(&gate) {
            let known = known.join(", ");
            return Err(ConfigError::invalid(
                field,
                format!(
                    "unrecognized feature-gate key: {gate}; those of {} are: {known}",
                    profile.git_version()
                ),
            ));
        }
        self.0.insert(gate.to_owned(), on);
        Ok(())
    }

    /// As the field `featureGates` has them.
    pub(crate) fn to_value(&self) -> Value {
        self.iter().map(|(gate, on)| (gate.to_owned(), Value::from(on))).collect::<Map<_, _>>().into()
    }

    /// All that were set, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, bool)> {
        self.0.iter().map(|(gate, on)| (gate.as_str(), *on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(minor: u16, text: &str) -> Result<FeatureGates, String> {
        let mut gates = FeatureGates::default();
        let profile = Profile::of_minor(minor).expect("known");
        gates.read_flag(profile, text).map(|()| gates).map_err(|e| e.to_string())
    }

    #[test]
    fn gates_are_those_of_the_release() {
        let gates = read(10, "SelfHosting=true, StoreCertsInSecrets=false").expect("known");
        assert!(gates.enabled("SelfHosting") && !gates.enabled("StoreCertsInSecrets"));
        assert_eq!((gates.get("StoreCertsInSecrets"), gates.get("CoreDNS")), (Some(false), None));
        for (minor, text, words) in [
            (10, "SelfHosting", "missing bool value for feature-gate key:SelfHosting"),
            (
                10,
                "SelfHosting=yes",
                "invalid value yes for feature-gate key: SelfHosting, use true|false instead",
            ),
            (
                8,
                "CoreDNS=true",
                "unrecognized feature-gate key: CoreDNS; those of v1.8.0 are: HighAvailability,",
            ),
            (13, "SelfHosting=true", "unrecognized feature-gate key: SelfHosting"),
        ] {
            let e = read(minor, text).expect_err(words);
            assert!(e.contains(words), "{e}");
        }
    }
}
