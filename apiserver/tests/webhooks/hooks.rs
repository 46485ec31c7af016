//! A host that plays webhooks, one at each path, and the configurations that name them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::{ObjectExt, base64};
use client::Resource;
use http::{HeaderValue, Request, Response, StatusCode, header};
use parking_lot::Mutex;
use pki::Authority;
use serde_json::{Value, json};
use wire::{Body, Peer, Server, body};
use world::Host;

use crate::{
    plane::Plane,
    trust::{authority, issue, serving},
};

pub const PORT: u16 = 8443;
/// The hook's name as a service.
pub const SERVICE: &str = "hook.default.svc";

/// What one webhook was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its name.
    pub hook: String,
    pub query: String,
    pub review: Value,
    pub headers: http::HeaderMap,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Value>,
    asked: Vec<Asked>,
    connections: Vec<std::net::SocketAddr>,
}

/// See the module.
pub struct Hooks {
    pub host: Host,
    ca: Authority,
    state: Arc<Mutex<State>>,
}

impl Hooks {
    /// With a certificate that lasts so long, for `hook` and as a service.
    pub async fn start(host: &Host, lasts: Duration) -> Self {
        let ca = authority(host, "hooks-ca");
        let hooks = Self { host: host.clone(), ca, state: Arc::default() };
        for (name, port) in [("hook", PORT), (SERVICE, PORT + 1)] {
            let pair = issue(&hooks.ca, host, name, lasts);
            let listener = host.net().listen(([0, 0, 0, 0], port).into()).await.unwrap();
            let (state, host) = (hooks.state.clone(), host.clone());
            let handler = {
                let host = host.clone();
                move |peer: Arc<Peer>, request: Request<Body>| {
                    let (state, host) = (state.clone(), host.clone());
                    async move { answer(&state, &host, &peer, request).await }
                }
            };
            Server::spawn(&host, listener, serving(&host, &pair), Arc::new(handler));
        }
        hooks
    }

    /// The authority, as a configuration names it.
    pub fn ca_bundle(&self) -> String {
        base64(self.ca.certificate.to_pem().as_bytes())
    }

    /// What the webhook of that name answers from now on; see [`respond`].
    pub fn answers(&self, hook: &str, answer: Value) {
        self.state.lock().answers.insert(hook.to_owned(), answer);
    }

    /// What was asked since the last call, in order.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().asked)
    }

    /// From where, by connection, since the last call.
    pub fn connections(&self) -> usize {
        let mut seen = std::mem::take(&mut self.state.lock().connections);
        seen.sort();
        seen.dedup();
        seen.len()
    }

    /// Somebody who is asked about config maps of the default namespace, with what `set` says otherwise.
    pub fn webhook(&self, name: &str, set: &Value) -> Value {
        let mut webhook = json!({
            "name": name,
            "clientConfig": { "url": format!("https://hook:{PORT}/{name}"), "caBundle": self.ca_bundle() },
            "rules": [{ "operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["configmaps"] }],
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "default" } },
            "sideEffects": "None",
            "admissionReviewVersions": ["v1", "v1beta1"],
        });
        for (key, value) in set.as_object().into_iter().flatten() {
            webhook[key] = value.clone();
        }
        webhook
    }

    /// Puts a configuration of these webhooks in place, and waits until the server has heard of it.
    pub async fn configure(&self, plane: &Plane, kind: &str, name: &str, webhooks: Vec<Value>) {
        let configuration = json!({ "metadata": { "name": name }, "webhooks": webhooks });
        let made = plane.admin.create(&configurations(kind), None, &configuration).await;
        made.unwrap_or_else(|e| panic!("{name}: {e}"));
        plane.sim.elapse(Duration::from_millis(100)).await;
    }
}

pub fn configurations(kind: &str) -> Resource {
    let plural = match kind {
        "mutating" => "mutatingwebhookconfigurations",
        _ => "validatingwebhookconfigurations",
    };
    Resource::new("admissionregistration.k8s.io", "v1", plural)
}

async fn answer(state: &Mutex<State>, host: &Host, peer: &Peer, request: Request<Body>) -> Response<Body> {
    let (head, content) = request.into_parts();
    let bytes = body::collect(content, 8 << 20).await.unwrap();
    let review: Value = serde_json::from_slice(&bytes).unwrap();
    let hook = head.uri.path().trim_start_matches('/').to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let answer = {
        let mut state = state.lock();
        state.connections.push(peer.remote);
        let asked = Asked { hook: hook.clone(), query, review: review.clone(), headers: head.headers };
        state.asked.push(asked);
        state.answers.get(&hook).cloned().unwrap_or_else(|| json!({ "allowed": true }))
    };
    if let Some(seconds) = answer.get("seconds").and_then(Value::as_f64) {
        host.clock().sleep(Duration::from_secs_f64(seconds)).await;
    }
    respond(&answer, &review)
}

/// An answer in data: fields of the response; `patch` as a list; `seconds` to think; `review` for what
/// is to be different outside the response; `http` for an answer that is no review at all.
fn respond(answer: &Value, review: &Value) -> Response<Body> {
    if let Some(raw) = answer.get("http") {
        let mut response = Response::new(body::full(raw.str_at("/body").to_owned()));
        let code = u16::try_from(raw.i64_at("/code").unwrap_or(200)).unwrap();
        *response.status_mut() = StatusCode::from_u16(code).unwrap();
        if let Some(seconds) = raw.get("retry").and_then(Value::as_str) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_str(seconds).unwrap());
        }
        if let Some(media) = raw.get("type").and_then(Value::as_str) {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_str(media).unwrap());
        }
        return response;
    }
    let mut response = json!({ "uid": review["request"]["uid"] });
    for (key, value) in answer.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("seconds" | "review", _) => {}
            ("patch", Value::Array(_)) => {
                response["patch"] = base64(value.to_string().as_bytes()).into();
                if answer.get("patchType").is_none() {
                    response["patchType"] = "JSONPatch".into();
                }
            }
            (_, Value::Null) => {
                response.as_object_mut().unwrap().shift_remove(key);
            }
            (key, value) => response[key] = value.clone(),
        }
    }
    let mut document =
        json!({ "apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response });
    for (key, value) in answer.get("review").and_then(Value::as_object).into_iter().flatten() {
        document[key] = value.clone();
    }
    Response::new(body::full(document.to_string()))
}
