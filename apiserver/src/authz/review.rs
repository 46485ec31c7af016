//! The review kinds: questions about access, answered into the `status` of the object that asks.

use api::{
    object::ObjectExt as _,
    selector::{FieldSelector, LabelSelector},
    status::{FieldError, GroupKind, Status},
};
use serde_json::{Map, Value, json};

use super::{Attributes, Authz, Decision, Verdict, rbac::aggregate, rule::Rule};
use crate::identity::User;

const GROUP: &str = "authorization.k8s.io";

/// What somebody may do, as far as it can be listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesReview {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Whether there may be more that cannot be listed.
    pub incomplete: bool,
    /// What could not be resolved.
    pub errors: Vec<String>,
}

impl RulesReview {
    /// The `status` of a SelfSubjectRulesReview.
    fn to_status(&self) -> Value {
        let of = |is_resource: bool| -> Vec<Value> {
            let chosen = self.rules.iter().filter(|rule| {
                if is_resource { !rule.resources.is_empty() } else { !rule.non_resource_urls.is_empty() }
            });
            chosen
                .map(|rule| {
                    let mut rule = rule.clone();
                    if is_resource {
                        rule.non_resource_urls.clear();
                    } else {
                        (rule.api_groups, rule.resources, rule.resource_names) = Default::default();
                    }
                    rule.to_value()
                })
                .collect()
        };
        let mut status = json!({
            "resourceRules": of(true),
            "nonResourceRules": of(false),
            "incomplete": self.incomplete,
        });
        if !self.errors.is_empty() {
            status["evaluationError"] = aggregate(&self.errors).into();
        }
        status
    }
}

/// Answers a SelfSubjectAccessReview of `user`.
///
/// # Errors
/// 422 for a spec that asks nothing or two things.
pub fn self_subject_access(authz: &Authz, user: &User, review: &mut Value) -> Result<(), Status> {
    let errors = validate_question(review);
    refuse("SelfSubjectAccessReview", errors)?;
    answer(authz, user, review);
    Ok(())
}

/// Answers a SubjectAccessReview.
///
/// # Errors
/// 422 for a spec that asks nothing, two things, or about nobody.
pub fn subject_access(authz: &Authz, review: &mut Value) -> Result<(), Status> {
    let mut errors = validate_question(review);
    errors.extend(validate_subject(review));
    refuse("SubjectAccessReview", errors)?;
    let user = subject(review);
    answer(authz, &user, review);
    Ok(())
}

/// Answers a LocalSubjectAccessReview in `namespace`.
///
/// # Errors
/// As [`subject_access`]; 400 for another namespace; 422 for a path.
pub fn local_subject_access(authz: &Authz, namespace: &str, review: &mut Value) -> Result<(), Status> {
    let mut errors = validate_question(review);
    errors.extend(validate_subject(review));
    if review.at("/spec/nonResourceAttributes").is_some_and(|v| !v.is_null()) {
        let value = review["spec"]["nonResourceAttributes"].clone();
        errors.push(FieldError::invalid(
            "spec.nonResourceAttributes",
            value,
            "disallowed on this kind of request",
        ));
    }
    let asked = review.str_at("/spec/resourceAttributes/namespace");
    if asked != review.namespace() && !review.namespace().is_empty() {
        errors.push(FieldError::invalid(
            "spec.resourceAttributes.namespace",
            asked,
            "must match metadata.namespace",
        ));
    }
    refuse("LocalSubjectAccessReview", errors)?;
    if review.str_at("/spec/resourceAttributes/namespace") != namespace {
        let why = format!("spec.resourceAttributes.namespace must match namespace: {namespace}");
        return Err(Status::bad_request(why));
    }
    let user = subject(review);
    answer(authz, &user, review);
    Ok(())
}

/// Answers a SelfSubjectRulesReview of `user`.
///
/// # Errors
/// 400 without a namespace.
pub fn self_subject_rules(authz: &Authz, user: &User, review: &mut Value) -> Result<(), Status> {
    let namespace = review.str_at("/spec/namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let status = authz.rules_for(user, namespace).to_status();
    review.set_at("/status", status);
    Ok(())
}

/// Answers a SelfSubjectReview: who am I?
pub fn self_subject(user: &User, review: &mut Value) {
    review.set_at("/status", json!({ "userInfo": user.to_value() }));
}

fn refuse(kind: &str, errors: Vec<FieldError>) -> Result<(), Status> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid(GroupKind { group: GROUP, kind }, "", errors))
    }
}

fn asks(review: &Value, attributes: &str) -> bool {
    review.at(&format!("/spec/{attributes}")).is_some_and(Value::is_object)
}

