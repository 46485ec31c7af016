//! One request's event on its way from the first stage to the answer.

use api::{object::ObjectExt, status::Status};
use bytes::Bytes;
use http::{HeaderMap, Response, header};
use serde_json::Value;
use wire::Body;

use super::{
    event::{self, Event},
    policy::{Level, Verdict},
};
use crate::{
    identity::User,
    pipeline::{Framed, Heard, Remarks, RequestInfo, parse_object, yaml},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) event: Event,
    pub(super) info: RequestInfo,
    pub(super) verdict: Option<Verdict>,
    /// The Status that refused the request.
    refusal: Option<Status>,
    /// What a handler of this server read of the body, and in which form it came.
    heard: Option<(Heard, String)>,
}

impl Draft {
    pub(super) fn new(framed: &Framed, info: &RequestInfo) -> Self {
        let event = Event::of(framed, info);
        Self { event, info: info.clone(), verdict: None, refusal: None, heard: None }
    }

    /// From now on what a handler reads of the body is kept. Nothing is read for the log's sake: what is
    /// passed on to another server, or refused unread, is not written down.
    pub(super) fn listen(&mut self, framed: &mut Framed) {
        let media = crate::pipeline::content_type(framed).to_owned();
        self.heard = Some((framed.listen(), media));
    }

    /// The identity that the request is carried out as, and the verb that allowed it if that is for some requests
    /// alone.
    pub(crate) fn impersonates(&mut self, user: &User, constraint: Option<&'static str>) {
        self.event.impersonated_user = Some(user.to_value());
        self.event.impersonation_constraint = constraint;
    }

    /// What was noted on the way.
    pub(crate) fn annotated(&mut self, remarks: &Remarks) {
        for (key, value) in remarks.annotations(self.event.level) {
            self.event.annotations.entry(key.into()).or_insert(value);
        }
    }

    /// What the authorizers said.
    pub(crate) fn authorized(&mut self, allowed: bool, reason: &str) {
        let annotations = &mut self.event.annotations;
        let decision = if allowed { "allow" } else { "forbid" };
        annotations.insert("authorization.k8s.io/decision".into(), decision.to_owned());
        annotations.insert("authorization.k8s.io/reason".into(), reason.to_owned());
    }

    /// The Status that is about to be the answer.
    pub(crate) fn refused(&mut self, status: &Status) {
        self.refusal = Some(status.clone());
    }

    /// `responseStatus`, and the request's object if one was read.
    pub(super) fn note_outcome(&mut self, code: u16) {
        self.event.response_status = Some(event::response_status(code, self.refusal.as_ref()));
        let Some((heard, media)) = self.heard.take() else { return };
        let Some(object) = heard.take().and_then(|bytes| self.object_of_request(&media, &bytes)) else {
            return;
        };
        // The name of what is created is in the object alone.
        self.event.complete_reference(&object);
        self.event.request_object = Some(object).filter(|_| self.event.level >= Level::Request);
    }

    fn object_of_request(&self, media: &str, bytes: &[u8]) -> Option<Value> {
        if bytes.is_empty() {
            return None;
        }
        let value = match self.info.verb.as_str() {
            // The patch itself, in whichever form.
            "patch" => serde_json::from_slice(bytes)
                .ok()
                .or_else(|| yaml::read(std::str::from_utf8(bytes).ok()?).ok()),
            _ => parse_object(bytes, media).ok(),
        };
        value.map(|value| self.presentable(value))
    }

    /// Takes a copy of an answer that this server itself has encoded. Those of others, and streams, have
    /// none to take.
    pub(super) fn note_answer(&mut self, encoded: &Bytes, response: &Response<Body>) {
        if let Ok(value) = parse_object(encoded, media_of(response.headers())) {
            self.event.response_object = Some(self.presentable(value));
        }
    }

    /// Without what the policy leaves out, and without tokens. A body need not say its kind: the endpoint counts too.
    fn presentable(&self, mut value: Value) -> Value {
        let about_tokens = self.info.resource == "tokenreviews"
            || (self.info.resource == "serviceaccounts" && self.info.subresource == "token");
        let omit = self.verdict.as_ref().is_some_and(|verdict| verdict.omit_managed_fields);
        let cut = |object: &mut Value| {
            if omit {
                object.remove_at("/metadata/managedFields");
            }
            if about_tokens || matches!(object.kind(), "TokenRequest" | "TokenReview") {
                object.remove_at("/status/token");
                object.remove_at("/spec/token");
            }
        };
        cut(&mut value);
        if let Some(items) = value.get_mut("items").and_then(Value::as_array_mut) {
            items.iter_mut().for_each(cut);
        }
        value
    }
}

fn media_of(headers: &HeaderMap) -> &str {
    let media = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    media.split(';').next().unwrap_or_default()
}
