//! Limit ranges and resource quotas.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Strategy,
    check::Complaints,
    fill::{canonicalize, each},
    path::Path,
};
use crate::{kinds::Kind, names, object::ObjectExt, quantity::Quantity};

const SPEC: Path<'static> = Path::root("spec");
const SIDES: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy { default: default_range, validate: validate_range, ..Strategy::of("", "LimitRange") },
    Strategy {
        default: |quota| {
            canonicalize(quota, "/spec/hard");
            canonicalize(quota, "/status/hard");
            canonicalize(quota, "/status/used");
        },
        create: |_: &Kind, quota: &mut Value, _: Timestamp| quota.set_at("/status", json!({})),
        validate: |quota, complaints| {
            counts(quota, "/spec/hard", SPEC.child("hard"), complaints);
            validate_scopes(quota, complaints);
            validate_selector(quota, complaints);
        },
        validate_update: |new, old, subresource, complaints| {
            if subresource == "status" {
                let status = Path::root("status");
                counts(new, "/status/hard", status.child("hard"), complaints);
                counts(new, "/status/used", status.child("used"), complaints);
            } else {
                // The order of scopes is no part of their meaning.
                let scopes = |quota: &Value| -> BTreeSet<String> {
                    quota.list_at("/spec/scopes").iter().map(Value::to_string).collect()
                };
                if scopes(new) != scopes(old) {
                    let value = new.list_at("/spec/scopes").to_vec();
                    complaints.invalid(SPEC.child("scopes"), value, "field is immutable");
                }
            }
        },
        ..Strategy::of("", "ResourceQuota")
    },
];

fn default_range(range: &mut Value) {
    for item in each(range, "/spec/limits") {
        for side in SIDES {
            canonicalize(item, &format!("/{side}"));
        }
        if item.str_at("/type") != "Container" {
            continue;
        }
        // A container that may use so much at most uses that much unless it says otherwise, and
        // requests what it may use.
        inherit(item, "/default", "/max");
        inherit(item, "/defaultRequest", "/default");
        inherit(item, "/defaultRequest", "/min");
    }
}

fn inherit(item: &mut Value, to: &str, from: &str) {
    let Some(source) = item.map_at(from).cloned() else { return };
    if source.is_empty() {
        return;
    }
    if item.map_at(to).is_none() {
        item.set_at(to, json!({}));
    }
    if let Some(target) = item.at_mut(to).and_then(Value::as_object_mut) {
        for (name, amount) in source {
            target.entry(name).or_insert(amount);
        }
    }
}

fn validate_range(range: &Value, complaints: &mut Complaints) {
    let list = SPEC.child("limits");
    let mut seen = BTreeSet::new();
    for (index, item) in range.list_at("/spec/limits").iter().enumerate() {
        let at = list.index(index);
        let kind = item.str_at("/type");
        if kind.is_empty() {
            complaints.required(at.child("type"), "");
        } else if !seen.insert(kind) {
            complaints.duplicate(at.child("type"), kind);
        }
        if kind == "Pod" {
            for side in ["default", "defaultRequest"] {
                if item.map_at(&format!("/{side}")).is_some_and(|map| !map.is_empty()) {
                    complaints.forbidden(at.child(side), "may not be specified when `type` is 'Pod'");
                }
            }
        }
        if kind == "PersistentVolumeClaim"
            && item.at("/min/storage").is_none()
            && item.at("/max/storage").is_none()
        {
            complaints.required(
                at,
                "either minimum or maximum storage value is required, but neither was provided",
            );
        }
        let mut resources: BTreeSet<&str> = BTreeSet::new();
        for side in SIDES {
            let at = at.child(side);
            for (name, amount) in item.map_at(&format!("/{side}")).into_iter().flatten() {
                complaints.each(at.key(name), name, names::qualified_name(name));
                complaints.amount(at.key(name), amount);
                resources.insert(name);
            }
        }
        for name in resources {
            order(item, name, at, complaints);
        }
    }
}

