//! Admission policies in expressions, and what binds them.

use serde_json::{Value, json};

use super::{
    Strategy,
    check::Complaints,
    fill::{each, fill, fill_text},
    path::Path,
};
use crate::{names, object::ObjectExt};

const SPEC: Path<'static> = Path::root("spec");
const GROUP: &str = "admissionregistration.k8s.io";
const AUDIT_MAX: usize = 20;
const CONDITIONS_MAX: usize = 64;
const EMPTY: &str = "validations or auditAnnotations must be non-empty";
const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];
const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const ACTIONS: &[&str] = &["Audit", "Deny", "Warn"];

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy {
        default: default_policy,
        validate: |policy, complaints| {
            common(policy, complaints);
            validations(policy, complaints);
        },
        ..Strategy::of(GROUP, "ValidatingAdmissionPolicy")
    },
    Strategy {
        default: default_policy,
        validate: |policy, complaints| {
            common(policy, complaints);
            mutations(policy, complaints);
        },
        ..Strategy::of(GROUP, "MutatingAdmissionPolicy")
    },
    Strategy {
        default: |binding| default_match(binding, "/spec/matchResources"),
        validate: |binding, complaints| {
            validate_binding(binding, complaints);
            actions(binding, complaints);
        },
        ..Strategy::of(GROUP, "ValidatingAdmissionPolicyBinding")
    },
    Strategy {
        default: |binding| default_match(binding, "/spec/matchResources"),
        validate: validate_binding,
        ..Strategy::of(GROUP, "MutatingAdmissionPolicyBinding")
    },
];

fn default_policy(policy: &mut Value) {
    if policy.map_at("/spec").is_none() {
        return;
    }
    fill_text(policy, "/spec/failurePolicy", "Fail");
    default_match(policy, "/spec/matchConstraints");
}

fn default_match(object: &mut Value, pointer: &str) {
    let Some(resources) = object.at_mut(pointer).filter(|resources| resources.is_object()) else { return };
    fill_text(resources, "/matchPolicy", "Equivalent");
    fill(resources, "/namespaceSelector", json!({}));
    fill(resources, "/objectSelector", json!({}));
    for rules in ["/resourceRules", "/excludeResourceRules"] {
        each(resources, rules).for_each(|rule| fill_text(rule, "/scope", "*"));
    }
}

/// What both kinds of policies have.
fn common(policy: &Value, complaints: &mut Complaints) {
    let failure = policy.str_at("/spec/failurePolicy");
    complaints.one_of(SPEC.child("failurePolicy"), failure, &["Fail", "Ignore"]);
    if let Some(kind) = policy.at("/spec/paramKind").filter(|kind| kind.is_object()) {
        let at = SPEC.child("paramKind");
        if kind.api_version().is_empty() {
            complaints.required(at.child("apiVersion"), "");
        }
        let name = kind.kind();
        let wrong = names::dns1035_label(&name.to_lowercase());
        if name.is_empty() {
            complaints.required(at.child("kind"), "");
        } else if !wrong.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            complaints.invalid(at.child("kind"), name, detail);
        }
    }
    let at = SPEC.child("matchConstraints");
    match policy.at("/spec/matchConstraints").filter(|constraints| constraints.is_object()) {
        None => complaints.required(at, ""),
        Some(constraints) => {
            match_resources(constraints, at, complaints);
            if constraints.list_at("/resourceRules").is_empty() {
                complaints.required(at.child("resourceRules"), "");
            }
        }
    }
    let list = SPEC.child("variables");
    let variables = policy.list_at("/spec/variables");
    for (index, variable) in variables.iter().enumerate() {
        let at = list.index(index);
        match variable.str_at("/name") {
            "" => complaints.required(at.child("name"), "name is not specified"),
            name if !is_identifier(name) => {
                complaints.invalid(at.child("name"), name, "name is not a valid CEL identifier");
            }
            _ => {}
        }
        expression(variable, at, complaints);
    }
    let list = SPEC.child("matchConditions");
    let conditions = policy.list_at("/spec/matchConditions");
    if conditions.len() > CONDITIONS_MAX {
        complaints.too_many(list, conditions.len(), CONDITIONS_MAX);
    }
    for (index, condition) in conditions.iter().enumerate() {
        let at = list.index(index);
        complaints.name(at.child("name"), condition.str_at("/name"), names::qualified_name);
        if condition.str_at("/expression").trim().is_empty() {
            complaints.required(at.child("expression"), "");
        }
    }
    complaints.unique(conditions, "/name", |index| list.index(index).child("name").to_string());
}

fn expression(object: &Value, at: Path<'_>, complaints: &mut Complaints) {
    if object.str_at("/expression").trim().is_empty() {
        complaints.required(at.child("expression"), "expression is not specified");
    }
}

/// A name that an expression can use, reserved words apart.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
        && !names::is_expression_word(name)
}

fn match_resources(resources: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let policy = resources.str_at("/matchPolicy");
    complaints.one_of(at.child("matchPolicy"), policy, &["Equivalent", "Exact"]);
    for field in ["namespaceSelector", "objectSelector"] {
        complaints.label_selector(at.child(field), resources.get(field));
    }
    for field in ["resourceRules", "excludeResourceRules"] {
        let list = at.child(field);
        for (index, rule) in resources.list_at(&format!("/{field}")).iter().enumerate() {
            validate_rule(rule, list.index(index), complaints);
        }
    }
}

