//! Disruption budgets.

use serde_json::{Value, json};

use super::{Strategy, check::Complaints, path::Path};
use crate::object::ObjectExt;

const SPEC: Path<'static> = Path::root("spec");

pub(super) static STRATEGIES: &[Strategy] = &[Strategy {
    validate,
    create: |_, budget, _| {
        let none =
            json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0});
        budget.set_at("/status", none);
    },
    validate_update: |new, _, subresource, complaints| {
        if subresource == "status" {
            let status = Path::root("status");
            for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
                complaints.non_negative(status.child(field), new.i64_at(&format!("/status/{field}")));
            }
        }
    },
    ..Strategy::of("policy", "PodDisruptionBudget")
}];

fn validate(budget: &Value, complaints: &mut Complaints) {
    let (min, max) = (budget.at("/spec/minAvailable"), budget.at("/spec/maxUnavailable"));
    if min.is_some() && max.is_some() {
        let value = budget.at("/spec").cloned().unwrap_or_default();
        complaints.invalid(SPEC, value, "minAvailable and maxUnavailable cannot be both set");
    }
    for (field, value) in [("minAvailable", min), ("maxUnavailable", max)] {
        complaints.count_or_percent(SPEC.child(field), value);
        complaints.at_most_all(SPEC.child(field), value);
    }
    complaints.label_selector(SPEC.child("selector"), budget.at("/spec/selector"));
    let policy = budget.str_at("/spec/unhealthyPodEvictionPolicy");
    let known = ["AlwaysAllow", "IfHealthyBudget"];
    complaints.optional_one_of(SPEC.child("unhealthyPodEvictionPolicy"), policy, &known);
}
