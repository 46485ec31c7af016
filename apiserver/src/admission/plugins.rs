//! The names of `--enable-admission-plugins` and `--disable-admission-plugins`.

use crate::options::Options;

/// A plugin that works here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "upstream's names of the plugins")]
pub enum Plugin {
    NamespaceLifecycle,
    LimitRanger,
    ServiceAccount,
    NodeRestriction,
    TaintNodesByCondition,
    Priority,
    DefaultTolerationSeconds,
    StorageObjectInUseProtection,
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    MutatingAdmissionPolicy,
    ValidatingAdmissionPolicy,
    ResourceQuota,
}

/// Whether a plugin is on without flags.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unasked {
    On,
    Off,
}
use Unasked::{Off, On};

/// Upstream's plugins in their order of execution; `None` for those that do nothing here.
const ALL: &[(&str, Unasked, Option<Plugin>)] = &[
    ("AlwaysAdmit", Off, None),
    ("NamespaceAutoProvision", Off, None),
    ("NamespaceLifecycle", On, Some(Plugin::NamespaceLifecycle)),
    ("NamespaceExists", Off, None),
    ("LimitPodHardAntiAffinityTopology", Off, None),
    ("LimitRanger", On, Some(Plugin::LimitRanger)),
    ("ServiceAccount", On, Some(Plugin::ServiceAccount)),
    ("NodeRestriction", Off, Some(Plugin::NodeRestriction)),
    ("TaintNodesByCondition", On, Some(Plugin::TaintNodesByCondition)),
    ("AlwaysPullImages", Off, None),
    ("ImagePolicyWebhook", Off, None),
    ("PodSecurity", On, None),
    ("PodNodeSelector", Off, None),
    ("Priority", On, Some(Plugin::Priority)),
    ("DefaultTolerationSeconds", On, Some(Plugin::DefaultTolerationSeconds)),
    ("PodTolerationRestriction", Off, None),
    ("EventRateLimit", Off, None),
    ("ExtendedResourceToleration", Off, None),
    ("DefaultStorageClass", On, None),
    ("StorageObjectInUseProtection", On, Some(Plugin::StorageObjectInUseProtection)),
    ("PodGroupProtection", On, None),
    ("OwnerReferencesPermissionEnforcement", Off, None),
    ("PersistentVolumeClaimResize", On, None),
    ("RuntimeClass", On, None),
    ("CertificateApproval", On, Some(Plugin::CertificateApproval)),
    ("CertificateSigning", On, Some(Plugin::CertificateSigning)),
    ("ClusterTrustBundleAttest", On, None),
    ("CertificateSubjectRestriction", On, Some(Plugin::CertificateSubjectRestriction)),
    ("DefaultIngressClass", On, None),
    ("DenyServiceExternalIPs", Off, None),
    ("PodTopologyLabels", On, None),
    ("PodGroupWorkloadExists", Off, None),
    ("NodeDeclaredFeatureValidator", Off, None),
    ("JobValidation", Off, None),
    ("PodResizeValidator", Off, None),
    ("MutatingAdmissionPolicy", On, Some(Plugin::MutatingAdmissionPolicy)),
    ("MutatingAdmissionWebhook", On, None),
    ("ValidatingAdmissionPolicy", On, Some(Plugin::ValidatingAdmissionPolicy)),
    ("ValidatingAdmissionWebhook", On, None),
    ("ResourceQuota", On, Some(Plugin::ResourceQuota)),
    ("AlwaysDeny", Off, None),
];

/// A plugin name that cannot be followed, or two flags that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// Not a name of upstream's.
    #[error("{flag} plugin {name:?} is unknown")]
    Unknown {
        /// The flag, without dashes.
        flag: &'static str,
        /// The name.
        name: String,
    },
    /// On both flags.
    #[error("[{}] in enable-admission-plugins and disable-admission-plugins overlapped", .0.join(" "))]
    Overlap(Vec<String>),
    /// Leaving it out would let everything pass, which is the opposite of what it is for.
    #[error(
        "enable-admission-plugins plugin {0:?} is not implemented here, and refuses by design; leave it out"
    )]
    NotImplemented(String),
}

/// Which plugins are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enabled {
    /// In order of execution.
    names: Vec<&'static str>,
    plugins: Vec<Plugin>,
}

