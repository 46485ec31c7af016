//! The names of `--enable-admission-plugins`, `--disable-admission-plugins` and `--admission-control`.

mod operations;

use api::profile::Profile;

use super::plugin_history as history;

use crate::options::Options;

/// A plugin that works here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "upstream's names of the plugins")]
pub enum Plugin {
    NamespaceAutoProvision,
    NamespaceLifecycle,
    NamespaceExists,
    SecurityContextDeny,
    LimitPodHardAntiAffinityTopology,
    LimitRanger,
    ServiceAccount,
    NodeRestriction,
    TaintNodesByCondition,
    AlwaysPullImages,
    PodSecurity,
    PodNodeSelector,
    Priority,
    DefaultTolerationSeconds,
    PodTolerationRestriction,
    EventRateLimit,
    ExtendedResourceToleration,
    DefaultStorageClass,
    StorageObjectInUseProtection,
    OwnerReferencesPermissionEnforcement,
    PersistentVolumeClaimResize,
    RuntimeClass,
    CertificateApproval,
    CertificateSigning,
    ClusterTrustBundleAttest,
    CertificateSubjectRestriction,
    DefaultIngressClass,
    DenyServiceExternalIPs,
    PodTopologyLabels,
    PodResizeValidator,
    MutatingAdmissionWebhook,
    ValidatingAdmissionWebhook,
    MutatingAdmissionPolicy,
    ValidatingAdmissionPolicy,
    ResourceQuota,
    AlwaysDeny,
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
    ("NamespaceAutoProvision", Off, Some(Plugin::NamespaceAutoProvision)),
    ("NamespaceLifecycle", On, Some(Plugin::NamespaceLifecycle)),
    ("NamespaceExists", Off, Some(Plugin::NamespaceExists)),
    ("SecurityContextDeny", Off, Some(Plugin::SecurityContextDeny)),
    ("LimitPodHardAntiAffinityTopology", Off, Some(Plugin::LimitPodHardAntiAffinityTopology)),
    ("InitialResources", Off, None),
    ("PodPreset", Off, None),
    ("LimitRanger", On, Some(Plugin::LimitRanger)),
    ("ServiceAccount", On, Some(Plugin::ServiceAccount)),
    ("NodeRestriction", Off, Some(Plugin::NodeRestriction)),
    ("TaintNodesByCondition", On, Some(Plugin::TaintNodesByCondition)),
    ("AlwaysPullImages", Off, Some(Plugin::AlwaysPullImages)),
    ("ImagePolicyWebhook", Off, None),
    ("PodSecurity", On, Some(Plugin::PodSecurity)),
    ("PodSecurityPolicy", Off, None),
    ("PodNodeSelector", Off, Some(Plugin::PodNodeSelector)),
    ("Priority", On, Some(Plugin::Priority)),
    ("DefaultTolerationSeconds", On, Some(Plugin::DefaultTolerationSeconds)),
    ("PodTolerationRestriction", Off, Some(Plugin::PodTolerationRestriction)),
    ("DenyEscalatingExec", Off, None),
    ("DenyExecOnPrivileged", Off, None),
    ("EventRateLimit", Off, Some(Plugin::EventRateLimit)),
    ("ExtendedResourceToleration", Off, Some(Plugin::ExtendedResourceToleration)),
    ("PersistentVolumeLabel", Off, None),
    ("DefaultStorageClass", On, Some(Plugin::DefaultStorageClass)),
    ("PVCProtection", Off, Some(Plugin::StorageObjectInUseProtection)),
    ("StorageObjectInUseProtection", On, Some(Plugin::StorageObjectInUseProtection)),
    ("PodGroupProtection", On, None),
    ("OwnerReferencesPermissionEnforcement", Off, Some(Plugin::OwnerReferencesPermissionEnforcement)),
    ("PersistentVolumeClaimResize", On, Some(Plugin::PersistentVolumeClaimResize)),
    ("RuntimeClass", On, Some(Plugin::RuntimeClass)),
    ("CertificateApproval", On, Some(Plugin::CertificateApproval)),
    ("CertificateSigning", On, Some(Plugin::CertificateSigning)),
    ("ClusterTrustBundleAttest", On, Some(Plugin::ClusterTrustBundleAttest)),
    ("CertificateSubjectRestriction", On, Some(Plugin::CertificateSubjectRestriction)),
    ("DefaultIngressClass", On, Some(Plugin::DefaultIngressClass)),
    ("DenyServiceExternalIPs", Off, Some(Plugin::DenyServiceExternalIPs)),
    ("PodTopologyLabels", On, Some(Plugin::PodTopologyLabels)),
    ("PodGroupWorkloadExists", Off, None),
    ("NodeDeclaredFeatureValidator", Off, None),
    ("JobValidation", Off, None),
    ("PodResizeValidator", On, Some(Plugin::PodResizeValidator)),
    ("Initializers", Off, None),
    ("GenericAdmissionWebhook", Off, None),
    ("MutatingAdmissionPolicy", On, Some(Plugin::MutatingAdmissionPolicy)),
    ("MutatingAdmissionWebhook", On, Some(Plugin::MutatingAdmissionWebhook)),
    ("ValidatingAdmissionPolicy", On, Some(Plugin::ValidatingAdmissionPolicy)),
    ("ValidatingAdmissionWebhook", On, Some(Plugin::ValidatingAdmissionWebhook)),
    ("ResourceQuota", On, Some(Plugin::ResourceQuota)),
    ("AlwaysDeny", Off, Some(Plugin::AlwaysDeny)),
];

