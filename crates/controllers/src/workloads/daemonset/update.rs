//! Which daemon pods a rolling update replaces next, free of requests (`pkg/controller/daemon/update.go`).

use api::object::ObjectExt as _;
use serde_json::Value;

use crate::workloads::rollout::scaled;

/// How a set's pods may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub surge: i64,
    pub unavailable: i64,
}

/// `None` if pods are replaced only when somebody deletes them.
pub(super) fn limits(set: &Value, desired: i64) -> Option<Limits> {
    if set.str_at("/spec/updateStrategy/type") == "OnDelete" {
        return None;
    }
    let setting = |key: &str| set.pointer(&format!("/spec/updateStrategy/rollingUpdate/{key}"));
    let one = Value::from(1);
    let surge = scaled(setting("maxSurge"), desired, true);
    let unavailable = scaled(setting("maxUnavailable").or(Some(&one)), desired, true);
    // Both zero would never move.
    Some(Limits { surge, unavailable: if surge == 0 && unavailable == 0 { 1 } else { unavailable } })
}

/// The pods of one node that are not on their way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OnNode {
    pub node: String,
    /// Name of the pod of the present template, and whether it is available.
    pub new: Option<(String, bool)>,
    /// The same of an older template.
    pub old: Option<(String, bool)>,
    /// More than one of a kind: the other loop cleans up first.
    pub muddled: bool,
}

/// What is to be done next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Names of pods.
    pub delete: Vec<String>,
    /// Nodes that get a second pod.
    pub create: Vec<String>,
}

pub(super) fn step(limits: Limits, nodes: &[OnNode]) -> Step {
    if limits.surge == 0 { replace(limits.unavailable, nodes) } else { surge(limits.surge, nodes) }
}

fn replace(max_unavailable: i64, nodes: &[OnNode]) -> Step {
    let (mut unavailable, mut broken, mut candidates) = (0, Vec::new(), Vec::new());
    for on in nodes {
        match (&on.new, &on.old) {
            _ if on.muddled => unavailable += 1,
            (None, None) | (Some(_), Some(_)) => unavailable += 1,
            (Some((_, available)), None) => unavailable += i64::from(!available),
            // An old pod that does not work costs nothing.
            (None, Some((name, false))) => {
                unavailable += 1;
                broken.push(name.clone());
            }
            (None, Some((name, true))) => candidates.push(name.clone()),
        }
    }
    let room = usize::try_from(max_unavailable - unavailable).unwrap_or(0);
    broken.extend(candidates.into_iter().take(room));
    Step { delete: broken, create: Vec::new() }
}

fn surge(max_surge: i64, nodes: &[OnNode]) -> Step {
    let (mut surging, mut step, mut candidates) = (0, Step::default(), Vec::new());
    for on in nodes.iter().filter(|on| !on.muddled) {
        match (&on.new, &on.old) {
            (_, None) => {}
            (None, Some((_, false))) => step.create.push(on.node.clone()),
            (None, Some((_, true))) => candidates.push(on.node.clone()),
            (Some((_, false)), Some((_, true))) => surging += 1,
            (Some(_), Some((name, _))) => step.delete.push(name.clone()),
        }
    }
    let room = usize::try_from(max_surge - surging).unwrap_or(0);
    step.create.extend(candidates.into_iter().take(room));
    step
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn on(node: &str, new: Option<bool>, old: Option<bool>) -> OnNode {
        let pod = |kind: &str, available: Option<bool>| available.map(|a| (format!("{kind}-{node}"), a));
        OnNode { node: node.into(), new: pod("new", new), old: pod("old", old), muddled: false }
    }

    fn check(limits: (i64, i64), nodes: &[OnNode], delete: &[&str], create: &[&str]) {
        let limits = Limits { surge: limits.0, unavailable: limits.1 };
        let step = step(limits, nodes);
        assert_eq!(
            (step.delete.as_slice(), step.create.as_slice()),
            (
                &delete.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..],
                &create.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..]
            ),
            "{limits:?} {nodes:?}"
        );
    }

    #[test]
    fn one_node_after_the_other() {
        let all_old = [on("a", None, Some(true)), on("b", None, Some(true)), on("c", None, Some(true))];
        check((0, 1), &all_old, &["old-a"], &[]);
        check((0, 2), &all_old, &["old-a", "old-b"], &[]);
        check((0, 1), &[on("a", None, None), on("b", None, Some(true))], &[], &[]);
        check((0, 1), &[on("a", Some(false), None), on("b", None, Some(true))], &[], &[]);
        check((0, 1), &[on("a", Some(true), None), on("b", None, Some(true))], &["old-b"], &[]);
        check((0, 1), &[on("a", Some(false), None), on("b", None, Some(false))], &["old-b"], &[]);
        check((1, 0), &all_old, &[], &["a"]);
        check((1, 0), &[on("a", Some(false), Some(true)), on("b", None, Some(true))], &[], &[]);
        check((1, 0), &[on("a", Some(true), Some(true)), on("b", None, Some(true))], &["old-a"], &["b"]);
    }

    #[test]
    fn limits_round_up_and_are_never_both_zero() {
        let check = |strategy: Value, desired: i64, expect: Option<Limits>| {
            let set = json!({"spec": {"updateStrategy": strategy}});
            assert_eq!(limits(&set, desired), expect, "{set}");
        };
        let of = |surge, unavailable| Some(Limits { surge, unavailable });
        check(json!({}), 5, of(0, 1));
        check(json!({"type": "OnDelete"}), 5, None);
        check(json!({"rollingUpdate": {"maxUnavailable": "30%"}}), 5, of(0, 2));
        check(json!({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "10%"}}), 5, of(1, 0));
        check(json!({"rollingUpdate": {"maxUnavailable": "0%", "maxSurge": 0}}), 5, of(0, 1));
    }
}
