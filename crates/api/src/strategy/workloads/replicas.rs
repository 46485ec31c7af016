//! Replica sets, and replication controllers, from which they came.

use serde_json::Value;

use super::{
    super::{Strategy, check::Complaints, fill::fill, path::Path, pods},
    TEMPLATE, immutable_selector, no_replicas, validate_counts, validate_endless_template,
    validate_no_deadline,
};
use crate::{object::ObjectExt, selector::LabelSelector};

pub(super) const REPLICA_SET: Strategy = Strategy {
    default: |set| {
        pods::default_template(set, TEMPLATE);
        fill(set, "/spec/replicas", 1);
    },
    create: no_replicas,
    validate: |set, complaints| {
        validate_counts(set, &["replicas", "minReadySeconds"], complaints);
        // Upstream says so here too.
        complaints.workload_selector(set, "deployment");
        validate_endless_template(set, complaints);
        validate_no_deadline(set, "ReplicaSet", complaints);
    },
    validate_update: immutable_selector,
    ..Strategy::of("apps", "ReplicaSet")
};

pub(super) const REPLICATION_CONTROLLER: Strategy = Strategy {
    default: default_controller,
    create: no_replicas,
    validate: validate_controller,
    ..Strategy::of("", "ReplicationController")
};

fn default_controller(controller: &mut Value) {
    pods::default_template(controller, TEMPLATE);
    if let Some(labels) = controller.at("/spec/template/metadata/labels").cloned() {
        fill(controller, "/spec/selector", labels.clone());
        fill(controller, "/metadata/labels", labels);
    }
    fill(controller, "/spec/replicas", 1);
}

fn validate_controller(controller: &Value, complaints: &mut Complaints) {
    let spec = Path::root("spec");
    validate_counts(controller, &["replicas", "minReadySeconds"], complaints);
    let selector = controller.at("/spec/selector").unwrap_or(&Value::Null);
    let labels = controller.map_at("/spec/template/metadata/labels");
    match LabelSelector::from_map(selector) {
        Ok(selector) if selector.is_nothing() || selector.is_everything() => {
            complaints.required(spec.child("selector"), "");
        }
        Ok(selector) if !selector.matches_labels(labels) => {
            let value = labels.cloned().map_or(Value::Null, Value::Object);
            let at = Path::root("spec.template.metadata.labels");
            complaints.invalid(at, value, "`selector` does not match template `labels`");
        }
        Ok(_) => {}
        Err(error) => complaints.invalid(spec.child("selector"), selector.clone(), error.0),
    }
    validate_endless_template(controller, complaints);
    validate_no_deadline(controller, "ReplicationController", complaints);
}
