//! The review kinds: questions about access, answered into the `status` of the object that asks.

mod selectors;

use api::{
    object::ObjectExt as _,
    status::{FieldError, GroupKind, Status},
};
use serde_json::{Map, Value, json};

use super::{Attributes, Authz, Decision, Verdict, rbac::aggregate, rule::Rule};
use crate::identity::User;
use selectors::Selectors;

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
pub async fn self_subject_access(authz: &Authz, user: &User, review: &mut Value) -> Result<(), Status> {
    let mut errors = validate_question(authz, review);
    errors.extend(validate_metadata(review, &[], "must be empty"));
    refuse("SelfSubjectAccessReview", errors)?;
    answer(authz, user, review).await;
    Ok(())
}

/// Answers a SubjectAccessReview.
///
/// # Errors
/// 422 for a spec that asks nothing, two things, or about nobody.
pub async fn subject_access(authz: &Authz, review: &mut Value) -> Result<(), Status> {
    let mut errors = validate_question(authz, review);
    errors.extend(validate_subject(review));
    errors.extend(validate_metadata(review, &[], "must be empty"));
    refuse("SubjectAccessReview", errors)?;
    let user = subject(review);
    answer(authz, &user, review).await;
    Ok(())
}

/// Answers a LocalSubjectAccessReview in `namespace`.
///
/// # Errors
/// As [`subject_access`]; 400 for another namespace; 422 for a path.
pub async fn local_subject_access(authz: &Authz, namespace: &str, review: &mut Value) -> Result<(), Status> {
    let mut errors = validate_question(authz, review);
    errors.extend(validate_subject(review));
    errors.extend(validate_metadata(review, &["namespace"], "must be empty except for namespace"));
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
    answer(authz, &user, review).await;
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

fn validate_question(authz: &Authz, review: &Value) -> Vec<FieldError> {
    let mut errors = match (asks(review, "resourceAttributes"), asks(review, "nonResourceAttributes")) {
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
    };
    if authz.by_selectors() {
        selectors::validate(review, &mut errors);
    }
    errors
}

/// A review is no object: it has no name, no labels, nothing but what is among `allowed`.
fn validate_metadata(review: &Value, allowed: &[&str], why: &str) -> Option<FieldError> {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    let mut fields = review.map_at("/metadata").into_iter().flatten();
    let odd = fields
        .any(|(key, value)| key != "managedFields" && !allowed.contains(&key.as_str()) && !is_empty(value));
    odd.then(|| FieldError::invalid("metadata", review["metadata"].clone(), why))
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

async fn answer(authz: &Authz, user: &User, review: &mut Value) {
    let selectors = if authz.by_selectors() { Selectors::read(review) } else { Selectors::default() };
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
            field_selector: selectors.fields.as_ref(),
            label_selector: selectors.labels.as_ref(),
            ..Attributes::of(user)
        }
    } else {
        Attributes {
            verb: review.str_at("/spec/nonResourceAttributes/verb"),
            path: review.str_at("/spec/nonResourceAttributes/path"),
            ..Attributes::of(user)
        }
    };
    let verdict = authz.authorize(&request).await;
    review.set_at("/status", status_of(&verdict, &selectors.ignored));
}

fn status_of(verdict: &Verdict, ignored: &[String]) -> Value {
    let mut status = Map::new();
    status.insert("allowed".to_owned(), verdict.is_allowed().into());
    if verdict.decision == Decision::Deny {
        status.insert("denied".to_owned(), true.into());
    }
    if !verdict.reason.is_empty() {
        status.insert("reason".to_owned(), verdict.reason.to_string().into());
    }
    let failed = (!verdict.errors.is_empty()).then(|| aggregate(&verdict.errors));
    let told: Vec<&str> = failed.iter().chain(ignored).map(String::as_str).collect();
    if !told.is_empty() {
        status.insert("evaluationError".to_owned(), told.join("; ").into());
    }
    Value::Object(status)
}
