//! Kinds that make pods from a template: deployments, replica sets, daemon sets, stateful sets, jobs.

mod daemonsets;
mod deployments;
mod jobs;
mod replicas;
mod revisions;
mod schedules;
mod statefulsets;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Strategy, check::Complaints, path::Path, pods};
use crate::{kinds::Kind, object::ObjectExt};

pub(super) static STRATEGIES: &[Strategy] = &[
    deployments::STRATEGY,
    replicas::REPLICA_SET,
    revisions::STRATEGY,
    replicas::REPLICATION_CONTROLLER,
    daemonsets::STRATEGY,
    statefulsets::STRATEGY,
    jobs::JOB,
    jobs::CRON_JOB,
];

const TEMPLATE: &str = "/spec/template";
const TEMPLATE_PATH: Path<'static> = Path::root("spec.template");

/// The template, and that its pods run until they are deleted.
fn validate_endless_template(object: &Value, complaints: &mut Complaints) {
    pods::validate_template(object, TEMPLATE, TEMPLATE_PATH, complaints);
    let spec = TEMPLATE_PATH.child("spec");
    let policy = object.str_at("/spec/template/spec/restartPolicy");
    if !policy.is_empty() && policy != "Always" {
        complaints.not_supported(spec.child("restartPolicy"), policy, &["Always"]);
    }
}

/// A pod that must not end cannot have a deadline.
fn validate_no_deadline(object: &Value, kind: &str, complaints: &mut Complaints) {
    if object.at("/spec/template/spec/activeDeadlineSeconds").is_some() {
        let spec = TEMPLATE_PATH.child("spec");
        complaints.forbidden(
            spec.child("activeDeadlineSeconds"),
            format!("activeDeadlineSeconds in {kind} is not Supported"),
        );
    }
}

fn validate_counts(object: &Value, fields: &[&str], complaints: &mut Complaints) {
    let spec = Path::root("spec");
    for field in fields {
        complaints.non_negative(spec.child(field), object.i64_at(&format!("/spec/{field}")));
    }
}

fn immutable_selector(new: &Value, old: &Value, subresource: &str, complaints: &mut Complaints) {
    if subresource != "status" {
        complaints.immutable(Path::root("spec.selector"), new, old, "/spec/selector");
    }
}

/// The status that replica sets and controllers begin with.
fn no_replicas(_kind: &Kind, object: &mut Value, _now: Timestamp) {
    object.set_at("/status", json!({"replicas": 0}));
}
