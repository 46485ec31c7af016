//! ValidatingAdmissionPolicy: the validations of the policies that mean a request, and what their
//! bindings make of those that do not hold.

use std::{collections::BTreeMap, time::Duration};

use api::{object::ObjectExt as _, status::Status};
use serde_json::Value as Json;

use super::{
    super::{Form, Review, Tools, asking::Asking, refusal::forbidden},
    NO_ERROR, Policies,
    compile::{Compiled, OutOfBudget, Validation},
    configuration, counted, fails,
    invocation::Invocation,
    namespace_of,
    request::{Seen, namespace_object, request},
    version::versioned,
};
use crate::{
    cel::{self, Composition, Value},
    metrics::AdmissionCounts,
};

/// Longer messages give way to the validation's other one.
const LONGEST_MESSAGE: usize = 5 * 1024;
/// Longer audit annotations are cut.
const LONGEST_ANNOTATION: usize = 10 * 1024;
const FAILURE: &str = "validation.policy.admission.k8s.io/validation_failure";

/// What one validation says.
#[derive(Default)]
struct Decision {
    /// Why the request is denied; `None`: it is not.
    denied: Option<String>,
    reason: String,
    /// The kind of its error, if it has one, as it is counted.
    error: Option<&'static str>,
}

impl Decision {
    /// A validation, or all of a policy, that could not be evaluated.
    fn error(policy: &Json, why: String) -> Self {
        let error = Some(counted(&why));
        Self { denied: fails(policy).then_some(why), error, ..Self::default() }
    }
}

/// What one audit annotation comes to.
enum Annotation {
    Publish(String, String),
    Leave,
    Error(String),
}

/// What a policy says of a request with one of its params.
#[derive(Default)]
struct Outcome {
    decisions: Vec<Decision>,
    annotations: Vec<Annotation>,
}

impl Outcome {
    /// An error before anything was decided.
    fn error(policy: &Json, why: String) -> Self {
        Self { decisions: vec![Decision::error(policy, why)], annotations: Vec::new() }
    }
}

/// A refusal, by whom.
struct Denied {
    policy: String,
    binding: Option<String>,
    message: String,
    reason: String,
}

impl Policies {
    /// Asks all policies.
    ///
    /// # Errors
    /// The first denial.
    pub(in crate::admission) async fn validate(
        &self,
        tools: &Tools,
        review: &Review<'_>,
    ) -> Result<(), Status> {
        let informers = &tools.informers;
        let (policies, bindings) = (&informers.validating_policies, &informers.validating_bindings);
        let invocations = self.invocations(tools, review, policies, bindings).await?;
        if invocations.is_empty() {
            return Ok(());
        }
        let asking = Asking::new(&tools.authz, review);
        let own = Form::of(tools, review);
        let mut denied = Vec::new();
        let mut published: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for invocation in invocations {
            let Invocation { policy, binding, compiled, target, params } = match invocation {
                Ok(invocation) => invocation,
                Err(error) => {
                    denied.extend(misconfigured(&error.policy, error.binding.as_deref(), error.why));
                    continue;
                }
            };
            let new = versioned(tools, review.new_object(), &target);
            let objects = new.and_then(|new| Ok((new, versioned(tools, review.old, &target)?)));
            let (new, old) = match objects {
                Ok(objects) => objects,
                Err(why) => {
                    let why = configuration(&format!("failed to convert object version: {why}"), false);
                    denied.extend(misconfigured(&policy, None, why));
                    continue;
                }
            };
            let request = request(review, &target, &own);
            let namespace = namespace_of(tools, review).await?;
            let namespace = namespace.map(|namespace| namespace_object(&namespace));
            for params in params {
                let seen = Seen {
                    object: new.as_deref(),
                    old: old.as_deref(),
                    request: &request,
                    namespace: namespace.as_ref(),
                    params: params.as_deref(),
                    asker: &asking,
                };
                let began = tools.host.clock().monotonic();
                let outcome = loop {
                    let outcome = evaluate(&compiled, &policy, &seen);
                    if !asking.settle().await {
                        break outcome;
                    }
                };
                let elapsed = tools.host.clock().monotonic().since(began);
                let acting =
                    Acting { review, policy: &policy, binding: &binding, counts: &tools.counts, elapsed };
                acting.act(outcome, &mut denied, &mut published);
            }
        }
        for (key, values) in published {
            review.remarks.annotate(&key, values.join(", "));
        }
        match denied.into_iter().next() {
            Some(denied) => Err(refusal(review, denied)),
            None => Ok(()),
        }
    }
}

