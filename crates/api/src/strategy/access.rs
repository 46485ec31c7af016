//! RBAC: roles and bindings.

use serde_json::Value;

use super::{
    Strategy,
    check::Complaints,
    fill::{each, fill, fill_text},
    path::Path,
};
use crate::{names, object::ObjectExt};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy { validate: |role, complaints| rules(role, true, complaints), ..Strategy::of(GROUP, "Role") },
    Strategy {
        validate: |role, complaints| {
            rules(role, false, complaints);
            let at = Path::root("aggregationRule.clusterRoleSelectors");
            let Some(aggregation) = role.map_at("/aggregationRule") else { return };
            let selectors = aggregation.get("clusterRoleSelectors").and_then(Value::as_array);
            if selectors.is_none_or(Vec::is_empty) {
                complaints
                    .required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil");
            }
            for (index, selector) in selectors.into_iter().flatten().enumerate() {
                complaints.label_selector(at.index(index), Some(selector));
            }
        },
        ..Strategy::of(GROUP, "ClusterRole")
    },
    Strategy {
        default: default_binding,
        validate: |binding, complaints| validate_binding(binding, true, complaints),
        validate_update: same_role,
        ..Strategy::of(GROUP, "RoleBinding")
    },
    Strategy {
        default: default_binding,
        validate: |binding, complaints| validate_binding(binding, false, complaints),
        validate_update: same_role,
        ..Strategy::of(GROUP, "ClusterRoleBinding")
    },
];

fn default_binding(binding: &mut Value) {
    fill_text(binding, "/roleRef/apiGroup", GROUP);
    for subject in each(binding, "/subjects") {
        if matches!(subject.str_at("/kind"), "User" | "Group") {
            fill(subject, "/apiGroup", GROUP);
        }
    }
}

fn rules(role: &Value, namespaced: bool, complaints: &mut Complaints) {
    let list = Path::root("rules");
    for (index, rule) in role.list_at("/rules").iter().enumerate() {
        let at = list.index(index);
        let [verbs, urls, groups, resources, resource_names] =
            ["/verbs", "/nonResourceURLs", "/apiGroups", "/resources", "/resourceNames"]
                .map(|field| rule.list_at(field));
        if verbs.is_empty() {
            complaints.required(at.child("verbs"), "verbs must contain at least one value");
        }
        if !urls.is_empty() {
            let at = at.child("nonResourceURLs");
            if namespaced {
                complaints.invalid(at, urls.to_vec(), "namespaced rules cannot apply to non-resource URLs");
            }
            if !groups.is_empty() || !resources.is_empty() || !resource_names.is_empty() {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                complaints.invalid(at, urls.to_vec(), detail);
            }
            continue;
        }
        if groups.is_empty() {
            complaints.required(at.child("apiGroups"), "resource rules must supply at least one api group");
        }
        if resources.is_empty() {
            complaints.required(at.child("resources"), "resource rules must supply at least one resource");
        }
    }
}

fn validate_binding(binding: &Value, namespaced: bool, complaints: &mut Complaints) {
    let at = Path::root("roleRef");
    let group = binding.str_at("/roleRef/apiGroup");
    if group != GROUP {
        complaints.not_supported(at.child("apiGroup"), group, &[GROUP]);
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    let kind = binding.str_at("/roleRef/kind");
    if !kinds.contains(&kind) {
        complaints.not_supported(at.child("kind"), kind, kinds);
    }
    complaints
        .name(at.child("name"), binding.str_at("/roleRef/name"), |name| names::path_segment(name, false));
    let list = Path::root("subjects");
    for (index, subject) in binding.list_at("/subjects").iter().enumerate() {
        validate_subject(subject, namespaced, list.index(index), complaints);
    }
}

fn validate_subject(subject: &Value, namespaced: bool, at: Path<'_>, complaints: &mut Complaints) {
    let (name, group) = (subject.str_at("/name"), subject.str_at("/apiGroup"));
    if name.is_empty() {
        complaints.required(at.child("name"), "");
    }
    match subject.str_at("/kind") {
        "ServiceAccount" => {
            complaints.optional_name(at.child("name"), name, names::dns1123_subdomain);
            if !group.is_empty() {
                complaints.not_supported(at.child("apiGroup"), group, &[""]);
            }
            if !namespaced && subject.str_at("/namespace").is_empty() {
                complaints.required(at.child("namespace"), "");
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                complaints.not_supported(at.child("apiGroup"), group, &[GROUP]);
            }
        }
        other => complaints.not_supported(at.child("kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}

/// A binding is for one role: whoever may change its subjects could otherwise grant any role.
fn same_role(new: &Value, old: &Value, _subresource: &str, complaints: &mut Complaints) {
    let role = |binding: &Value| {
        ["apiGroup", "kind", "name"].map(|field| binding.str_at(&format!("/roleRef/{field}")).to_owned())
    };
    if role(new) != role(old) {
        let value = new.at("/roleRef").cloned().unwrap_or_default();
        complaints.invalid(Path::root("roleRef"), value, "cannot change roleRef");
    }
}
