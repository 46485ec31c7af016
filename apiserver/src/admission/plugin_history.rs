//! Which plugins a release has, and which of them are on without flags.
//!
//! The table of `plugins` is the newest release's order; plugins of older ones stand where they stood.

use api::profile::Profile;

/// From which minor on, and before which.
type Span = (u16, u16);

const EVER: Span = (0, u16::MAX);
const NEVER: Span = (u16::MAX, u16::MAX);

/// The first release with `--enable-admission-plugins`. Before it a list says which plugins run, and in
/// which order.
pub(super) const CHOSEN_SINCE: u16 = 10;
/// What runs in those releases when there is no list.
const UNASKED_BEFORE: &[&str] = &["AlwaysAdmit"];

const fn since(minor: u16) -> Span {
    (minor, u16::MAX)
}

/// Where a plugin is, and where it is on; those that are not named are everywhere, and on as the newest
/// release has them.
// Read from the releases' own lists (`pkg/kubeapiserver/options/plugins.go`) and changelogs.
// StorageObjectInUseProtection is kubernetes/kubernetes#74610; where InitialResources ended was not looked up.
#[rustfmt::skip]
const HISTORY: &[(&str, Span, Span)] = &[
    ("CertificateApproval", since(18), since(18)),
    ("CertificateSigning", since(18), since(18)),
    ("CertificateSubjectRestriction", since(18), since(18)),
    ("ClusterTrustBundleAttest", since(27), since(27)),
    ("DefaultIngressClass", since(18), since(18)),
    ("DenyEscalatingExec", (0, 21), NEVER),
    ("DenyExecOnPrivileged", (0, 21), NEVER),
    ("DenyServiceExternalIPs", since(21), NEVER),
    ("EventRateLimit", since(8), NEVER),
    ("ExtendedResourceToleration", since(9), NEVER),
    ("GenericAdmissionWebhook", (0, 9), NEVER),
    ("InitialResources", (0, 10), NEVER),
    ("Initializers", (0, 14), NEVER),
    ("JobValidation", since(36), NEVER),
    ("MutatingAdmissionPolicy", since(32), since(32)),
    ("MutatingAdmissionWebhook", since(9), since(9)),
    ("NodeDeclaredFeatureValidator", since(35), NEVER),
    ("PVCProtection", (9, 10), NEVER),
    ("PersistentVolumeClaimResize", EVER, since(11)),
    ("PersistentVolumeLabel", (0, 31), (0, 11)),
    ("PodGroupProtection", since(36), since(36)),
    ("PodGroupWorkloadExists", since(36), NEVER),
    ("PodPreset", (0, 20), NEVER),
    ("PodResizeValidator", since(36), since(36)),
    ("PodSecurity", since(22), since(23)),
    ("PodSecurityPolicy", (0, 25), NEVER),
    ("PodTopologyLabels", since(33), since(33)),
    ("Priority", since(8), since(11)),
    ("RuntimeClass", since(14), since(16)),
    ("SecurityContextDeny", (0, 30), NEVER),
    ("StorageObjectInUseProtection", since(10), since(14)),
    ("TaintNodesByCondition", since(12), since(12)),
    ("ValidatingAdmissionPolicy", since(26), since(26)),
    ("ValidatingAdmissionWebhook", since(9), since(9)),
];

/// Plugins that are complete although nothing of theirs runs here, and why.
const IDLE: &[(&str, &str)] = &[
    ("AlwaysAdmit", "it lets everything pass by design"),
    ("Initializers", "its gate is closed, and the kinds that it reads are not served"),
    ("JobValidation", "its gate GenericWorkload is closed, and the kinds that it reads are not served"),
    ("PersistentVolumeLabel", "there is no cloud whose volumes it could label"),
    (
        "PodGroupProtection",
        "its gate GenericWorkload is closed, and the kinds that it protects are not served",
    ),
    (
        "PodGroupWorkloadExists",
        "its gate GenericWorkload is closed, and the kinds that it reads are not served",
    ),
];

fn holds(span: Span, profile: Profile) -> bool {
    (span.0..span.1).contains(&profile.minor())
}

fn find(name: &str) -> Option<&'static (&'static str, Span, Span)> {
    HISTORY.iter().find(|(known, ..)| *known == name)
}

/// Whether a release has the plugin.
pub(super) fn exists(name: &str, profile: Profile) -> bool {
    find(name).is_none_or(|(_, there, _)| holds(*there, profile))
}

/// Whether it is on there without flags; `newest` says whether it is in the newest release.
pub(super) fn is_on(name: &str, newest: bool, profile: Profile) -> bool {
    if profile.minor() < CHOSEN_SINCE {
        return UNASKED_BEFORE.contains(&name);
    }
    find(name).map_or(newest, |(_, there, on)| holds(*there, profile) && holds(*on, profile))
}

/// Whether a release runs the plugins of `--admission-control` in the order of that list.
pub(super) fn is_ordered_by_flag(profile: Profile) -> bool {
    profile.minor() < CHOSEN_SINCE
}

/// Whether there is nothing that the plugin could do here.
pub(super) fn is_idle(name: &str) -> bool {
    IDLE.iter().any(|(idle, _)| *idle == name)
}
