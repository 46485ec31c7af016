//! Daemon sets.

use serde_json::{Value, json};

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

pub(super) const STRATEGY: Strategy = Strategy {
    default,
    create: |_, set, _| {
        let none = json!({"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0});
        set.set_at("/status", none);
    },
    validate,
    validate_update: immutable_selector,
    ..Strategy::of("apps", "DaemonSet")
};

fn default(set: &mut Value) {
    pods::default_template(set, TEMPLATE);
    fill_text(set, "/spec/updateStrategy/type", "RollingUpdate");
    if set.str_at("/spec/updateStrategy/type") == "RollingUpdate" {
        fill(set, "/spec/updateStrategy/rollingUpdate/maxUnavailable", 1);
        fill(set, "/spec/updateStrategy/rollingUpdate/maxSurge", 0);
    }
    fill(set, "/spec/revisionHistoryLimit", 10);
}

fn validate(set: &Value, complaints: &mut Complaints) {
    complaints.workload_selector(set, "daemonset");
    validate_endless_template(set, complaints);
    validate_no_deadline(set, "DaemonSet", complaints);
    validate_counts(set, &["minReadySeconds", "revisionHistoryLimit"], complaints);
    let spec = Path::root("spec");
    let at = spec.child("updateStrategy");
    match set.str_at("/spec/updateStrategy/type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            let at = at.child("rollingUpdate");
            let unavailable = set.at("/spec/updateStrategy/rollingUpdate/maxUnavailable");
            let surge = set.at("/spec/updateStrategy/rollingUpdate/maxSurge");
            complaints.count_or_percent(at.child("maxUnavailable"), unavailable);
            complaints.count_or_percent(at.child("maxSurge"), surge);
            let value = unavailable.cloned().unwrap_or_default();
            match (is_zero(unavailable), is_zero(surge)) {
                (true, true) => {
                    complaints.invalid(at.child("maxUnavailable"), value, "cannot be 0 when maxSurge is 0")
                }
                (false, false) => {
                    let value = surge.cloned().unwrap_or_default();
                    complaints.invalid(
                        at.child("maxSurge"),
                        value,
                        "may not be set when maxUnavailable is non-zero",
                    );
                }
                _ => {}
            }
        }
        other => complaints.not_supported(at.child("type"), other, &["RollingUpdate", "OnDelete"]),
    }
}
