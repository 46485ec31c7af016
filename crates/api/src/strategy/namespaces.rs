//! Namespaces, which have finalizers of their own in their spec.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Strategy, check::Complaints, fill::restore_at, path::Path, restore_all_but, restore_field};
use crate::{kinds::Kind, meta::KUBERNETES, object::ObjectExt};

/// Every namespace carries its name as a label, so that selectors can name it.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(super) static STRATEGIES: &[Strategy] = &[Strategy {
    default: label,
    create,
    update,
    validate,
    validate_update,
    ..Strategy::of("", "Namespace")
}];

fn label(namespace: &mut Value) {
    if !namespace.name().is_empty() {
        let name = namespace.name().to_owned();
        namespace.set_label(NAME_LABEL, &name);
    }
}

fn create(_kind: &Kind, namespace: &mut Value, _now: Timestamp) {
    // Again, because a generated name was not known before.
    label(namespace);
    namespace.set_at("/status", json!({"phase": "Active"}));
    let mut finalizers = namespace.list_at("/spec/finalizers").to_vec();
    if !finalizers.iter().any(|finalizer| finalizer.as_str() == Some(KUBERNETES)) {
        finalizers.push(KUBERNETES.into());
    }
    namespace.set_at("/spec/finalizers", finalizers);
}

fn update(_kind: &Kind, new: &mut Value, old: &Value, subresource: &str, _now: Timestamp) {
    match subresource {
        "status" => restore_all_but(new, old, &["status"]),
        "finalize" => restore_field(new, old, "status"),
        _ => {
            restore_at(new, old, "/spec/finalizers");
            restore_field(new, old, "status");
        }
    }
    label(new);
}

fn validate(namespace: &Value, complaints: &mut Complaints) {
    finalizers(namespace, complaints);
}

fn finalizers(namespace: &Value, complaints: &mut Complaints) {
    let at = Path::root("spec.finalizers");
    for finalizer in namespace.list_at("/spec/finalizers") {
        let name = finalizer.as_str().unwrap_or_default();
        complaints.each(at, name, crate::names::qualified_name(name));
        if name != KUBERNETES && !name.contains('/') {
            complaints.invalid(
                at,
                name,
                "name is neither a standard finalizer name nor is it fully qualified",
            );
        }
    }
}

fn validate_update(new: &Value, _old: &Value, subresource: &str, complaints: &mut Complaints) {
    match subresource {
        "status" => {
            let at = Path::root("status.Phase");
            let phase = new.str_at("/status/phase");
            if new.is_terminating() && phase != "Terminating" {
                complaints.invalid(
                    at,
                    phase,
                    "may only be 'Terminating' if `deletionTimestamp` is not empty",
                );
            } else if !new.is_terminating() && phase != "Active" {
                complaints.invalid(at, phase, "may only be 'Active' if `deletionTimestamp` is empty");
            }
        }
        "finalize" => finalizers(new, complaints),
        _ => {}
    }
}