fn validate_question(review: &Value) -> Vec<FieldError> {
    match (asks(review, "resourceAttributes"), asks(review, "nonResourceAttributes")) {
        (true, true) => {
            let value = review["spec"]["nonResourceAttributes"].clone();
            let why = "cannot be specified in combination with resourceAttributes";
            vec![FieldError::invalid("spec.nonResourceAttributes", value, why)]
        }
        (false, false) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            vec![FieldError::invalid("spec.resourceAttributes", Value::Null, why)]
        }
        _ => Vec::new(),
    }
}

fn validate_subject(review: &Value) -> Option<FieldError> {
    let nobody = review.str_at("/spec/user").is_empty() && review.list_at("/spec/groups").is_empty();
    nobody.then(|| FieldError::invalid("spec.user", "", "at least one of user or group must be specified"))
}

/// The user that a SubjectAccessReview asks about.
fn subject(review: &Value) -> User {
    let texts = |list: &[Value]| list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let extra = review.map_at("/spec/extra").into_iter().flatten();
    User {
        name: review.str_at("/spec/user").to_owned(),
        uid: review.str_at("/spec/uid").to_owned(),
        groups: texts(review.list_at("/spec/groups")),
        extra: extra
            .map(|(key, values)| {
                (key.clone(), texts(values.as_array().map(Vec::as_slice).unwrap_or_default()))
            })
            .collect(),
    }
}

fn answer(authz: &Authz, user: &User, review: &mut Value) {
    let field_selector =
        selector_text(review.at("/spec/resourceAttributes/fieldSelector"), field_requirement)
            .and_then(|text| FieldSelector::parse(&text).ok());
    let label_selector =
        selector_text(review.at("/spec/resourceAttributes/labelSelector"), label_requirement)
            .and_then(|text| LabelSelector::parse(&text).ok());
    let at = |field: &str| review.str_at(&format!("/spec/resourceAttributes/{field}"));
    let request = if asks(review, "resourceAttributes") {
        Attributes {
            verb: at("verb"),
            group: at("group"),
            // An empty version asks about all of them.
            version: if at("version").is_empty() { "*" } else { at("version") },
            resource: at("resource"),
            subresource: at("subresource"),
            namespace: at("namespace"),
            name: at("name"),
            resource_request: true,
            field_selector: field_selector.as_ref(),
            label_selector: label_selector.as_ref(),
            ..Attributes::of(user)
        }
    } else {
        Attributes {
            verb: review.str_at("/spec/nonResourceAttributes/verb"),
            path: review.str_at("/spec/nonResourceAttributes/path"),
            ..Attributes::of(user)
        }
    };
    let verdict = authz.authorize(&request);
    review.set_at("/status", status_of(&verdict));
}

fn status_of(verdict: &Verdict) -> Value {
    let mut status = Map::new();
    status.insert("allowed".to_owned(), verdict.is_allowed().into());
    if verdict.decision == Decision::Deny {
        status.insert("denied".to_owned(), true.into());
    }
    if !verdict.reason.is_empty() {
        status.insert("reason".to_owned(), verdict.reason.clone().into());
    }
    if !verdict.errors.is_empty() {
        status.insert("evaluationError".to_owned(), aggregate(&verdict.errors).into());
    }
    Value::Object(status)
}

/// A selector of the attributes as text: as it was given, or put together from its requirements.
/// A requirement that has no text form is left out, which asks about more, never about less.
fn selector_text(
    selector: Option<&Value>,
    write: impl Fn(&str, &str, &[&str]) -> Option<String>,
) -> Option<String> {
    let selector = selector?;
    let raw = selector.str_at("/rawSelector");
    if !raw.is_empty() {
        return Some(raw.to_owned());
    }
    let requirements = selector.list_at("/requirements").iter().filter_map(|r| {
        let values: Vec<&str> = r.list_at("/values").iter().filter_map(Value::as_str).collect();
        write(r.str_at("/key"), r.str_at("/operator"), &values)
    });
    let text = requirements.collect::<Vec<_>>().join(",");
    (!text.is_empty()).then_some(text)
}

fn field_requirement(key: &str, operator: &str, values: &[&str]) -> Option<String> {
    match (operator, values) {
        ("In", [value]) => Some(format!("{key}={value}")),
        ("NotIn", [value]) => Some(format!("{key}!={value}")),
        _ => None,
    }
}

fn label_requirement(key: &str, operator: &str, values: &[&str]) -> Option<String> {
    match operator {
        "In" => Some(format!("{key} in ({})", values.join(","))),
        "NotIn" => Some(format!("{key} notin ({})", values.join(","))),
        "Exists" => Some(key.to_owned()),
        "DoesNotExist" => Some(format!("!{key}")),
        _ => None,
    }
}
