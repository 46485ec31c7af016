//! The question as a SubjectAccessReview, in the form of v1 and of v1beta1, and what is read of the answer.

use api::{
    object::ObjectExt as _,
    selector::{FieldRequirement, Operator, Requirement},
};
use serde_json::{Map, Value, json};

use crate::authz::{Attributes, Decision, Verdict};

/// The form in which the review is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewVersion {
    /// `authorization.k8s.io/v1`.
    V1,
    /// `authorization.k8s.io/v1beta1`, where the user's groups are called `group`.
    V1beta1,
}

impl ReviewVersion {
    /// Reads `v1` or `v1beta1`.
    ///
    /// # Errors
    /// Upstream's sentence about any other.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "v1" => Ok(Self::V1),
            "v1beta1" => Ok(Self::V1beta1),
            _ => Err(format!(
                "unsupported webhook authorizer version {text:?}, supported versions are \"v1\", \"v1beta1\""
            )),
        }
    }
}

/// The question; what is empty is left out.
pub(super) fn spec(request: &Attributes<'_>, version: ReviewVersion) -> Value {
    let mut spec = Map::new();
    let (attributes, value) = match request.resource_request {
        true => ("resourceAttributes", resource(request)),
        false => ("nonResourceAttributes", texts([("path", request.path), ("verb", request.verb)])),
    };
    spec.insert(attributes.to_owned(), value.into());
    let user = request.user;
    let groups = if version == ReviewVersion::V1 { "groups" } else { "group" };
    let mut put = |key: &str, value: Value, is_empty: bool| {
        if !is_empty {
            spec.insert(key.to_owned(), value);
        }
    };
    put("user", json!(user.name), user.name.is_empty());
    put(groups, json!(user.groups), user.groups.is_empty());
    put("extra", json!(user.extra), user.extra.is_empty());
    put("uid", json!(user.uid), user.uid.is_empty());
    spec.into()
}

fn texts<const N: usize>(fields: [(&str, &str); N]) -> Map<String, Value> {
    let given = fields.into_iter().filter(|(_, text)| !text.is_empty());
    given.map(|(key, text)| (key.to_owned(), text.into())).collect()
}

fn resource(request: &Attributes<'_>) -> Map<String, Value> {
    let mut attributes = texts([
        ("namespace", request.namespace),
        ("verb", request.verb),
        ("group", request.group),
        ("version", request.version),
        ("resource", request.resource),
        ("subresource", request.subresource),
        ("name", request.name),
    ]);
    let fields = request.field_selector.map(|s| s.requirements().iter().map(field).collect::<Vec<_>>());
    let labels =
        request.label_selector.map(|s| s.requirements().iter().filter_map(label).collect::<Vec<_>>());
    for (key, requirements) in [("fieldSelector", fields), ("labelSelector", labels)] {
        if let Some(requirements) = requirements.filter(|r| !r.is_empty()) {
            attributes.insert(key.to_owned(), json!({ "requirements": requirements }));
        }
    }
    attributes
}

fn field(requirement: &FieldRequirement) -> Value {
    let operator = if requirement.equal { "In" } else { "NotIn" };
    json!({"key": requirement.field, "operator": operator, "values": [requirement.value]})
}

/// A comparison of numbers has no form here: it is left out, which asks about more, never about less.
fn label(requirement: &Requirement) -> Option<Value> {
    let operator = match requirement.operator {
        Operator::In | Operator::Equals | Operator::DoubleEquals => "In",
        Operator::NotIn | Operator::NotEquals => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
        Operator::GreaterThan | Operator::LessThan => return None,
    };
    let mut out = json!({"key": requirement.key, "operator": operator});
    if !requirement.values.is_empty() {
        out["values"] = json!(requirement.values);
    }
    Some(out)
}

/// The whole object that is sent.
pub(super) fn review(spec: Value, version: ReviewVersion) -> Value {
    let version = if version == ReviewVersion::V1 { "v1" } else { "v1beta1" };
    json!({
        "kind": "SubjectAccessReview",
        "apiVersion": format!("authorization.k8s.io/{version}"),
        "metadata": {"creationTimestamp": null},
        "spec": spec,
        "status": {"allowed": false},
    })
}

/// What a webhook answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) allowed: bool,
    denied: bool,
    reason: String,
}

impl Answer {
    /// What is missing is a no, and not a denial.
    pub(super) fn read(review: &Value) -> Self {
        Self {
            allowed: review.bool_at("/status/allowed"),
            denied: review.bool_at("/status/denied"),
            reason: review.str_at("/status/reason").to_owned(),
        }
    }

    pub(super) fn verdict(self) -> Verdict {
        let decision = match (self.denied, self.allowed) {
            (true, _) => Decision::Deny,
            (false, true) => Decision::Allow,
            (false, false) => Decision::NoOpinion,
        };
        let mut verdict = Verdict::new(decision, self.reason);
        if self.denied && self.allowed {
            verdict
                .errors
                .push("webhook subject access review returned both allow and deny response".to_owned());
        }
        verdict
    }
}
