//! `pods/resize`: more or less processor time and memory for a pod that runs.

use serde_json::Value;

use super::{
    super::{
        check::Complaints,
        fill::{each, restore_at},
        path::Path,
    },
    MIRROR, NOWHERE, qos_class, same,
};
use crate::object::ObjectExt;

const SPEC: Path<'static> = Path::root("spec");
const LISTS: [(&str, &str); 2] =
    [("containers", "/spec/containers"), ("initContainers", "/spec/initContainers")];
/// What may be more or less.
const MUTABLE: [&str; 4] = [
    "/resources/requests/cpu",
    "/resources/requests/memory",
    "/resources/limits/cpu",
    "/resources/limits/memory",
];

fn names(pod: &Value, list: &str) -> Vec<String> {
    pod.list_at(list).iter().map(|container| container.str_at("/name").to_owned()).collect()
}

/// Takes over from `wanted` what this subresource is about. Containers that are others than before are taken
/// over too, for [`validate`] to see.
pub(super) fn keep(new: &mut Value, wanted: &Value, old: &Value) {
    for (_, list) in LISTS {
        if names(wanted, list) != names(old, list) {
            restore_at(new, wanted, list);
            continue;
        }
        for (container, wanted) in each(new, list).zip(wanted.list_at(list)) {
            restore_at(container, wanted, "/resources");
            restore_at(container, wanted, "/resizePolicy");
        }
    }
}

pub(super) fn validate(new: &Value, old: &Value, complaints: &mut Complaints) {
    if old.annotation(MIRROR).is_some() {
        return complaints.forbidden(NOWHERE, "static pods cannot be resized");
    }
    if old.str_at("/spec/os/name") == "windows" {
        return complaints.forbidden(NOWHERE, "windows pods cannot be resized");
    }
    let before = match old.str_at("/status/qosClass") {
        "" => qos_class(old),
        told => told,
    };
    if qos_class(new) != before {
        let told = new.str_at("/status/qosClass");
        complaints.invalid(SPEC, told, "Pod QOS Class may not change as a result of resizing");
    }
    let running = |status: &&Value| status.map_at("/state/running").is_some();
    let first = old.list_at("/status/containerStatuses").iter().find(running);
    if first.is_some_and(|status| status.at("/resources").is_none()) {
        complaints.forbidden(SPEC, "Pod running on node without support for resize");
    }
    if !ordering(new, old, complaints) {
        return;
    }
    for (field, list) in LISTS {
        let at = SPEC.child(field);
        for (index, (container, before)) in new.list_at(list).iter().zip(old.list_at(list)).enumerate() {
            one(container, before, field, at.index(index), complaints);
        }
    }
}

/// Whether both have the same containers in the same order.
fn ordering(new: &Value, old: &Value, complaints: &mut Complaints) -> bool {
    let mut holds = true;
    for (field, list) in LISTS {
        let (now, before) = (names(new, list), names(old, list));
        let at = SPEC.child(field);
        if now.len() != before.len() {
            holds = false;
            complaints.forbidden(at, format!("{field} may not be added or removed on resize"));
            continue;
        }
        for (index, _) in now.iter().zip(&before).enumerate().filter(|(_, (now, before))| now != before) {
            holds = false;
            let detail = format!("{field} may not be renamed or reordered on resize");
            complaints.forbidden(at.index(index).child("name"), detail);
        }
    }
    holds
}

fn one(new: &Value, old: &Value, field: &str, at: Path<'_>, complaints: &mut Complaints) {
    let resources = at.child("resources");
    for kind in ["requests", "limits"] {
        let list = format!("/resources/{kind}");
        let has =
            |container: &Value, name: &str| container.map_at(&list).is_some_and(|map| map.contains_key(name));
        if old.map_at(&list).into_iter().flatten().any(|(name, _)| !has(new, name)) {
            complaints.forbidden(resources.child(kind), format!("resource {kind} cannot be removed"));
        }
    }
    let mut rest = new.clone();
    for amount in MUTABLE {
        restore_at(&mut rest, old, amount);
    }
    if field == "containers" {
        // Which policy holds is part of the question.
        restore_at(&mut rest, old, "/resizePolicy");
        if !same(Some(&rest), Some(old)) {
            complaints.forbidden(SPEC, "only cpu and memory resources are mutable");
        }
        return;
    }
    if !same(Some(&rest), Some(old)) {
        complaints.forbidden(at, "only cpu and memory resources for init or sidecar containers are mutable");
    }
    let restarts = new
        .list_at("/resizePolicy")
        .iter()
        .any(|policy| policy.str_at("/restartPolicy") == "RestartContainer");
    if !same(Some(new), Some(old)) && new.str_at("/restartPolicy") != "Always" && restarts {
        let detail = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
        complaints.forbidden(at, detail);
    }
}
