//! The phases of commands by name: which there are, what they consist of, which ones to run
//! (`cmd/kubeadm/app/cmd/phases/workflow`).

use api::profile::Profile;

use crate::session::{Failure, Result};

/// A command that consists of phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workflow {
    Init,
    Join,
    Reset,
}

impl Workflow {
    /// The release's phases. What kubeadm's init did before it was a phase has its place among them too: the
    /// kubelet was started behind preflight, and the join command ended every run.
    pub(crate) fn phases(self, profile: Profile) -> Vec<&'static str> {
        match self {
            Workflow::Init => {
                let mut phases = profile.init_phases().to_vec();
                if !phases.contains(&"kubelet-start") {
                    phases.insert(1, "kubelet-start");
                }
                if !phases.contains(&"show-join-command") {
                    phases.push("show-join-command");
                }
                phases
            }
            Workflow::Join => profile.join_phases().to_vec(),
            Workflow::Reset => vec!["preflight", "remove-etcd-member", "cleanup-node"],
        }
    }

    /// What a phase consists of; empty for one that is done whole.
    fn parts(self, profile: Profile, phase: &str) -> Vec<&'static str> {
        match (self, phase) {
            (Workflow::Init, "certs") => crate::certs::parts(profile),
            (Workflow::Init, "kubeconfig") => crate::kubeconfigs::parts(profile),
            (Workflow::Init, "etcd") => vec!["local"],
            (Workflow::Init, "control-plane") => vec!["apiserver", "controller-manager", "scheduler"],
            (Workflow::Init, "upload-config") => vec!["kubeadm", "kubelet"],
            (Workflow::Init, "kubelet-finalize") => vec!["enable-client-cert-rotation"],
            (Workflow::Init, "addon") => vec!["coredns", "kube-proxy"],
            (Workflow::Join, "control-plane-prepare") => {
                vec!["download-certs", "certs", "kubeconfig", "control-plane"]
            }
            // etcd moved out into a phase of its own, before the kubelet's bootstrap is waited for.
            (Workflow::Join, "control-plane-join") if profile.join_etcd_before_bootstrap() => {
                vec!["mark-control-plane"]
            }
            (Workflow::Join, "control-plane-join") => vec!["etcd", "mark-control-plane"],
            _ => Vec::new(),
        }
    }
}

/// The phases to run and the parts of each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan(Vec<(&'static str, Parts)>);

/// Parts of a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts(Vec<&'static str>);

