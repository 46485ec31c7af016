//! Which version a cluster may be upgraded to (`cmd/kubeadm/app/phases/upgrade/policy.go`).

use std::collections::BTreeSet;

use super::version::Version;
use crate::session::{Failure, Result, Session};

/// How far kubeadm upgrades or downgrades in one go.
const MINORS_AT_A_TIME: u16 = 1;

/// What the decision depends on.
pub(super) struct Skew<'a> {
    pub wanted: &'a Version,
    pub cluster: Version,
    pub kubeadm: Version,
    /// Of all nodes.
    pub kubelets: BTreeSet<Version>,
    pub allow_experimental: bool,
    pub allow_release_candidates: bool,
}

/// What speaks against a version.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Objections {
    pub mandatory: Vec<String>,
    /// `--force` overrules them.
    pub skippable: Vec<String>,
}

impl Skew<'_> {
    pub(super) fn objections(&self) -> Objections {
        let mut found = Objections::default();
        let (wanted, cluster, kubeadm) = (self.wanted, &self.cluster, &self.kubeadm);
        let minor = |v: &Version| v.release.minor();
        if minor(wanted) + 1 < minor(kubeadm) {
            found.mandatory.push(format!(
                "Specified version to upgrade to {:?} is equal to or lower than the minimum supported version {:?}. Please \
                 specify a higher version to upgrade to",
                wanted.to_string(),
                cluster.to_string()
            ));
        }
        if minor(wanted) > minor(cluster) + MINORS_AT_A_TIME {
            found.of_release(wanted).push(format!(
                "Specified version to upgrade to {:?} is too high; kubeadm can upgrade only {MINORS_AT_A_TIME} minor version \
                 at a time",
                wanted.to_string()
            ));
        }
        if minor(wanted) + MINORS_AT_A_TIME < minor(cluster) {
            found.of_release(wanted).push(format!(
                "Specified version to downgrade to {:?} is too low; kubeadm can downgrade only {MINORS_AT_A_TIME} minor \
                 version at a time",
                wanted.to_string()
            ));
        }
        if minor(wanted) > minor(kubeadm) {
            found.of_release(wanted).push(format!(
                "Specified version to upgrade to {:?} is at least one minor release higher than the kubeadm minor release \
                 ({} > {}). Such an upgrade is not supported",
                wanted.to_string(),
                minor(wanted),
                minor(kubeadm)
            ));
        } else if wanted > kubeadm {
            found.skippable.push(format!(
                "Specified version to upgrade to {:?} is higher than the kubeadm version {:?}. Upgrade kubeadm first using \
                 the tool you used to install kubeadm",
                wanted.to_string(),
                kubeadm.to_string()
            ));
        }
        if minor(kubeadm) > minor(wanted) {
            found.skippable.push(format!(
                "Kubeadm version {kubeadm} can only be used to upgrade to Kubernetes version 1.{}",
                minor(kubeadm)
            ));
        }
        let allowed = self.allow_experimental
            || (self.allow_release_candidates && wanted.pre_release.starts_with("rc"));
        if !(wanted.pre_release.is_empty() || allowed) {
            found.skippable.push(format!(
                "Specified version to upgrade to {:?} is an unstable version and such upgrades weren't allowed via setting \
                 the --allow-*-upgrades flags",
                wanted.to_string()
            ));
        }
        found.skippable.extend(self.too_old_kubelets());
        found
    }

    fn too_old_kubelets(&self) -> Option<String> {
        let reach = u32::from(self.wanted.release.minor());
        let skew = u32::from(self.kubeadm.release.kubelet_skew());
        let old: Vec<String> = self
            .kubelets
            .iter()
            .filter(|kubelet| reach > u32::from(kubelet.release.minor()) + skew)
            .map(Version::to_string)
            .collect();
        (!old.is_empty()).then(|| {
            format!(
                "There are kubelets in this cluster that are too old that have these versions [{}]",
                old.join(" ")
            )
        })
    }
}

impl Objections {
    /// A policy that holds for releases, and that experiments may break.
    fn of_release(&mut self, wanted: &Version) -> &mut Vec<String> {
        if wanted.pre_release.is_empty() { &mut self.mandatory } else { &mut self.skippable }
    }
}

