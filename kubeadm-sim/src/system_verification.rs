//! The preflight check SystemVerification: whether the kernel is new enough and has the cgroups that a kubelet needs
//! (`k8s.io/system-validators`), as far as a host's tree tells.

use api::profile::{Profile, console};

use crate::{
    machine::{Cgroups, Machine},
    preflight::Report,
};

const CHECK: &str = "SystemVerification";
const REQUIRED_V1: &[&str] = &["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"];
/// The kernel has `devices` and `freezer` of version 2 without a controller.
const REQUIRED_V2: &[&str] = &["cpu", "cpuset", "memory", "pids"];
const OPTIONAL: &[&str] = &["hugetlb"];

/// Adds what is wrong to the report.
pub(crate) fn check(profile: Profile, machine: &Machine, report: &mut Report) {
    if let Some(kernel) = &machine.kernel
        && numbers(kernel) < numbers(profile.oldest_kernel())
        && let Some(words) = console::KERNEL_UNSUPPORTED.fill(profile, &[kernel])
    {
        report.error(CHECK, words);
    }
    let (has, required) = match &machine.cgroups {
        None => return,
        Some(Cgroups::V1(has)) => (has, REQUIRED_V1),
        Some(Cgroups::V2(has)) => (has, REQUIRED_V2),
    };
    if matches!(machine.cgroups, Some(Cgroups::V1(_)))
        && let Some(words) = console::CGROUPS_V1.fill(profile, &[])
    {
        if profile.cgroups_v1_refused() { report.error(CHECK, words) } else { report.warn(CHECK, words) }
    }
    let missing = |wanted: &[&str]| -> Option<String> {
        let missing: Vec<&str> =
            wanted.iter().copied().filter(|group| !has.iter().any(|known| known == group)).collect();
        (!missing.is_empty()).then(|| missing.join(" "))
    };
    if let Some(missing) = missing(required) {
        report.error(CHECK, format!("missing required cgroups: {missing}"));
    }
    if let Some(missing) = missing(OPTIONAL) {
        report.warn(CHECK, format!("missing optional cgroups: {missing}"));
    }
}

/// Major and minor number of a release such as `5.15.0-91-generic`.
fn numbers(release: &str) -> (u32, u32) {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(numbers("5.15.0-91-generic"), (5, 15));
        assert_eq!(numbers("6.8"), (6, 8));
        assert!(numbers("4.9.0") < numbers("4.19"), "not by text");
    }
}
