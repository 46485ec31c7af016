//! What people are told about a pod that found no node (`pkg/scheduler/framework/types.go`, FitError).

use std::collections::BTreeMap;

use api::{object::ObjectExt as _, profile::Profile};
use serde_json::Value;

/// Longest message of an event or a condition (`noteLengthLimit`).
const LONGEST: usize = 1024;

/// A reason, and of how many nodes.
pub(super) type Reasons = BTreeMap<String, usize>;

/// `0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu.`
pub(super) fn not_available(nodes: usize, reasons: &Reasons) -> String {
    let mut parts: Vec<String> = reasons.iter().map(|(why, n)| format!("{n} {why}")).collect();
    parts.sort();
    sentence(nodes, &parts.join(", "))
}

/// The same, of a pod that suits no node for a reason of its own.
pub(super) fn pod_itself(nodes: usize, why: &str) -> String {
    sentence(nodes, why)
}

fn sentence(nodes: usize, why: &str) -> String {
    if why.is_empty() {
        return format!("0/{nodes} nodes are available:");
    }
    format!("0/{nodes} nodes are available: {why}.")
}

/// The taint that keeps a pod away, as the release names it.
pub(super) fn untolerated(profile: Profile, taint: &Value) -> String {
    let named = format!("{}: {}", taint.str_at("/key"), taint.str_at("/value"));
    profile.untolerated_taint().replace("<taint>", &named)
}

/// No longer than an event may be.
pub(super) fn truncated(message: String) -> String {
    if message.len() <= LONGEST {
        return message;
    }
    let end = (0..=LONGEST - 3).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &message[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons_are_counted_and_sorted() {
        let reasons = Reasons::from([
            ("Insufficient cpu".to_owned(), 2),
            ("node(s) had untolerated taint(s)".to_owned(), 1),
        ]);
        assert_eq!(
            not_available(3, &reasons),
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu."
        );
        assert_eq!(not_available(0, &Reasons::new()), "0/0 nodes are available:");
    }

    #[test]
    fn each_release_names_a_taint_in_its_way() {
        let taint = json!({"key": "gpu", "value": "yes", "effect": "NoSchedule"});
        for (version, words) in [
            ("1.17", "node(s) had taints that the pod didn't tolerate"),
            ("1.23", "node(s) had taint {gpu: yes}, that the pod didn't tolerate"),
            ("1.34", "node(s) had untolerated taint {gpu: yes}"),
            ("1.35", "node(s) had untolerated taint(s)"),
        ] {
            let profile = Profile::parse(version).expect("a version");
            assert_eq!(untolerated(profile, &taint), words, "{version}");
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        assert_eq!(truncated("x".repeat(1024)).len(), 1024);
        let cut = truncated("x".repeat(1025));
        assert!(cut.len() == 1024 && cut.ends_with("..."));
    }
}
