//! Pods, and the pod templates that workloads carry.

mod change;
mod containers;
mod defaults;
mod placement;
mod probes;
mod qos;
mod resize;
mod resources;
mod spec;
mod volumes;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use qos::qos_class;

use super::{Strategy, check::Complaints, fill::restore_at, path::Path, restore_all_but, restore_field};
use crate::{kinds::Kind, meta, object::ObjectExt};

/// The annotation of a mirror: the pod itself is a file on its node.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// How upstream writes a path without a name.
const NOWHERE: Path<'static> = Path::root("[]");

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy {
        default: defaults::pod,
        create,
        update,
        validate: |pod, complaints| {
            spec::validate(pod.at("/spec").unwrap_or(&Value::Null), Path::root("spec"), complaints);
        },
        validate_update: change::validate,
        ..Strategy::of("", "Pod")
    },
    Strategy {
        default: |template| default_template(template, "/template"),
        validate: |template, complaints| {
            validate_template(template, "/template", Path::root("template"), complaints)
        },
        ..Strategy::of("", "PodTemplate")
    },
];

/// Defaults of the pod template at a pointer.
pub(super) fn default_template(object: &mut Value, pointer: &str) {
    if let Some(spec) = object.at_mut(pointer).and_then(|template| template.at_mut("/spec")) {
        defaults::spec(spec);
    }
}

/// The rules of the pod template at a pointer.
pub(super) fn validate_template(object: &Value, pointer: &str, at: Path<'_>, complaints: &mut Complaints) {
    let Some(template) = object.at(pointer).filter(|template| template.is_object()) else {
        return complaints.required(at, "");
    };
    let metadata = at.child("metadata");
    complaints.labels(metadata.child("labels"), template.map_at("/metadata/labels"));
    let spec_at = at.child("spec");
    spec::validate(template.at("/spec").unwrap_or(&Value::Null), spec_at, complaints);
    if !template.list_at("/spec/ephemeralContainers").is_empty() {
        complaints.forbidden(
            spec_at.child("ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        );
    }
}

/// A node selector with its terms, as volumes have one too.
pub(super) fn validate_node_selector(selector: &Value, at: Path<'_>, complaints: &mut Complaints) {
    placement::node_selector(selector, at, complaints);
}

/// Tolerations, as runtime classes have them too.
pub(super) fn validate_tolerations(list: &[Value], at: Path<'_>, complaints: &mut Complaints) {
    placement::tolerations(list, at, complaints);
}

fn create(_kind: &Kind, pod: &mut Value, _now: Timestamp) {
    defaults::service_account(pod);
    let mut status = json!({"phase": "Pending", "qosClass": qos_class(pod)});
    if !pod.list_at("/spec/schedulingGates").is_empty() {
        status.set_at(
            "/conditions",
            json!([{"type": "PodScheduled", "status": "False",
                "reason": "SchedulingGated", "message": "Scheduling is blocked due to non-empty scheduling gates"}]),
        );
    }
    pod.set_at("/status", status);
}

fn update(_kind: &Kind, new: &mut Value, old: &Value, subresource: &str, _now: Timestamp) {
    match subresource {
        "status" => {
            restore_all_but(new, old, &["status"]);
            // Old kubelets wrote owners back that they did not understand.
            restore_at(new, old, "/metadata/ownerReferences");
            if new.str_at("/status/qosClass").is_empty() {
                restore_at(new, old, "/status/qosClass");
            }
        }
        // The server itself writes these: a node and the condition that says so, or a reason to go.
        "binding" | "eviction" => {}
        "ephemeralcontainers" => {
            let wanted = new.clone();
            restore_all_but(new, old, &[]);
            restore_at(new, &wanted, "/spec/ephemeralContainers");
        }
        "resize" => {
            let wanted = new.clone();
            restore_all_but(new, old, &[]);
            resize::keep(new, &wanted, old);
        }
        _ => {
            restore_field(new, old, "status");
            defaults::service_account(new);
        }
    }
}

/// Whether two pod specs mean the same.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    meta::semantic_eq(a, b)
}
