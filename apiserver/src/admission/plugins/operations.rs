//! Which operations each plugin is for (upstream's `admission.NewHandler`), as its times are counted. From memory but
//! for those that the facts of C.2 tell.

use super::Plugin;
use crate::admission::Operation;

const CREATE: &[Operation] = &[Operation::Create];
const UPDATE: &[Operation] = &[Operation::Update];
const WRITE: &[Operation] = &[Operation::Create, Operation::Update];
const CHANGE: &[Operation] = &[Operation::Create, Operation::Update, Operation::Delete];
const ANY: &[Operation] = &[Operation::Connect, Operation::Create, Operation::Delete, Operation::Update];

/// In the order of [`Plugin`].
const EACH: &[(Plugin, &[Operation])] = &[
    (Plugin::NamespaceAutoProvision, WRITE),
    (Plugin::NamespaceLifecycle, CHANGE),
    (Plugin::NamespaceExists, CHANGE),
    (Plugin::SecurityContextDeny, WRITE),
    (Plugin::LimitPodHardAntiAffinityTopology, WRITE),
    (Plugin::LimitRanger, WRITE),
    (Plugin::ServiceAccount, CREATE),
    (Plugin::NodeRestriction, CHANGE),
    (Plugin::TaintNodesByCondition, CREATE),
    (Plugin::AlwaysPullImages, WRITE),
    (Plugin::PodSecurity, WRITE),
    (Plugin::PodNodeSelector, CREATE),
    (Plugin::Priority, CHANGE),
    (Plugin::DefaultTolerationSeconds, WRITE),
    (Plugin::PodTolerationRestriction, WRITE),
    (Plugin::EventRateLimit, WRITE),
    (Plugin::ExtendedResourceToleration, WRITE),
    (Plugin::DefaultStorageClass, CREATE),
    (Plugin::StorageObjectInUseProtection, CREATE),
    (Plugin::OwnerReferencesPermissionEnforcement, WRITE),
    (Plugin::PersistentVolumeClaimResize, UPDATE),
    (Plugin::RuntimeClass, CREATE),
    (Plugin::CertificateApproval, UPDATE),
    (Plugin::CertificateSigning, UPDATE),
    (Plugin::ClusterTrustBundleAttest, WRITE),
    (Plugin::CertificateSubjectRestriction, CREATE),
    (Plugin::DefaultIngressClass, CREATE),
    (Plugin::DenyServiceExternalIPs, WRITE),
    (Plugin::PodTopologyLabels, CREATE),
    (Plugin::PodResizeValidator, UPDATE),
    (Plugin::MutatingAdmissionWebhook, ANY),
    (Plugin::ValidatingAdmissionWebhook, ANY),
    (Plugin::MutatingAdmissionPolicy, ANY),
    (Plugin::ValidatingAdmissionPolicy, ANY),
    (Plugin::ResourceQuota, WRITE),
    (Plugin::AlwaysDeny, ANY),
];

impl Plugin {
    /// All that work here, in the order of their numbers.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        EACH.iter().map(|(plugin, _)| *plugin)
    }

    /// Whether the plugin is for such writes.
    pub(crate) fn handles(self, operation: Operation) -> bool {
        EACH.get(self as usize).is_some_and(|(_, operations)| operations.contains(&operation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_stands_at_its_number() {
        for (number, plugin) in Plugin::all().enumerate() {
            assert_eq!(plugin as usize, number, "{plugin:?}");
        }
        let mut named: Vec<String> = Plugin::all().map(|plugin| format!("{plugin:?}")).collect();
        let mut known: Vec<String> = super::super::implemented().into_iter().map(str::to_owned).collect();
        named.sort();
        known.sort();
        assert_eq!(named, known, "and is called as upstream calls it");
    }
}