fn validate_rule(rule: &Value, at: Path<'_>, complaints: &mut Complaints) {
    for field in ["operations", "apiGroups", "apiVersions", "resources"] {
        let values = rule.list_at(&format!("/{field}"));
        let star = |value: &Value| value.as_str() == Some("*");
        if values.is_empty() {
            complaints.required(at.child(field), "");
        } else if field != "resources" && values.len() > 1 && values.iter().any(star) {
            let detail = "if '*' is present, must not specify other values";
            complaints.invalid(at.child(field), values.to_vec(), detail);
        }
    }
    let operations = at.child("operations");
    for (index, operation) in rule.list_at("/operations").iter().enumerate() {
        let operation = operation.as_str().unwrap_or_default();
        if !OPERATIONS.contains(&operation) {
            complaints.not_supported(operations.index(index), operation, OPERATIONS);
        }
    }
    complaints.optional_one_of(at.child("scope"), rule.str_at("/scope"), &["*", "Cluster", "Namespaced"]);
}

fn validations(policy: &Value, complaints: &mut Complaints) {
    let rules = policy.list_at("/spec/validations");
    let annotations = policy.list_at("/spec/auditAnnotations");
    let (list, audit) = (SPEC.child("validations"), SPEC.child("auditAnnotations"));
    if rules.is_empty() && annotations.is_empty() {
        complaints.required(list, EMPTY);
        return complaints.required(audit, EMPTY);
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = list.index(index);
        expression(rule, at, complaints);
        let (text, message) = (rule.str_at("/expression").trim(), rule.str_at("/message"));
        let breaks = |text: &str| text.contains(['\n', '\r']);
        let own = at.child("message");
        if !message.is_empty() && message.trim().is_empty() {
            complaints.invalid(own, message, "message must be non-empty if specified");
        } else if breaks(message.trim()) {
            complaints.invalid(own, message, "message must not contain line breaks");
        } else if breaks(text) && message.is_empty() {
            complaints.required(own, "message must be specified if expression contains line breaks");
        }
        complaints.optional_one_of(at.child("reason"), rule.str_at("/reason"), REASONS);
    }
    if annotations.len() > AUDIT_MAX {
        let detail = format!("must not have more than {AUDIT_MAX} auditAnnotations");
        complaints.invalid(audit, annotations.to_vec(), detail);
    }
    for (index, annotation) in annotations.iter().enumerate() {
        let at = audit.index(index);
        if annotation.str_at("/key").is_empty() {
            complaints.required(at.child("key"), "");
        }
        if annotation.str_at("/valueExpression").trim().is_empty() {
            complaints.required(at.child("valueExpression"), "valueExpression is not specified");
        }
    }
    complaints.unique(annotations, "/key", |index| audit.index(index).child("key").to_string());
}

fn mutations(policy: &Value, complaints: &mut Complaints) {
    let list = SPEC.child("mutations");
    let changes = policy.list_at("/spec/mutations");
    if changes.is_empty() {
        complaints.required(list, "mutations must contain at least one item");
    }
    for (index, change) in changes.iter().enumerate() {
        let at = list.index(index);
        let field = match change.str_at("/patchType") {
            "ApplyConfiguration" => "applyConfiguration",
            "JSONPatch" => "jsonPatch",
            "" => {
                complaints.required(at.child("patchType"), "");
                continue;
            }
            other => {
                let known = ["ApplyConfiguration", "JSONPatch"];
                complaints.not_supported(at.child("patchType"), other, &known);
                continue;
            }
        };
        match change.get(field).filter(|inner| inner.is_object()) {
            None => complaints.required(at.child(field), ""),
            Some(inner) => expression(inner, at.child(field), complaints),
        }
    }
    let reinvocation = policy.str_at("/spec/reinvocationPolicy");
    complaints.one_of(SPEC.child("reinvocationPolicy"), reinvocation, &["IfNeeded", "Never"]);
}

fn validate_binding(binding: &Value, complaints: &mut Complaints) {
    let policy = binding.str_at("/spec/policyName");
    complaints.name(SPEC.child("policyName"), policy, names::dns1123_subdomain);
    if let Some(reference) = binding.at("/spec/paramRef").filter(|reference| reference.is_object()) {
        let at = SPEC.child("paramRef");
        let (name, selector) = (reference.str_at("/name"), reference.at("/selector"));
        complaints.optional_name(at.child("name"), name, |name| names::path_segment(name, false));
        complaints.label_selector(at.child("selector"), selector);
        if !name.is_empty() && selector.is_some() {
            complaints.forbidden(at.child("selector"), "name and selector are mutually exclusive");
        }
        if name.is_empty() && selector.is_none() {
            complaints.required(at, "one of name or selector must be specified");
        }
        let missing = reference.str_at("/parameterNotFoundAction");
        complaints.one_of(at.child("parameterNotFoundAction"), missing, &["Deny", "Allow"]);
    }
    if let Some(resources) = binding.at("/spec/matchResources").filter(|resources| resources.is_object()) {
        match_resources(resources, SPEC.child("matchResources"), complaints);
    }
}

fn actions(binding: &Value, complaints: &mut Complaints) {
    let at = SPEC.child("validationActions");
    let list = binding.list_at("/spec/validationActions");
    if list.is_empty() {
        complaints.required(at, "");
    }
    let mut seen = Vec::new();
    for (index, action) in list.iter().enumerate() {
        let action = action.as_str().unwrap_or_default();
        if !ACTIONS.contains(&action) {
            complaints.not_supported(at.index(index), action, ACTIONS);
        }
        if seen.contains(&action) {
            complaints.duplicate(at.index(index), action);
        }
        seen.push(action);
    }
    if seen.contains(&"Deny") && seen.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        complaints.invalid(at, list.to_vec(), detail);
    }
}