/// A denial by a policy that cannot be asked, if its failures deny.
fn misconfigured(policy: &Json, binding: Option<&Json>, why: String) -> Option<Denied> {
    fails(policy).then(|| Denied {
        policy: policy.name().to_owned(),
        binding: binding.map(|binding| binding.name().to_owned()),
        message: why,
        reason: String::new(),
    })
}

/// A policy that was asked, and its binding.
struct Acting<'a> {
    review: &'a Review<'a>,
    policy: &'a Json,
    binding: &'a Json,
    counts: &'a AdmissionCounts,
    /// How long it took.
    elapsed: Duration,
}

impl Acting<'_> {
    /// Does what the binding makes of what the policy says.
    fn act(&self, outcome: Outcome, denied: &mut Vec<Denied>, published: &mut BTreeMap<String, Vec<String>>) {
        let Self { review, policy, binding, .. } = *self;
        let deny = |message: String, reason: String| Denied {
            policy: policy.name().to_owned(),
            binding: Some(binding.name().to_owned()),
            message,
            reason,
        };
        for (index, decision) in outcome.decisions.into_iter().enumerate() {
            let Some(message) = decision.denied else {
                // Of those that are let through only errors are counted.
                if let Some(error) = decision.error {
                    self.count(error, "allow");
                }
                continue;
            };
            for action in binding.list_at("/spec/validationActions").iter().filter_map(Json::as_str) {
                let counted = match action {
                    "Deny" => {
                        denied.push(deny(message.clone(), decision.reason.clone()));
                        "deny"
                    }
                    "Warn" => {
                        review.remarks.warn(format!(
                            "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {message}",
                            policy.name(),
                            binding.name()
                        ));
                        "warn"
                    }
                    "Audit" => {
                        review.remarks.annotate(FAILURE, failure(binding, index, &message));
                        "audit"
                    }
                    _ => continue,
                };
                self.count(decision.error.unwrap_or(NO_ERROR), counted);
            }
        }
        for annotation in outcome.annotations {
            match annotation {
                Annotation::Publish(key, value) => {
                    let values = published.entry(format!("{}/{key}", policy.name())).or_default();
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
                Annotation::Leave => {}
                Annotation::Error(why) => {
                    self.count(counted(&why), "deny");
                    denied.push(deny(why, String::new()));
                }
            }
        }
    }

    fn count(&self, error: &str, action: &str) {
        self.counts.checked((self.policy.name(), self.binding.name()), error, action, self.elapsed);
    }
}

/// The value of the annotation that tells of a validation that failed, in the order of Go's fields.
fn failure(binding: &Json, index: usize, message: &str) -> String {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Failure<'a> {
        message: &'a str,
        policy: &'a str,
        binding: &'a str,
        expression_index: usize,
        validation_actions: &'a [Json],
    }
    let failure = Failure {
        message,
        policy: binding.str_at("/spec/policyName"),
        binding: binding.name(),
        expression_index: index,
        validation_actions: binding.list_at("/spec/validationActions"),
    };
    serde_json::to_string(&[failure]).unwrap_or_default()
}

