//! An audit event, in the order of upstream's fields.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use api::{object::ObjectExt, status::Status};
use http::{HeaderMap, header};
use serde::Serialize;
use serde_json::{Value, json};
use world::Wall;

use super::policy::{Level, Stage};
use crate::pipeline::{Framed, RequestInfo};

/// See the module.
#[derive(Debug)]
pub(super) struct Event {
    pub level: Level,
    audit_id: String,
    request_uri: String,
    verb: String,
    pub user: Value,
    pub impersonated_user: Option<Value>,
    pub impersonation_constraint: Option<&'static str>,
    source_ips: Vec<String>,
    user_agent: String,
    object_ref: Option<Value>,
    pub response_status: Option<Value>,
    pub request_object: Option<Value>,
    pub response_object: Option<Value>,
    received: Wall,
    /// The kinds of credentials that were shown.
    attempted: Vec<&'static str>,
    pub annotations: BTreeMap<Cow<'static, str>, String>,
}

impl Event {
    pub(super) fn of(framed: &Framed, info: &RequestInfo) -> Self {
        let agent = framed.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        Self {
            level: Level::None,
            audit_id: framed.audit_id.clone(),
            request_uri: framed.target.clone(),
            verb: info.verb.clone(),
            user: json!({}),
            impersonated_user: None,
            impersonation_constraint: None,
            source_ips: sources(&framed.headers, framed.peer.remote.ip()),
            user_agent: agent.chars().take(1024).collect(),
            object_ref: info.resource_request.then(|| object_ref(info)),
            response_status: None,
            request_object: None,
            response_object: None,
            received: framed.received_at,
            attempted: attempted(framed),
            annotations: BTreeMap::new(),
        }
    }

    /// What the object says of itself and the path does not.
    pub(super) fn complete_reference(&mut self, object: &Value) {
        let Some(reference) = self.object_ref.as_mut().and_then(Value::as_object_mut) else { return };
        let fields = [
            ("namespace", object.namespace()),
            ("name", object.name()),
            ("uid", object.uid()),
            ("resourceVersion", object.resource_version()),
        ];
        for (key, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            reference.entry(key).or_insert_with(|| value.into());
        }
    }

    /// `responseStatus` where nobody knows who asked.
    pub(super) fn unauthenticated(&self, code: u16) -> Value {
        let words = match self.attempted.join(", ").as_str() {
            "" => "Authentication failed, no credentials provided".to_owned(),
            tried => format!("Authentication failed, attempted: {tried}"),
        };
        json!({ "metadata": {}, "message": words, "code": code })
    }

    /// The line of one stage, newline included.
    pub(super) fn line(&self, stage: Stage, now: Wall) -> Vec<u8> {
        let mut out = self.encode(Some(("Event", "audit.k8s.io/v1")), stage, now);
        out.push(b'\n');
        out
    }

    /// One stage as an item of a list.
    pub(super) fn listed(&self, stage: Stage, now: Wall) -> Vec<u8> {
        self.encode(None, stage, now)
    }

    fn encode(&self, kind: Option<(&str, &str)>, stage: Stage, now: Wall) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Line<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            kind: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            api_version: Option<&'a str>,
            level: Level,
            #[serde(rename = "auditID")]
            audit_id: &'a str,
            stage: Stage,
            #[serde(rename = "requestURI")]
            request_uri: &'a str,
            verb: &'a str,
            user: &'a Value,
            #[serde(skip_serializing_if = "Option::is_none")]
            impersonated_user: &'a Option<Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            authentication_metadata: Option<Value>,
            #[serde(rename = "sourceIPs")]
            source_ips: &'a [String],
            #[serde(skip_serializing_if = "str::is_empty")]
            user_agent: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            object_ref: &'a Option<Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            response_status: &'a Option<Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            request_object: &'a Option<Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            response_object: &'a Option<Value>,
            request_received_timestamp: String,
            stage_timestamp: String,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            annotations: &'a BTreeMap<Cow<'static, str>, String>,
        }
        let line = Line {
            kind: kind.map(|(kind, _)| kind),
            api_version: kind.map(|(_, version)| version),
            level: self.level,
            audit_id: &self.audit_id,
            stage,
            request_uri: &self.request_uri,
            verb: &self.verb,
            user: &self.user,
            impersonated_user: &self.impersonated_user,
            authentication_metadata: self
                .impersonation_constraint
                .map(|verb| json!({ "impersonationConstraint": verb })),
            source_ips: &self.source_ips,
            user_agent: &self.user_agent,
            object_ref: &self.object_ref,
            response_status: &self.response_status,
            request_object: &self.request_object,
            response_object: &self.response_object,
            request_received_timestamp: micros(self.received),
            stage_timestamp: micros(now),
            annotations: &self.annotations,
        };
        serde_json::to_vec(&line).unwrap_or_default()
    }
}

/// `2026-01-02T03:04:05.678901Z`
fn micros(at: Wall) -> String {
    let micros = at.as_microsecond().rem_euclid(1_000_000);
    format!("{}.{micros:06}Z", at.strftime("%Y-%m-%dT%H:%M:%S"))
}

fn attempted(framed: &Framed) -> Vec<&'static str> {
    let shown = framed.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let scheme = shown.split(' ').next().unwrap_or_default();
    let mut out = Vec::new();
    if scheme.eq_ignore_ascii_case("basic") {
        out.push("basic");
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        out.push("bearer");
    }
    if !framed.peer.certificates.is_empty() {
        out.push("x509");
    }
    out
}

fn object_ref(info: &RequestInfo) -> Value {
    let fields = [
        ("resource", &info.resource),
        ("namespace", &info.namespace),
        ("name", &info.name),
        ("apiGroup", &info.group),
        ("apiVersion", &info.version),
        ("subresource", &info.subresource),
    ];
    let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(key, value)| (key.to_owned(), Value::from(value.as_str()))).collect()
}

/// The proxies' word for where a request came from, then the connection's.
fn sources(headers: &HeaderMap, remote: IpAddr) -> Vec<String> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut out: Vec<String> = text("x-forwarded-for")
        .split(',')
        .chain([text("x-real-ip")])
        .filter_map(|part| part.trim().parse::<IpAddr>().ok())
        .map(|ip| ip.to_string())
        .collect();
    out.push(remote.to_string());
    out.dedup();
    out
}

/// `responseStatus`: the code alone for a success.
pub(super) fn response_status(code: u16, refusal: Option<&Status>) -> Value {
    match refusal {
        Some(status) => {
            let mut value = status.to_value();
            if let Some(fields) = value.as_object_mut() {
                fields.remove("kind");
                fields.remove("apiVersion");
            }
            value
        }
        None => json!({ "metadata": {}, "code": code }),
    }
}