impl Parts {
    pub(crate) fn of(parts: &[&'static str]) -> Self {
        Self(parts.to_vec())
    }

    pub(crate) fn has(&self, part: &str) -> bool {
        self.0.contains(&part)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}

impl Plan {
    /// Every phase of a release but those in `skip`, each `phase` or `phase/part`.
    ///
    /// # Errors
    /// One of them is no phase of this release.
    pub(crate) fn whole(workflow: Workflow, profile: Profile, skip: &[String]) -> Result<Self> {
        let phases = workflow.phases(profile);
        for skipped in skip {
            let known = match skipped.split_once('/') {
                Some((phase, part)) => {
                    phases.contains(&phase) && workflow.parts(profile, phase).contains(&part)
                }
                None => phases.contains(&skipped.as_str()),
            };
            if !known {
                return Err(Failure::new(format!("invalid phase name: {skipped}")));
            }
        }
        let skips = |name: &str| skip.iter().any(|skipped| skipped == name);
        let left = |phase: &str| {
            let all = workflow.parts(profile, phase).into_iter();
            Parts(all.filter(|part| !skips(&format!("{phase}/{part}"))).collect())
        };
        let phases = phases.into_iter().filter(|phase| !skips(phase));
        Ok(Self(phases.map(|phase| (phase, left(phase))).collect()))
    }

    /// What `kubeadm <command> phase <phase> [part]` names: a phase that consists of parts wants one of them, or `all`.
    ///
    /// # Errors
    /// There is no such phase or part.
    pub(crate) fn single(
        workflow: Workflow,
        profile: Profile,
        phase: &str,
        part: Option<&str>,
    ) -> Result<Self> {
        let phases = workflow.phases(profile);
        let Some(phase) = phases.iter().find(|known| **known == phase) else {
            return Err(Failure::new(format!(
                "invalid subcommand {phase:?}; the phases of {} are {}",
                profile.git_version(),
                phases.join(", ")
            )));
        };
        let all = workflow.parts(profile, phase);
        let wanted: Vec<&'static str> = match part {
            None if all.is_empty() => Vec::new(),
            Some("all") if !all.is_empty() => all,
            _ => all.iter().filter(|known| Some(**known) == part).copied().collect(),
        };
        if wanted.is_empty() && (part.is_some() || !workflow.parts(profile, phase).is_empty()) {
            let known = workflow.parts(profile, phase);
            return Err(Failure::new(match (part, known.is_empty()) {
                (Some(part), true) => format!("invalid subcommand {part:?}: the phase {phase} has no parts"),
                (part, _) => {
                    format!(
                        "invalid subcommand {:?}; name one of all, {}",
                        part.unwrap_or_default(),
                        known.join(", ")
                    )
                }
            }));
        }
        Ok(Self(vec![(phase, Parts(wanted))]))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(&'static str, Parts)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the kubelet is started: behind which phase, and before which.
    fn check(minor: u16, behind: &str, before: &str) {
        let phases = Workflow::Init.phases(Profile::of_minor(minor).expect("known"));
        let at = phases.iter().position(|p| *p == "kubelet-start").expect("the kubelet is started");
        assert_eq!((phases[at - 1], phases[at + 1]), (behind, before), "1.{minor}");
        assert_eq!((phases[0], phases.last()), ("preflight", Some(&"show-join-command")), "1.{minor}");
    }

    #[test]
    fn the_kubelet_is_started_where_the_release_did() {
        for (minor, behind, before) in [
            (8, "preflight", "certs"),
            (10, "preflight", "certs"),
            (11, "preflight", "certs"),
            (18, "preflight", "certs"),
            (19, "kubeconfig", "control-plane"),
            (27, "kubeconfig", "control-plane"),
            (28, "control-plane", "wait-control-plane"),
            (36, "control-plane", "wait-control-plane"),
        ] {
            check(minor, behind, before);
        }
    }

    #[test]
    fn a_phase_is_named_alone_or_by_its_part() {
        let profile = Profile::default();
        for (phase, part, outcome) in [
            ("preflight", None, Ok(vec![])),
            ("certs", Some("etcd-ca"), Ok(vec!["etcd-ca"])),
            ("addon", Some("all"), Ok(vec!["coredns", "kube-proxy"])),
            ("addon", None, Err("invalid subcommand \"\"; name one of all, coredns, kube-proxy")),
            ("addon", Some("dns"), Err("invalid subcommand \"dns\"; name one of all, coredns, kube-proxy")),
            ("preflight", Some("x"), Err("invalid subcommand \"x\": the phase preflight has no parts")),
        ] {
            let plan = Plan::single(Workflow::Init, profile, phase, part).map(|plan| plan.0[0].1.0.clone());
            assert_eq!(plan.map_err(|e| e.0), outcome.map_err(str::to_owned), "{phase} {part:?}");
        }
        let e = Plan::single(Workflow::Init, profile, "cook", None).expect_err("none such");
        assert!(
            e.0.starts_with("invalid subcommand \"cook\"; the phases of v1.36.0 are preflight, certs"),
            "{e}"
        );
    }

    #[test]
    fn etcd_joins_where_the_release_does_it() {
        for (minor, phases) in [
            (30, "preflight control-plane-prepare check-etcd kubelet-start control-plane-join"),
            (
                36,
                "preflight control-plane-prepare check-etcd kubelet-start etcd-join kubelet-wait-bootstrap \
                 control-plane-join wait-control-plane",
            ),
        ] {
            let profile = Profile::of_minor(minor).expect("known");
            assert_eq!(Workflow::Join.phases(profile).join(" "), phases, "1.{minor}");
            let plan = Plan::single(Workflow::Join, profile, "control-plane-join", Some("etcd"));
            assert_eq!(plan.is_ok(), minor == 30);
        }
    }

    #[test]
    fn skipped_phases_are_known_ones() {
        let skip = |names: &[&str]| {
            Plan::whole(
                Workflow::Init,
                Profile::default(),
                &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(),
            )
        };
        let plan = skip(&["addon/kube-proxy", "upload-certs"]).expect("known");
        assert!(plan.iter().all(|(phase, _)| *phase != "upload-certs"));
        let addon = plan.iter().find(|(phase, _)| *phase == "addon").expect("there");
        assert!(addon.1.has("coredns") && !addon.1.has("kube-proxy"));
        for unknown in ["addon/proxy", "addons"] {
            assert_eq!(skip(&[unknown]).expect_err("unknown").0, format!("invalid phase name: {unknown}"));
        }
    }
}