impl Enabled {
    /// Upstream's defaults, and what the two flags add and take away. Their order means nothing.
    ///
    /// # Errors
    /// A name that upstream does not know, one that stands on both flags, or one whose absence would
    /// turn a refusal into an acceptance.
    pub fn from_flags<S: AsRef<str>>(enable: &[S], disable: &[S]) -> Result<Self, PluginError> {
        let known = |flag: &'static str, names: &[S]| -> Result<Vec<String>, PluginError> {
            let names = names.iter().map(|n| n.as_ref().trim()).filter(|n| !n.is_empty());
            names
                .map(|name| match ALL.iter().any(|(known, ..)| *known == name) {
                    true => Ok(name.to_owned()),
                    false => Err(PluginError::Unknown { flag, name: name.to_owned() }),
                })
                .collect()
        };
        let enable = known("enable-admission-plugins", enable)?;
        let disable = known("disable-admission-plugins", disable)?;
        let mut overlap: Vec<String> = enable.iter().filter(|n| disable.contains(n)).cloned().collect();
        if !overlap.is_empty() {
            overlap.sort();
            overlap.dedup();
            return Err(PluginError::Overlap(overlap));
        }
        if let Some(name) = enable.iter().find(|n| *n == "AlwaysDeny") {
            return Err(PluginError::NotImplemented(name.clone()));
        }
        let is_on = |name: &str, default: Unasked| {
            (default == On || enable.iter().any(|n| n == name)) && !disable.iter().any(|n| n == name)
        };
        let on = || ALL.iter().filter(|(name, default, _)| is_on(name, *default));
        Ok(Self {
            names: on().map(|(name, ..)| *name).collect(),
            plugins: on().filter_map(|(_, _, plugin)| *plugin).collect(),
        })
    }

    /// Whether `plugin` is on.
    pub fn has(&self, plugin: Plugin) -> bool {
        self.plugins.contains(&plugin)
    }

    /// Without the plugins whose feature is not on yet in the profile, unless its gate was opened.
    #[must_use]
    pub fn for_profile(mut self, options: &Options) -> Self {
        let profile = options.profile;
        self.plugins.retain(|plugin| match plugin {
            Plugin::ValidatingAdmissionPolicy => {
                options.gate("ValidatingAdmissionPolicy").unwrap_or(profile.validating_policies())
            }
            Plugin::MutatingAdmissionPolicy => {
                options.gate("MutatingAdmissionPolicy").unwrap_or(profile.mutating_policies())
            }
            _ => true,
        });
        self
    }

    /// Names of plugins that are on and do nothing here; `AlwaysAdmit` does nothing by design.
    pub fn not_implemented(&self) -> Vec<&'static str> {
        let implemented = |name: &str| ALL.iter().any(|(n, _, plugin)| *n == name && plugin.is_some());
        self.names.iter().copied().filter(|name| *name != "AlwaysAdmit" && !implemented(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubeadms_flags_turn_node_restriction_on() {
        let defaults = Enabled::from_flags::<&str>(&[], &[]).unwrap();
        assert!(!defaults.has(Plugin::NodeRestriction));
        assert!(defaults.has(Plugin::LimitRanger));
        let kubeadm = Enabled::from_flags(&["NodeRestriction"], &[]).unwrap();
        assert!(kubeadm.has(Plugin::NodeRestriction));
        let without = Enabled::from_flags(&["NodeRestriction"], &["ServiceAccount"]).unwrap();
        assert!(!without.has(Plugin::ServiceAccount));
    }

    #[test]
    fn names_are_checked_in_one_clear_sentence() {
        let check = |enable: &[&str], disable: &[&str], words: &str| {
            assert_eq!(Enabled::from_flags(enable, disable).unwrap_err().to_string(), words);
        };
        check(&["LimitRanget"], &[], r#"enable-admission-plugins plugin "LimitRanget" is unknown"#);
        check(&[], &["X"], r#"disable-admission-plugins plugin "X" is unknown"#);
        check(
            &["Priority"],
            &["Priority"],
            "[Priority] in enable-admission-plugins and disable-admission-plugins overlapped",
        );
        assert!(Enabled::from_flags(&["AlwaysDeny"], &[]).is_err());
    }

    #[test]
    fn what_is_on_and_does_nothing_is_named() {
        let silent = Enabled::from_flags(&["PodNodeSelector", "AlwaysAdmit"], &["PodSecurity"])
            .unwrap()
            .not_implemented();
        assert!(silent.contains(&"PodNodeSelector"));
        assert!(silent.contains(&"DefaultStorageClass"));
        assert!(!silent.contains(&"PodSecurity"));
        assert!(!silent.contains(&"LimitRanger"));
        assert!(!silent.contains(&"AlwaysAdmit"));
    }
}