/// What refuses by design: to take its name and let everything pass would be the opposite.
const GUARDS: [&str; 4] =
    ["ImagePolicyWebhook", "PodSecurityPolicy", "DenyEscalatingExec", "DenyExecOnPrivileged"];

/// A plugin name that cannot be followed, or flags that contradict each other.
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
    /// The same in releases that have one flag only.
    #[error("Unknown admission plugin: {0}")]
    UnknownInList(String),
    /// On both flags.
    #[error("[{}] in enable-admission-plugins and disable-admission-plugins overlapped", .0.join(" "))]
    Overlap(Vec<String>),
    /// The old way and the new one.
    #[error(
        "admission-control and enable-admission-plugins/disable-admission-plugins flags are mutually exclusive"
    )]
    TwoWays,
    /// Leaving it out would let everything pass, which is the opposite of what it is for.
    #[error("admission plugin {0:?} is not implemented here, and refuses by design; leave it out")]
    NotImplemented(String),
}

/// What the flags say.
#[derive(Clone, Copy, Debug, Default)]
pub struct PluginFlags<'a> {
    /// `--enable-admission-plugins`.
    pub enable: &'a [String],
    /// `--disable-admission-plugins`.
    pub disable: &'a [String],
    /// `--admission-control`.
    pub list: Option<&'a [String]>,
}

/// Which plugins are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enabled {
    /// In order of execution.
    names: Vec<&'static str>,
    plugins: Vec<Plugin>,
}

impl Enabled {
    /// The newest release's defaults, and what the two flags add and take away. Their order means nothing.
    ///
    /// # Errors
    /// As [`Enabled::of`].
    pub fn from_flags<S: AsRef<str>>(enable: &[S], disable: &[S]) -> Result<Self, PluginError> {
        let texts = |names: &[S]| names.iter().map(|n| n.as_ref().to_owned()).collect::<Vec<_>>();
        let (enable, disable) = (texts(enable), texts(disable));
        Self::of(Profile::NEWEST, PluginFlags { enable: &enable, disable: &disable, list: None })
    }

