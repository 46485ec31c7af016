//! The phases of `upgrade apply` and `upgrade node` by name, and which of them to run.

use api::profile::Profile;

use crate::session::{Failure, Result};

/// A phase and its parts; none for one that is done whole.
type Row = (&'static str, &'static [&'static str]);

const ADDONS: &[&str] = &["coredns", "kube-proxy"];

const APPLY: &[Row] = &[
    ("preflight", &[]),
    ("control-plane", &[]),
    ("upload-config", &["kubeadm", "kubelet"]),
    ("kubeconfig", &[]),
    ("kubelet-config", &[]),
    ("bootstrap-token", &[]),
    ("addon", ADDONS),
    ("post-upgrade", &[]),
];

const NODE: &[Row] = &[
    ("preflight", &[]),
    ("control-plane", &[]),
    ("kubeconfig", &[]),
    ("kubelet-config", &[]),
    ("addon", ADDONS),
    ("post-upgrade", &[]),
];

/// Before 1.32.
const OLD_NODE: &[Row] =
    &[("preflight", &[]), ("control-plane", &[]), ("addon", ADDONS), ("kubelet-config", &[])];

fn node_rows(profile: Profile) -> &'static [Row] {
    if profile.upgrade_phases() { NODE } else { OLD_NODE }
}

/// What to run, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan(Vec<(&'static str, Vec<&'static str>)>);

impl Plan {
    /// Everything `apply` does but what is skipped.
    ///
    /// # Errors
    /// No such phase, or a release whose `apply` has none.
    pub(super) fn apply(profile: Profile, skip: &[String]) -> Result<Self> {
        if !skip.is_empty() {
            needs_phases(profile)?;
        }
        whole(APPLY, skip)
    }

    /// One phase of `apply`.
    ///
    /// # Errors
    /// As [`Plan::apply`].
    pub(super) fn of_apply(profile: Profile, phase: &str, part: Option<&str>) -> Result<Self> {
        needs_phases(profile)?;
        single(APPLY, phase, part)
    }

    /// Everything `node` does but what is skipped.
    ///
    /// # Errors
    /// No such phase.
    pub(super) fn node(profile: Profile, skip: &[String]) -> Result<Self> {
        whole(node_rows(profile), skip)
    }

    /// One phase of `node`.
    ///
    /// # Errors
    /// No such phase.
    pub(super) fn of_node(profile: Profile, phase: &str, part: Option<&str>) -> Result<Self> {
        single(node_rows(profile), phase, part)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &[&'static str])> {
        self.0.iter().map(|(phase, parts)| (*phase, parts.as_slice()))
    }
}

fn needs_phases(profile: Profile) -> Result<()> {
    if profile.upgrade_phases() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "'kubeadm upgrade apply' of {} has no phases; use a kubeadm from v1.32.0 on, or run the whole command",
        profile.git_version()
    )))
}

fn whole(rows: &[Row], skip: &[String]) -> Result<Plan> {
    for skipped in skip {
        let known = match skipped.split_once('/') {
            Some((phase, part)) => rows.iter().any(|(name, parts)| *name == phase && parts.contains(&part)),
            None => rows.iter().any(|(name, _)| name == skipped),
        };
        if !known {
            return Err(Failure::new(format!("invalid phase name: {skipped}")));
        }
    }
    let skips = |name: &str| skip.iter().any(|skipped| skipped == name);
    let left = |phase: &str, parts: &[&'static str]| {
        parts.iter().copied().filter(|part| !skips(&format!("{phase}/{part}"))).collect()
    };
    let rows = rows.iter().filter(|(phase, _)| !skips(phase));
    Ok(Plan(rows.map(|(phase, parts)| (*phase, left(phase, parts))).collect()))
}

fn single(rows: &[Row], phase: &str, part: Option<&str>) -> Result<Plan> {
    let Some((name, parts)) = rows.iter().find(|(name, _)| *name == phase) else {
        let known: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
        return Err(Failure::new(format!("invalid subcommand {phase:?}; name one of {}", known.join(", "))));
    };
    let chosen: Vec<&'static str> = match part {
        None | Some("all") => parts.to_vec(),
        Some(part) => parts.iter().copied().filter(|known| *known == part).collect(),
    };
    match part {
        Some(part) if chosen.is_empty() => Err(Failure::new(if parts.is_empty() {
            format!("invalid subcommand {part:?}: the phase {phase} has no parts")
        } else {
            format!("invalid subcommand {part:?}; name one of all, {}", parts.join(", "))
        })),
        _ => Ok(Plan(vec![(name, chosen)])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_skipped_and_named_alone() {
        let newest = Profile::default();
        let names = |plan: Plan| plan.iter().map(|(phase, _)| phase).collect::<Vec<_>>();
        let skip = ["addon/coredns".to_owned(), "kubeconfig".to_owned()];
        let plan = Plan::apply(newest, &skip).expect("known");
        assert_eq!(
            plan.iter().find(|(phase, _)| *phase == "addon").map(|(_, parts)| parts.to_vec()),
            Some(vec!["kube-proxy"])
        );
        assert!(!names(plan).contains(&"kubeconfig"));
        assert_eq!(names(Plan::of_node(newest, "control-plane", None).expect("known")), ["control-plane"]);
        let old = Profile::of_minor(31).expect("known");
        for (outcome, words) in [
            (Plan::node(newest, &["upload-config".to_owned()]), "invalid phase name: upload-config"),
            (
                Plan::of_apply(newest, "cook", None),
                "invalid subcommand \"cook\"; name one of preflight, control-plane,",
            ),
            (Plan::of_apply(newest, "addon", Some("dns")), "name one of all, coredns, kube-proxy"),
            (Plan::of_apply(old, "addon", None), "'kubeadm upgrade apply' of v1.31.0 has no phases"),
            (Plan::apply(old, &skip), "'kubeadm upgrade apply' of v1.31.0 has no phases"),
        ] {
            let e = outcome.expect_err(words);
            assert!(e.0.contains(words), "{e}");
        }
    }
}
