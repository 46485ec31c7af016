//! Deployments.

use serde_json::Value;

use super::{
    super::{
        Strategy,
        check::{Complaints, is_zero},
        fill::{fill, fill_text},
        path::Path,
        pods,
    },
    TEMPLATE, immutable_selector, validate_counts, validate_endless_template, validate_no_deadline,
};
use crate::object::ObjectExt;

pub(super) const STRATEGY: Strategy =
    Strategy { default, validate, validate_update: immutable_selector, ..Strategy::of("apps", "Deployment") };

fn default(deployment: &mut Value) {
    pods::default_template(deployment, TEMPLATE);
    fill(deployment, "/spec/replicas", 1);
    fill_text(deployment, "/spec/strategy/type", "RollingUpdate");
    if deployment.str_at("/spec/strategy/type") == "RollingUpdate" {
        fill(deployment, "/spec/strategy/rollingUpdate/maxUnavailable", "25%");
        fill(deployment, "/spec/strategy/rollingUpdate/maxSurge", "25%");
    }
    fill(deployment, "/spec/revisionHistoryLimit", 10);
    fill(deployment, "/spec/progressDeadlineSeconds", 600);
}

fn validate(deployment: &Value, complaints: &mut Complaints) {
    let spec = Path::root("spec");
    validate_counts(deployment, &["replicas"], complaints);
    complaints.workload_selector(deployment, "deployment");
    validate_endless_template(deployment, complaints);
    validate_no_deadline(deployment, "ReplicaSet", complaints);
    strategy(deployment, spec.child("strategy"), complaints);
    validate_counts(deployment, &["minReadySeconds", "revisionHistoryLimit"], complaints);
    if let Some(deadline) = deployment.i64_at("/spec/progressDeadlineSeconds") {
        complaints.non_negative(spec.child("progressDeadlineSeconds"), Some(deadline));
        if deadline <= deployment.i64_at("/spec/minReadySeconds").unwrap_or(0) {
            complaints.invalid(
                spec.child("progressDeadlineSeconds"),
                deadline,
                "must be greater than minReadySeconds",
            );
        }
    }
}

fn strategy(deployment: &Value, at: Path<'_>, complaints: &mut Complaints) {
    match deployment.str_at("/spec/strategy/type") {
        "Recreate" => {
            if deployment.map_at("/spec/strategy/rollingUpdate").is_some() {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                complaints.forbidden(at.child("rollingUpdate"), detail);
            }
        }
        "RollingUpdate" => {
            let at = at.child("rollingUpdate");
            let unavailable = deployment.at("/spec/strategy/rollingUpdate/maxUnavailable");
            let surge = deployment.at("/spec/strategy/rollingUpdate/maxSurge");
            complaints.count_or_percent(at.child("maxUnavailable"), unavailable);
            complaints.count_or_percent(at.child("maxSurge"), surge);
            if is_zero(unavailable) && is_zero(surge) {
                let value = unavailable.cloned().unwrap_or_default();
                complaints.invalid(at.child("maxUnavailable"), value, "may not be 0 when `maxSurge` is 0");
            }
            complaints.at_most_all(at.child("maxUnavailable"), unavailable);
        }
        other => complaints.not_supported(at, other, &["Recreate", "RollingUpdate"]),
    }
}
