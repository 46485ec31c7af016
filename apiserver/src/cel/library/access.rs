//! `authorizer`: what a user may do.

use std::{fmt, sync::Arc};

use api::names;

use super::super::{
    Value,
    eval::{EvalError, Found},
};

pub(in crate::cel) const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
pub(in crate::cel) const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
pub(in crate::cel) const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
pub(in crate::cel) const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
pub(in crate::cel) const DECISION: &str = "kubernetes.authorization.Decision";

/// What is asked of an authorizer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "named as the functions are")]
pub struct Question {
    /// Of this service account, by namespace and name, instead of the user.
    pub service_account: Option<(String, String)>,
    /// Of a path; the rest counts if it is empty.
    pub path: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub field_selector: String,
    pub label_selector: String,
    pub verb: String,
}

/// Who answers.
pub trait Asker: fmt::Debug + Sync {
    /// Whether it is allowed, why, and what failed on the way.
    fn ask(&self, question: &Question) -> (bool, String, Option<String>);

    /// What the request itself is about.
    fn request(&self) -> Question;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Authorizer,
    Path,
    Group,
    Resource,
}

/// A question on its way to its answer.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    asker: &'a dyn Asker,
    step: Step,
    question: Question,
    answer: Option<(bool, String, Option<String>)>,
}

impl<'a> Access<'a> {
    /// The variable `authorizer`.
    pub fn value(asker: &'a dyn Asker) -> Value<'a> {
        let access = Access { asker, step: Step::Authorizer, question: Question::default(), answer: None };
        Value::Access(access.into())
    }

    /// The variable `authorizer.requestResource`.
    pub(in crate::cel) fn request_resource(&self) -> Option<Value<'a>> {
        (self.step == Step::Authorizer && self.answer.is_none()).then(|| {
            let question = self.asker.request();
            Value::Access(Access { asker: self.asker, step: Step::Resource, question, answer: None }.into())
        })
    }

    pub(in crate::cel) fn type_name(&self) -> &'static str {
        match (&self.answer, self.step) {
            (Some(_), _) => DECISION,
            (None, Step::Authorizer) => AUTHORIZER,
            (None, Step::Path) => PATH_CHECK,
            (None, Step::Group) => GROUP_CHECK,
            (None, Step::Resource) => RESOURCE_CHECK,
        }
    }

    fn next(&self, step: Step, change: impl FnOnce(&mut Question)) -> Found<'a> {
        let mut question = self.question.clone();
        change(&mut question);
        Ok(Value::Access(Access { asker: self.asker, step, question, answer: None }.into()))
    }
}

pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Option<Found<'a>> {
    if let ("jsonpatch.escapeKey", [Value::String(key)]) = (name, values) {
        return Some(super::bounded(key.replace('~', "~0").replace('/', "~1")));
    }
    let (Value::Access(access), rest) = values.split_first()? else { return None };
    if let Some((allowed, reason, error)) = &access.answer {
        return match (name, rest) {
            ("allowed", []) => Some(Ok(Value::Bool(*allowed))),
            ("reason", []) => Some(Ok(Value::text(reason.as_str()))),
            ("errored", []) => Some(Ok(Value::Bool(error.is_some()))),
            ("error", []) => Some(Ok(Value::text(error.as_deref().unwrap_or_default()))),
            _ => None,
        };
    }
    let texts: Vec<String> = rest
        .iter()
        .map(|value| match value {
            Value::String(text) => Some(text.to_string()),
            _ => None,
        })
        .collect::<Option<_>>()?;
    if let ("serviceAccount", Step::Authorizer, [namespace, name]) = (name, access.step, texts.as_slice()) {
        return Some(service_account(access, namespace, name));
    }
    let [text] = <[String; 1]>::try_from(texts).ok()?;
    Some(match (name, access.step) {
        ("path", Step::Authorizer) if text.trim().is_empty() => {
            Err(EvalError::failed("path must not be empty"))
        }
        ("path", Step::Authorizer) => access.next(Step::Path, |q| q.path = text),
        ("group", Step::Authorizer) => access.next(Step::Group, |q| q.group = text),
        ("resource", Step::Group) if text.trim().is_empty() => {
            Err(EvalError::failed("resource must not be empty"))
        }
        ("resource", Step::Group) => access.next(Step::Resource, |q| q.resource = text),
        ("subresource", Step::Resource) => access.next(Step::Resource, |q| q.subresource = text),
        ("namespace", Step::Resource) => access.next(Step::Resource, |q| q.namespace = text),
        ("name", Step::Resource) => access.next(Step::Resource, |q| q.name = text),
        ("fieldSelector", Step::Resource) => access.next(Step::Resource, |q| q.field_selector = text),
        ("labelSelector", Step::Resource) => access.next(Step::Resource, |q| q.label_selector = text),
        ("check", Step::Path | Step::Resource) => {
            let question = Question { verb: text, ..access.question.clone() };
            let answer = Some(access.asker.ask(&question));
            Ok(Value::Access(Arc::new(Access { question, answer, ..Access::clone(access) })))
        }
        _ => return None,
    })
}

fn service_account<'a>(access: &Access<'a>, namespace: &str, name: &str) -> Found<'a> {
    if !names::dns1123_subdomain(name).is_empty() {
        return Err(EvalError::failed("Invalid service account name"));
    }
    if !names::dns1123_label(namespace).is_empty() {
        return Err(EvalError::failed("Invalid service account namespace"));
    }
    let account = Some((namespace.to_owned(), name.to_owned()));
    access.next(Step::Authorizer, |question| question.service_account = account)
}
