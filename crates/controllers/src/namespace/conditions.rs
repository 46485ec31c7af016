//! The five conditions that tell people why a namespace is still there (`status_condition_utils.go`).

use std::collections::BTreeMap;

use api::object::ObjectExt as _;
use client::Rest;
use serde_json::{Value, json};
use world::{Host, rfc3339};

use super::{NAMESPACES, Pass};

struct Row {
    kind: &'static str,
    /// Reason and message when all is well.
    well: (&'static str, &'static str),
    /// Reason and message when it is not.
    ill: Option<(&'static str, String)>,
}

fn rows(pass: &Pass) -> [Row; 5] {
    let failed = |reason, count: usize, before: &str, what: String| {
        (count > 0).then(|| (reason, format!("{before}, {count} {what}")))
    };
    let mut left: Vec<String> =
        pass.left.iter().map(|l| format!("{} has {} resource instances", l.what, l.count)).collect();
    left.sort();
    let mut finalizers: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, count) in pass.left.iter().flat_map(|l| &l.finalizers) {
        *finalizers.entry(name).or_default() += count;
    }
    let held: Vec<String> =
        finalizers.iter().map(|(name, count)| format!("{name} in {count} resource instances")).collect();
    [
        Row {
            kind: "NamespaceDeletionDiscoveryFailure",
            well: ("ResourcesDiscovered", "All resources successfully discovered"),
            ill: failed(
                "DiscoveryFailed",
                usize::from(!pass.undiscovered.is_empty()),
                "Discovery failed for some groups",
                format!("failing: {}", pass.undiscovered),
            ),
        },
        Row {
            kind: "NamespaceDeletionGroupVersionParsingFailure",
            well: ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
            ill: None,
        },
        Row {
            kind: "NamespaceDeletionContentFailure",
            well: ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
            ill: failed(
                "ContentDeletionFailed",
                pass.failures.len(),
                "Failed to delete all resource types",
                format!("remaining: {}", pass.failures.join(", ")),
            ),
        },
        Row {
            kind: "NamespaceContentRemaining",
            well: ("ContentRemoved", "All content successfully removed"),
            ill: (!left.is_empty()).then(|| {
                ("SomeResourcesRemain", format!("Some resources are remaining: {}", left.join(", ")))
            }),
        },
        Row {
            kind: "NamespaceFinalizersRemaining",
            well: ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
            ill: (!held.is_empty()).then(|| {
                let words = "Some content in the namespace has finalizers remaining";
                ("SomeFinalizersRemain", format!("{words}: {}", held.join(", ")))
            }),
        },
    ]
}

/// Writes the conditions where they changed. Best effort: what matters is that the namespace goes.
pub(super) async fn write(host: &Host, rest: &Rest, namespace: &Value, pass: &Pass) {
    let old = namespace.list_at("/status/conditions");
    let now = rfc3339(host.clock().wall());
    let conditions: Vec<Value> = rows(pass)
        .into_iter()
        .map(|row| {
            let (status, reason, message) = match row.ill {
                Some((reason, message)) => ("True", reason, message),
                None => ("False", row.well.0, row.well.1.to_owned()),
            };
            let same = old.iter().find(|c| c.str_at("/type") == row.kind && c.str_at("/status") == status);
            let since = same.map_or(now.as_str(), |c| c.str_at("/lastTransitionTime"));
            json!({"lastTransitionTime": since, "message": message, "reason": reason, "status": status, "type": row.kind})
        })
        .collect();
    if old == conditions {
        return;
    }
    let mut updated = namespace.clone();
    updated.set_at("/status/conditions", conditions);
    if let Err(e) = rest.update_sub(&NAMESPACES, None, namespace.name(), "status", &updated).await {
        tracing::debug!("conditions of namespace {:?} not written: {e}", namespace.name());
    }
}