fn refusal(review: &Review<'_>, denied: Denied) -> Status {
    let by = match &denied.binding {
        Some(binding) => format!("'{}' with binding '{binding}'", denied.policy),
        None => format!("'{}'", denied.policy),
    };
    let message = format!("ValidatingAdmissionPolicy {by} denied request: {}", denied.message);
    let mut status = forbidden(review, &message);
    let (code, reason) = match denied.reason.as_str() {
        "Forbidden" => (403, "Forbidden"),
        "Unauthorized" => (401, "Unauthorized"),
        "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
        _ => (422, "Invalid"),
    };
    status.code = code;
    status.reason = reason.into();
    status.push_cause("", &message, "");
    status
}

fn evaluate(compiled: &Compiled, policy: &Json, seen: &Seen<'_>) -> Outcome {
    match compiled.applies(seen.variables(true)) {
        Err(_) if !fails(policy) => return Outcome::default(),
        Err(why) => return Outcome::error(policy, why),
        Ok(false) => return Outcome::default(),
        Ok(true) => {}
    }
    match decide(compiled, policy, seen) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::error(policy, error.to_string()),
    }
}

fn decide(compiled: &Compiled, policy: &Json, seen: &Seen<'_>) -> Result<Outcome, OutOfBudget> {
    let among = Composition::new(seen.variables(true), &compiled.variables);
    let mut budget = cel::OBJECT_BUDGET;
    let mut found = Vec::new();
    for validation in &compiled.validations {
        found.push(validation.expression.evaluate(&among, &mut budget)?);
    }
    // All messages are made, whether they are needed or not.
    let wording = Composition::new(seen.variables(false), &compiled.variables);
    let mut messages = Ok(Vec::new());
    for validation in &compiled.validations {
        let Ok(made) = &mut messages else { break };
        match validation.words.as_ref().map(|words| words.evaluate(&wording, &mut budget)).transpose() {
            Ok(words) => made.push(words),
            Err(error) => messages = Err(error),
        }
    }
    let mut decisions = Vec::new();
    for (index, (validation, found)) in compiled.validations.iter().zip(found).enumerate() {
        decisions.push(match (found, &messages) {
            (Err(why), _) => Decision::error(policy, why),
            (_, Err(why)) => Decision::error(policy, format!("failed messageExpression: {why}")),
            (Ok(Value::Bool(true)), _) => Decision::default(),
            (Ok(_), Ok(messages)) => {
                let made = match messages.get(index) {
                    Some(Some(Ok(Value::String(text)))) => Some(&**text),
                    _ => None,
                };
                let denied = Some(message(validation, made));
                Decision { denied, reason: validation.reason.clone(), error: None }
            }
        });
    }
    let among = Composition::new(seen.variables(true), &compiled.variables);
    let mut budget = cel::OBJECT_BUDGET;
    let mut annotations = Vec::new();
    for (key, expression) in &compiled.annotations {
        annotations.push(match expression.evaluate(&among, &mut budget)? {
            Ok(Value::String(text)) => match text.trim() {
                "" => Annotation::Leave,
                value => {
                    let end = value.floor_char_boundary(LONGEST_ANNOTATION);
                    Annotation::Publish(key.clone(), value.get(..end).unwrap_or(value).to_owned())
                }
            },
            Ok(_) => Annotation::Leave,
            Err(why) if fails(policy) => Annotation::Error(why),
            Err(_) => Annotation::Leave,
        });
    }
    Ok(Outcome { decisions, annotations })
}

/// Why a validation does not hold: as it was made, as it stands, or the expression itself.
fn message(validation: &Validation, made: Option<&str>) -> String {
    let made = made.map(str::trim).unwrap_or_default();
    let usable = !made.is_empty() && made.len() <= LONGEST_MESSAGE && !made.contains('\n');
    match (usable, validation.message.as_str()) {
        (true, _) => made.to_owned(),
        (false, "") => format!("failed expression: {}", validation.expression.source.trim()),
        (false, message) => message.to_owned(),
    }
}
