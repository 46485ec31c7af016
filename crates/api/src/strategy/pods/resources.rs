//! Requests and limits of a container.

use serde_json::Value;

use super::super::{check::Complaints, path::Path};
use crate::{names, object::ObjectExt, quantity::Quantity};

/// Requests and limits: known resources, not negative, no request above its limit.
pub(super) fn resources(resources: &Value, at: Path<'_>, complaints: &mut Complaints) {
    for side in ["limits", "requests"] {
        let at = at.child(side);
        for (name, value) in resources.map_at(&format!("/{side}")).into_iter().flatten() {
            known(name, at.key(name), complaints);
            complaints.amount(at.key(name), value);
        }
    }
    let limits = resources.map_at("/limits");
    for (name, request) in resources.map_at("/requests").into_iter().flatten() {
        let (Ok(request), Some(Ok(limit))) =
            (Quantity::from_value(request), limits.and_then(|l| l.get(name)).map(Quantity::from_value))
        else {
            continue;
        };
        let at = at.child("requests");
        if is_native(name) && request > limit {
            complaints.invalid(
                at,
                request.to_string(),
                format!("must be less than or equal to {name} limit of {limit}"),
            );
        } else if !is_native(name) && request != limit {
            complaints.invalid(at, request.to_string(), format!("must be equal to {name} limit of {limit}"));
        }
    }
}

fn known(name: &str, at: Path<'_>, complaints: &mut Complaints) {
    let bad = names::qualified_name(name);
    if !bad.is_empty() {
        return complaints.each(at, name, bad);
    }
    if !name.contains('/') && !is_native(name) {
        complaints.invalid(at, name, "must be a standard resource for containers");
    }
}

/// Resources of Kubernetes itself. Others (and huge pages) cannot be overcommitted.
fn is_native(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage")
        || name.starts_with("hugepages-")
        || name.contains("kubernetes.io/")
}