/// Says what was chosen, and refuses what may not be.
///
/// # Errors
/// The policy's own sentences.
pub(super) fn enforce(s: &mut Session<'_>, skew: &Skew<'_>, force: bool) -> Result<()> {
    let (who, what, argument) = if s.profile.upgrade_phases() {
        ("upgrade/preflight", "upgrade the", "version argument")
    } else {
        ("upgrade/version", "change the", "--version argument")
    };
    s.say(format!("[{who}] You have chosen to {what} cluster version to {:?}", skew.wanted.to_string()));
    s.say(format!("[upgrade/versions] Cluster version: {}", skew.cluster));
    s.say(format!("[upgrade/versions] kubeadm version: {}", skew.kubeadm));
    let found = skew.objections();
    let listed = |all: &[String]| all.iter().map(|words| format!("\t- {words}\n")).collect::<String>();
    if !found.mandatory.is_empty() {
        return Err(Failure::new(format!(
            "the {argument} is invalid due to these fatal errors:\n\n{}\nPlease fix the misalignments highlighted above and \
             try upgrading again",
            listed(&found.mandatory)
        )));
    }
    if found.skippable.is_empty() {
        return Ok(());
    }
    let words = listed(&found.skippable);
    if !force {
        return Err(Failure::new(format!(
            "the {argument} is invalid due to these errors:\n\n{words}\nCan be bypassed if you pass the --force flag"
        )));
    }
    s.say(format!(
        "[{who}] Found {} potential version compatibility errors but skipping since the --force flag is set: \n\n{}",
        found.skippable.len(),
        words.trim_end_matches('\n')
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).expect(text)
    }

    /// From `cluster` to `wanted` with `kubeadm` and one kubelet: the sentence that must be among the objections, and
    /// whether `--force` overrules it.
    #[track_caller]
    fn check(wanted: &str, cluster: &str, kubeadm: &str, kubelet: &str, words: Option<(&str, bool)>) {
        let wanted = version(wanted);
        let skew = Skew {
            wanted: &wanted,
            cluster: version(cluster),
            kubeadm: version(kubeadm),
            kubelets: BTreeSet::from([version(kubelet)]),
            allow_experimental: false,
            allow_release_candidates: false,
        };
        let found = skew.objections();
        match words {
            None => assert_eq!(found, Objections::default()),
            Some((words, forced)) => {
                let list = if forced { &found.skippable } else { &found.mandatory };
                assert!(list.iter().any(|w| w.contains(words)), "{found:?}");
            }
        }
    }

    #[test]
    fn one_minor_at_a_time_with_its_own_kubeadm() {
        check("1.32.0", "1.31.0", "1.32.0", "1.31.0", None);
        check("1.32.4", "1.32.0", "1.32.4", "1.32.0", None);
        check("1.32.0", "1.32.0", "1.32.0", "1.31.0", None);
        let too_high = "\"v1.33.0\" is too high; kubeadm can upgrade only 1 minor version at a time";
        check("1.33.0", "1.31.0", "1.33.0", "1.31.0", Some((too_high, false)));
        let too_low = "\"v1.31.0\" is too low; kubeadm can downgrade only 1 minor version at a time";
        check("1.31.0", "1.33.0", "1.32.0", "1.31.0", Some((too_low, false)));
        let newer =
            "\"v1.33.0\" is at least one minor release higher than the kubeadm minor release (33 > 32)";
        check("1.33.0", "1.32.0", "1.32.0", "1.32.0", Some((newer, false)));
        let patch = "\"v1.32.4\" is higher than the kubeadm version \"v1.32.0\". Upgrade kubeadm first";
        check("1.32.4", "1.32.0", "1.32.0", "1.32.0", Some((patch, true)));
        let older = "Kubeadm version v1.33.0 can only be used to upgrade to Kubernetes version 1.33";
        check("1.32.0", "1.33.0", "1.33.0", "1.32.0", Some((older, true)));
        let minimum = "\"v1.31.0\" is equal to or lower than the minimum supported version";
        check("1.31.0", "1.31.0", "1.33.0", "1.31.0", Some((minimum, false)));
    }

    #[test]
    fn kubelets_may_stay_behind_as_far_as_the_release_lets_them() {
        check("1.32.0", "1.31.0", "1.32.0", "1.29.0", None);
        let old = "There are kubelets in this cluster that are too old that have these versions [v1.28.0]";
        check("1.32.0", "1.31.0", "1.32.0", "1.28.0", Some((old, true)));
        check("1.27.0", "1.26.0", "1.27.0", "1.26.0", None);
        let old = "too old that have these versions [v1.25.0]";
        check("1.27.0", "1.26.0", "1.27.0", "1.25.0", Some((old, true)));
    }

    #[test]
    fn unstable_versions_must_be_allowed() {
        let words = "\"v1.32.0-rc.1\" is an unstable version and such upgrades weren't allowed";
        check("1.32.0-rc.1", "1.31.0", "1.32.0", "1.31.0", Some((words, true)));
        let wanted = version("1.32.0-rc.1");
        let mut skew = Skew {
            wanted: &wanted,
            cluster: version("1.31.0"),
            kubeadm: version("1.32.0"),
            kubelets: BTreeSet::new(),
            allow_experimental: false,
            allow_release_candidates: true,
        };
        assert_eq!(skew.objections(), Objections::default());
        let alpha = version("1.32.0-alpha.1");
        skew.wanted = &alpha;
        assert_eq!(skew.objections().skippable.len(), 1, "an alpha is no candidate");
        skew.allow_experimental = true;
        assert_eq!(skew.objections(), Objections::default());
    }
}
