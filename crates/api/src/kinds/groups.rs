//! Which groups and versions are served, and the priorities that put them in discovery order.

/// A served group and version. Higher priorities come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupVersion {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Version within the group.
    pub version: &'static str,
    /// `groupPriorityMinimum` of the APIService.
    pub group_priority: i32,
    /// `versionPriority` of the APIService.
    pub version_priority: i32,
    /// Whether an APIService object stands for it. The aggregator's own group has none: nothing
    /// delegates to it.
    pub has_api_service: bool,
}

impl GroupVersion {
    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        super::join_version(self.group, self.version)
    }

    /// The name of its APIService: `v1.apps`, or `v1.` for the core group.
    pub fn api_service_name(&self) -> String {
        format!("{}.{}", self.version, self.group)
    }
}

const fn gv(
    group: &'static str,
    version: &'static str,
    group_priority: i32,
    version_priority: i32,
) -> GroupVersion {
    GroupVersion { group, version, group_priority, version_priority, has_api_service: true }
}

const GROUP_VERSIONS: &[GroupVersion] = &[
    // Above all others by being the aggregator's own.
    GroupVersion { has_api_service: false, ..gv("apiregistration.k8s.io", "v1", 20_000, 15) },
    gv("", "v1", 18_000, 1),
    gv("apps", "v1", 17_800, 15),
    gv("events.k8s.io", "v1", 17_750, 15),
    gv("authentication.k8s.io", "v1", 17_700, 15),
    gv("authorization.k8s.io", "v1", 17_600, 15),
    gv("autoscaling", "v2", 17_500, 30),
    gv("autoscaling", "v1", 17_500, 15),
    gv("batch", "v1", 17_400, 15),
    gv("certificates.k8s.io", "v1", 17_300, 15),
    gv("networking.k8s.io", "v1", 17_200, 15),
    gv("policy", "v1", 17_100, 15),
    gv("rbac.authorization.k8s.io", "v1", 17_000, 15),
    gv("storage.k8s.io", "v1", 16_800, 15),
    gv("admissionregistration.k8s.io", "v1", 16_700, 15),
    gv("apiextensions.k8s.io", "v1", 16_700, 15),
    gv("scheduling.k8s.io", "v1", 16_600, 15),
    gv("coordination.k8s.io", "v1", 16_500, 15),
    gv("node.k8s.io", "v1", 16_300, 15),
    gv("discovery.k8s.io", "v1", 16_200, 15),
    gv("flowcontrol.apiserver.k8s.io", "v1", 16_100, 21),
    // The group's priority is upstream's; the priority of its v1 was not looked up.
    gv("resource.k8s.io", "v1", 15_900, 15),
];

/// All served groups and versions, in the order of discovery.
pub fn group_versions() -> &'static [GroupVersion] {
    GROUP_VERSIONS
}

/// One served group and version.
pub fn group_version(group: &str, version: &str) -> Option<&'static GroupVersion> {
    GROUP_VERSIONS.iter().find(|gv| gv.group == group && gv.version == version)
}