/// min ≤ defaultRequest ≤ default ≤ max, as far as they are given.
fn order(item: &Value, name: &str, at: Path<'_>, complaints: &mut Complaints) {
    let amount = |side: &str| {
        let value = item.map_at(&format!("/{side}"))?.get(name)?;
        Quantity::from_value(value).ok()
    };
    let [max, min, default, request, ratio] = SIDES.map(amount);
    let mut above =
        |side: &str, this: Option<Quantity>, what: &str, bound: Option<Quantity>, name_of_bound: &str| {
            if let (Some(this), Some(bound)) = (this, bound)
                && this > bound
            {
                let detail = format!("{what} value {this} is greater than {name_of_bound} value {bound}");
                let side = at.child(side);
                complaints.invalid(side.key(name), this.to_string(), detail);
            }
        };
    above("min", min, "min", max, "max");
    above("defaultRequest", min.filter(|_| request.is_some()), "min", request, "default request");
    above("defaultRequest", request, "default request", max, "max");
    above("defaultRequest", request, "default request", default, "default limit");
    above("default", min.filter(|_| default.is_some()), "min", default, "default");
    above("default", default, "default", max, "max");
    if let Some(ratio) = ratio.filter(|ratio| *ratio < Quantity::millis(1000)) {
        let side = at.child("maxLimitRequestRatio");
        complaints.invalid(side.key(name), ratio.to_string(), format!("ratio {ratio} is less than 1"));
    }
}

fn counts(quota: &Value, pointer: &str, at: Path<'_>, complaints: &mut Complaints) {
    for (name, value) in quota.map_at(pointer).into_iter().flatten() {
        let at = at.key(name);
        complaints.each(at, name, names::qualified_name(name));
        complaints.amount(at, value);
        let broken = Quantity::from_value(value).is_ok_and(|amount| amount.milli() % 1000 != 0);
        if broken && is_count(name) {
            complaints.invalid(at, value.clone(), "must be an integer");
        }
    }
}

/// Whether a quota counts objects.
fn is_count(name: &str) -> bool {
    name.starts_with("count/")
        || matches!(
            name,
            "pods"
                | "services"
                | "replicationcontrollers"
                | "resourcequotas"
                | "secrets"
                | "configmaps"
                | "persistentvolumeclaims"
                | "services.nodeports"
                | "services.loadbalancers"
        )
}

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// Scopes with operators; only those that are about names take values.
fn validate_selector(quota: &Value, complaints: &mut Complaints) {
    let at = Path::root("spec.scopeSelector.matchExpressions");
    for requirement in quota.list_at("/spec/scopeSelector/matchExpressions") {
        let (scope, operator) = (requirement.str_at("/scopeName"), requirement.str_at("/operator"));
        let values = requirement.list_at("/values");
        if !SCOPES.contains(&scope) {
            complaints.invalid(at.child("scopeName"), scope, "unsupported scope");
        }
        let named = matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        if SCOPES.contains(&scope) && !named && operator != "Exists" {
            let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            complaints.invalid(at.child("operator"), operator, detail);
        }
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let detail =
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                complaints.required(at.child("values"), detail);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail =
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                complaints.invalid(at.child("values"), values.to_vec(), detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => complaints.invalid(at.child("operator"), other, "not a valid selector operator"),
        }
    }
}

fn validate_scopes(quota: &Value, complaints: &mut Complaints) {
    let at = SPEC.child("scopes");
    let scopes: Vec<&str> = quota.list_at("/spec/scopes").iter().filter_map(Value::as_str).collect();
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            complaints.invalid(at, quota.list_at("/spec/scopes").to_vec(), "unsupported scope");
        }
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            complaints.invalid(at, quota.list_at("/spec/scopes").to_vec(), "conflicting scopes");
        }
    }
}
