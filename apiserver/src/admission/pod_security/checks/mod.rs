//! The checks of the Pod Security Standards: which there are, since which version each judges as it does,
//! and what they find together.
//!
//! Restricted is baseline without the checks that a stricter one replaces, and those on top. The order is
//! that of upstream's messages: baseline first, each level by name.

mod baseline;
mod restricted;
mod subject;

use serde_json::Value;

use super::policy::{Level, LevelVersion, Version};
use subject::Subject;

/// Why a pod does not pass: `hostPort (container "c" uses hostPort 80)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// In as few words as possible.
    reason: String,
    /// Who is at fault, possibly empty.
    detail: String,
}

impl Finding {
    fn new(reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason: reason.into(), detail: detail.into() }
    }
}

type Check = fn(&Subject<'_>) -> Option<Finding>;

struct Row {
    name: &'static str,
    level: Level,
    /// From which minor on which function judges, oldest first.
    since: &'static [(u64, Check)],
    /// The baseline check that it replaces.
    replaces: &'static str,
}

const fn baseline(name: &'static str, since: &'static [(u64, Check)]) -> Row {
    Row { name, level: Level::Baseline, since, replaces: "" }
}

const fn restricted(name: &'static str, since: &'static [(u64, Check)], replaces: &'static str) -> Row {
    Row { name, level: Level::Restricted, since, replaces }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    baseline("appArmorProfile", &[(0, baseline::app_armor)]),
    baseline("capabilities_baseline", &[(0, baseline::capabilities)]),
    baseline("hostNamespaces", &[(0, baseline::host_namespaces)]),
    baseline("hostPathVolumes", &[(0, baseline::host_path_volumes)]),
    baseline("hostPorts", &[(0, baseline::host_ports)]),
    baseline("hostProbesAndHostLifecycle", &[(34, baseline::hosts_of_probes)]),
    baseline("privileged", &[(0, baseline::privileged)]),
    baseline("procMount", &[(0, baseline::proc_mount), (35, baseline::proc_mount_unless_user_namespace)]),
    baseline("seLinuxOptions", &[(0, baseline::selinux_1_0), (31, baseline::selinux_1_31)]),
    baseline("seccompProfile_baseline", &[(0, baseline::seccomp_annotations), (19, baseline::seccomp)]),
    baseline("sysctls", &[(0, baseline::sysctls_1_0), (27, baseline::sysctls_1_27), (29, baseline::sysctls_1_29),
        (32, baseline::sysctls_1_32)]),
    baseline("windowsHostProcess", &[(0, baseline::windows_host_process)]),
    restricted("allowPrivilegeEscalation", &[(8, restricted::escalation), (25, restricted::escalation_1_25)], ""),
    restricted("capabilities_restricted", &[(22, restricted::capabilities), (25, restricted::capabilities_1_25)],
        "capabilities_baseline"),
    restricted("procMount_restricted", &[(35, baseline::proc_mount)], "procMount"),
    restricted("restrictedVolumes", &[(0, restricted::volumes)], "hostPathVolumes"),
    restricted("runAsNonRoot", &[(0, restricted::non_root), (35, restricted::non_root_1_35)], ""),
    restricted("runAsUser", &[(23, restricted::user), (35, restricted::user_1_35)], ""),
    restricted("seccompProfile_restricted", &[(19, restricted::seccomp), (25, restricted::seccomp_1_25)],
        "seccompProfile_baseline"),
];

impl Row {
    fn at(&self, minor: u64) -> Option<Check> {
        self.since.iter().rev().find(|(since, _)| *since <= minor).map(|(_, check)| *check)
    }
}

/// All that a pod, or a template of pods, does against `policy`. `release` is the server's own minor: what
/// newer releases check is not known to it, and a few checks changed without a version.
pub(super) fn evaluate(policy: LevelVersion, metadata: &Value, spec: &Value, release: u64) -> Vec<Finding> {
    if policy.level == Level::Privileged {
        return Vec::new();
    }
    let minor = match policy.version {
        Version::Latest => release,
        Version::Minor(minor) => minor.min(release),
    };
    let rows = || ROWS.iter().filter(|row| row.level <= policy.level);
    let replaced: Vec<&str> = rows().filter(|row| row.at(minor).is_some()).map(|row| row.replaces).collect();
    let subject = Subject { metadata, spec, release };
    rows()
        .filter(|row| !replaced.contains(&row.name))
        .filter_map(|row| row.at(minor).and_then(|check| check(&subject)))
        .collect()
}

/// `host namespaces (hostPID), privileged (container "c" must not …)`
pub(super) fn in_detail(findings: &[Finding]) -> String {
    let shown = findings.iter().map(|finding| match finding.detail.as_str() {
        "" => finding.reason.clone(),
        detail => format!("{} ({detail})", finding.reason),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// `host namespaces, privileged`
pub(super) fn in_short(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.reason.as_str()).collect::<Vec<_>>().join(", ")
}