    /// A release's defaults and what the flags make of them.
    ///
    /// # Errors
    /// A name that the release does not know, one that stands on both flags, both ways to choose at once,
    /// or a name whose absence would turn a refusal into an acceptance.
    pub fn of(profile: Profile, flags: PluginFlags<'_>) -> Result<Self, PluginError> {
        let enable = known(profile, "enable-admission-plugins", flags.enable)?;
        let disable = known(profile, "disable-admission-plugins", flags.disable)?;
        let mut overlap: Vec<String> =
            enable.iter().filter(|n| disable.contains(n)).map(|n| (*n).to_owned()).collect();
        if !overlap.is_empty() {
            overlap.sort();
            overlap.dedup();
            return Err(PluginError::Overlap(overlap));
        }
        let names: Vec<&'static str> = match flags.list {
            Some(_) if !flags.enable.is_empty() || !flags.disable.is_empty() => {
                return Err(PluginError::TwoWays);
            }
            Some(list) => {
                let mut list = known(profile, "admission-control", list)?;
                if !history::is_ordered_by_flag(profile) {
                    list.sort_by_key(|name| ALL.iter().position(|(n, ..)| n == name));
                }
                let mut seen = std::collections::BTreeSet::new();
                list.retain(|name| seen.insert(*name));
                list
            }
            None => {
                // The flags that add and take away are younger than some releases; who uses them there
                // means the list that came with them.
                let chosen = !(flags.enable.is_empty() && flags.disable.is_empty());
                let defaults = if chosen && history::is_ordered_by_flag(profile) {
                    Profile::of_minor(history::CHOSEN_SINCE).unwrap_or(profile)
                } else {
                    profile
                };
                let is_on = |name: &&'static str, on: Unasked| {
                    (history::is_on(name, on == On, defaults) || enable.contains(name))
                        && !disable.contains(name)
                };
                ALL.iter().filter(|(name, on, _)| is_on(name, *on)).map(|(name, ..)| *name).collect()
            }
        };
        if let Some(name) = names.iter().find(|name| GUARDS.contains(name)) {
            return Err(PluginError::NotImplemented((*name).to_owned()));
        }
        let mut plugins = Vec::new();
        for plugin in names.iter().filter_map(|name| row(name)).filter_map(|(_, _, plugin)| *plugin) {
            if !plugins.contains(&plugin) {
                plugins.push(plugin);
            }
        }
        Ok(Self { names, plugins })
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

    /// The plugins that are on and work here, in the order in which they are asked.
    pub fn plugins(&self) -> &[Plugin] {
        &self.plugins
    }

    /// The names of all that are on, in that order.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Names of plugins that are on and would do something that they do not do here.
    pub fn not_implemented(&self) -> Vec<&'static str> {
        let works =
            |name: &str| row(name).is_some_and(|(.., plugin)| plugin.is_some()) || history::is_idle(name);
        self.names.iter().copied().filter(|name| !works(name)).collect()
    }
}

/// The plugins that a release has, by name, and those of them that are on without flags, in order.
pub fn of_release(profile: Profile) -> (Vec<&'static str>, Vec<&'static str>) {
    let there = || ALL.iter().filter(|(name, ..)| history::exists(name, profile));
    let mut all: Vec<&str> = there().map(|(name, ..)| *name).collect();
    all.sort_unstable();
    let on = there().filter(|(name, on, _)| history::is_on(name, *on == On, profile));
    (all, on.map(|(name, ..)| *name).collect())
}

/// The names of all plugins that work here, those of older releases too; one name for each plugin.
#[cfg(test)]
pub(super) fn implemented() -> Vec<&'static str> {
    ALL.iter()
        .filter(|(name, _, plugin)| plugin.is_some() && *name != "PVCProtection")
        .map(|(n, ..)| *n)
        .collect()
}

fn row(name: &str) -> Option<&'static (&'static str, Unasked, Option<Plugin>)> {
    ALL.iter().find(|(known, ..)| *known == name)
}

fn known(profile: Profile, flag: &'static str, names: &[String]) -> Result<Vec<&'static str>, PluginError> {
    let names = names.iter().map(|n| n.trim()).filter(|n| !n.is_empty());
    names
        .map(|name| match row(name).filter(|_| history::exists(name, profile)) {
            Some((known, ..)) => Ok(*known),
            None if history::is_ordered_by_flag(profile) => Err(PluginError::UnknownInList(name.to_owned())),
            None => Err(PluginError::Unknown { flag, name: name.to_owned() }),
        })
        .collect()
}

#[cfg(test)]
mod tests;
