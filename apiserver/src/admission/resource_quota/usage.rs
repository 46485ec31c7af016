//! What a request counts for in a quota: the shared arithmetic, asked about an admission review.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    object::ObjectExt as _,
    quota::usage::{self, compute},
};
use serde_json::Value;

use super::super::{
    Operation, Review,
    amounts::{self, Amounts, Side},
};

/// Of these every container must name an amount once a quota counts them.
const DEMANDED: [&str; 6] =
    ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// Whether the operation can change what the kind counts for.
pub(super) fn is_counted(review: &Review<'_>) -> bool {
    let is_update = review.operation == Operation::Update;
    match (review.group, review.resource, review.subresource) {
        ("", "pods", "resize") => is_update,
        ("", "services" | "persistentvolumeclaims", "") => true,
        (.., "") => !is_update,
        _ => false,
    }
}

/// Whether the quota's resource `name` counts objects of this kind.
pub(super) fn counts(review: &Review<'_>, name: &str) -> bool {
    usage::counts(review.group, review.resource, name)
}

/// What `object` counts for.
pub(super) fn of(review: &Review<'_>, object: &Value) -> Amounts {
    usage::of(review.group, review.resource, object)
}

/// Whether all scopes of the quota match the object.
pub(super) fn in_scope(review: &Review<'_>, quota: &Value, object: &Value) -> bool {
    usage::in_scope(review.group, review.resource, quota, object)
}

/// `must specify cpu for: c1; memory for: c1,c2`, when containers leave out what a quota counts.
pub(super) fn unspecified(review: &Review<'_>, counted: &[&String], object: &Value) -> Option<String> {
    if !review.is("", "pods") {
        return None;
    }
    let demanded: Vec<&str> = counted.iter().map(|n| n.as_str()).filter(|n| DEMANDED.contains(n)).collect();
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in object.list_at("/spec/containers").iter().chain(object.list_at("/spec/initContainers")) {
        let named = compute(
            &amounts::of_container(container, Side::Requests),
            &amounts::of_container(container, Side::Limits),
        );
        for resource in demanded.iter().filter(|r| !named.contains_key(**r)) {
            missing.entry(resource).or_default().insert(container.str_at("/name"));
        }
    }
    if missing.is_empty() {
        return None;
    }
    let part = |(resource, names): (&&str, &BTreeSet<&str>)| {
        format!("{resource} for: {}", names.iter().copied().collect::<Vec<_>>().join(","))
    };
    Some(format!("must specify {}", missing.iter().map(part).collect::<Vec<_>>().join("; ")))
}
