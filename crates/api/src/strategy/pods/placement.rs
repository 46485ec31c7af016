//! Where a pod may run: node affinity, tolerations, spreading.

use serde_json::Value;

use super::super::{check::Complaints, path::Path};
use crate::{names, object::ObjectExt};

pub(super) fn affinity(affinity: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let node = at.child("nodeAffinity");
    if let Some(required) = affinity.at("/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution") {
        let at = node.child("requiredDuringSchedulingIgnoredDuringExecution");
        node_selector(required, at, complaints);
    }
    let preferred = node.child("preferredDuringSchedulingIgnoredDuringExecution");
    let terms = affinity.list_at("/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution");
    for (index, term) in terms.iter().enumerate() {
        let at = preferred.index(index);
        weight(term, at, complaints);
        if let Some(preference) = term.at("/preference") {
            node_term(preference, at.child("preference"), complaints);
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let at = at.child(kind);
        let required = at.child("requiredDuringSchedulingIgnoredDuringExecution");
        for (index, term) in affinity
            .list_at(&format!("/{kind}/requiredDuringSchedulingIgnoredDuringExecution"))
            .iter()
            .enumerate()
        {
            pod_term(term, required.index(index), complaints);
        }
        let preferred = at.child("preferredDuringSchedulingIgnoredDuringExecution");
        for (index, term) in affinity
            .list_at(&format!("/{kind}/preferredDuringSchedulingIgnoredDuringExecution"))
            .iter()
            .enumerate()
        {
            let at = preferred.index(index);
            weight(term, at, complaints);
            if let Some(inner) = term.at("/podAffinityTerm") {
                pod_term(inner, at.child("podAffinityTerm"), complaints);
            }
        }
    }
}

pub(super) fn node_selector(selector: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let at = at.child("nodeSelectorTerms");
    let terms = selector.list_at("/nodeSelectorTerms");
    if terms.is_empty() {
        complaints.required(at, "must have at least one node selector term");
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(term, at.index(index), complaints);
    }
}

fn weight(term: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let weight = term.i64_at("/weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        complaints.invalid(at.child("weight"), weight, "must be in the range 1-100");
    }
}

fn pod_term(term: &Value, at: Path<'_>, complaints: &mut Complaints) {
    complaints.label_selector(at.child("labelSelector"), term.at("/labelSelector"));
    complaints.label_selector(at.child("namespaceSelector"), term.at("/namespaceSelector"));
    let key = term.str_at("/topologyKey");
    if key.is_empty() {
        complaints.required(at.child("topologyKey"), "can not be empty");
    } else {
        complaints.each(at.child("topologyKey"), key, names::qualified_name(key));
    }
}

fn node_term(term: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let expressions = at.child("matchExpressions");
    for (index, expression) in term.list_at("/matchExpressions").iter().enumerate() {
        let at = expressions.index(index);
        let values = expression.list_at("/values");
        match expression.str_at("/operator") {
            "In" | "NotIn" if values.is_empty() => {
                complaints
                    .required(at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                complaints.forbidden(at.child("values"), detail);
            }
            "Gt" | "Lt" if values.len() != 1 => {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                complaints.required(at.child("values"), detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => complaints.invalid(at.child("operator"), other, "not a valid selector operator"),
        }
        let key = expression.str_at("/key");
        complaints.each(at.child("key"), key, names::qualified_name(key));
    }
}

pub(super) fn tolerations(list: &[Value], at: Path<'_>, complaints: &mut Complaints) {
    for (index, toleration) in list.iter().enumerate() {
        let at = at.index(index);
        let (key, operator, effect) =
            (toleration.str_at("/key"), toleration.str_at("/operator"), toleration.str_at("/effect"));
        complaints.optional_name(at.child("key"), key, names::qualified_name);
        if key.is_empty() && operator != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            complaints.invalid(at.child("operator"), operator, detail);
        }
        if toleration.i64_at("/tolerationSeconds").is_some() && effect != "NoExecute" {
            complaints.invalid(
                at.child("effect"),
                effect,
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            );
        }
        let value = toleration.str_at("/value");
        match operator {
            "Equal" | "" => complaints.each(at.child("value"), value, names::label_value(value)),
            "Exists" if !value.is_empty() => {
                complaints.invalid(
                    at.child("operator"),
                    value,
                    "value must be empty when `operator` is 'Exists'",
                );
            }
            "Exists" => {}
            other => complaints.not_supported(at.child("operator"), other, &["Equal", "Exists"]),
        }
        complaints.optional_one_of(
            at.child("effect"),
            effect,
            &["NoSchedule", "PreferNoSchedule", "NoExecute"],
        );
    }
}

pub(super) fn spread(list: &[Value], at: Path<'_>, complaints: &mut Complaints) {
    for (index, constraint) in list.iter().enumerate() {
        let at = at.index(index);
        let skew = constraint.i64_at("/maxSkew").unwrap_or(0);
        if skew <= 0 {
            complaints.invalid(at.child("maxSkew"), skew, "must be greater than zero");
        }
        if constraint.str_at("/topologyKey").is_empty() {
            complaints.required(at.child("topologyKey"), "can not be empty");
        }
        let action = constraint.str_at("/whenUnsatisfiable");
        if !matches!(action, "DoNotSchedule" | "ScheduleAnyway") {
            complaints.not_supported(
                at.child("whenUnsatisfiable"),
                action,
                &["DoNotSchedule", "ScheduleAnyway"],
            );
        }
        complaints.label_selector(at.child("labelSelector"), constraint.at("/labelSelector"));
    }
}
