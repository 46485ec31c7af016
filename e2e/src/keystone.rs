//! A host that plays OpenStack's Keystone, version 3, as far as an apiserver meets it: names and passwords for tokens,
//! and the webhook beside it that tells apiservers whose token it is (`k8s-keystone-auth`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use http::{HeaderMap, Request, Response, StatusCode};
use parking_lot::Mutex;
use pki::{Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey, ServerTls, StaticIdentity};
use serde_json::{Value, json};
use wire::{Body, Peer, ServeOptions, Server, body};
use world::{Host, Wall, rfc3339};

use crate::story::StoryError;

/// Where Keystone listens.
pub const PORT: u16 = 5000;
/// Keystone's own default.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A user of the domain `default`.
#[derive(Clone, Debug)]
pub struct Person {
    /// The password.
    pub password: String,
    /// Projects, which the webhook makes groups of.
    pub projects: Vec<String>,
}

/// See the module.
pub struct Keystone {
    host: Host,
    authority: Authority,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    people: BTreeMap<String, Person>,
    /// Tokens that were given: whose, and until when.
    tokens: BTreeMap<String, (String, Wall)>,
}

impl Keystone {
    /// Starts it on `host`, with a certificate of an authority of its own for the host's name.
    ///
    /// # Errors
    /// The port is taken, or the crypto library failed.
    pub async fn start(host: &Host, people: BTreeMap<String, Person>) -> Result<Self, StoryError> {
        let broken = |e: &dyn std::fmt::Display| StoryError(format!("keystone: {e}"));
        let (now, algorithm) = (host.clock().wall(), KeyAlgorithm::EcdsaP256);
        let (from, to) = (now - DAY, now + 3650 * DAY);
        let authority = Authority::new_root(host.entropy(), algorithm, "openstack-ca", &[], from, to)
            .map_err(|e| broken(&e))?;
        let key = PrivateKey::generate(algorithm).map_err(|e| broken(&e))?;
        let spec = CertSpec {
            common_name: host.name().to_owned(),
            organizations: Vec::new(),
            dns_names: vec![host.name().to_owned()],
            ips: Vec::new(),
            client_auth: false,
            server_auth: true,
            not_before: from,
            not_after: to,
        };
        let leaf = authority.issue(host.entropy(), &spec, &key.public()).map_err(|e| broken(&e))?;
        let pair = CertifiedKey::new(vec![leaf], key).map_err(|e| broken(&e))?;
        let identity = Arc::new(StaticIdentity::new(&pair).map_err(|e| broken(&e))?);
        let config = ServerTls::new(host).default_cert(identity).config();
        let state = Arc::new(Mutex::new(State { people, tokens: BTreeMap::new() }));
        let at = std::net::SocketAddr::from(([0, 0, 0, 0], PORT));
        let listener = host.net().listen(at).await.map_err(|e| broken(&e))?;
        let (own, known) = (host.clone(), state.clone());
        let handler = move |_: Arc<Peer>, request: Request<Body>| {
            let (own, known) = (own.clone(), known.clone());
            async move { answer(&own, &known, request).await }
        };
        Server::spawn(host, listener, ServeOptions::tls(move || config.clone()), Arc::new(handler));
        Ok(Self { host: host.clone(), authority, state })
    }

    /// `https://keystone:5000/v3`.
    pub fn url(&self) -> String {
        format!("https://{}:{PORT}/v3", self.host.name())
    }

    /// Who signed its certificate, as PEM.
    pub fn ca_pem(&self) -> String {
        self.authority.certificate.to_pem()
    }

    /// The kubeconfig by which an apiserver calls the webhook.
    pub fn webhook_kubeconfig(&self) -> String {
        use pki::kubeconfig::{Cluster, Kubeconfig, User};
        let server = format!("https://{}:{PORT}/webhook", self.host.name());
        Kubeconfig::new("keystone", Cluster::new(&server, &self.ca_pem()), "apiserver", User::default())
            .to_yaml()
    }

    /// Takes a user's account away; tokens go with it.
    pub fn dismiss(&self, name: &str) {
        let mut state = self.state.lock();
        state.people.remove(name);
        state.tokens.retain(|_, (owner, _)| owner != name);
    }
}

async fn answer(host: &Host, state: &Mutex<State>, request: Request<Body>) -> Response<Body> {
    let (head, content) = request.into_parts();
    let sent = body::collect(content, 1 << 20).await.unwrap_or_default();
    let sent: Value = serde_json::from_slice(&sent).unwrap_or_default();
    let line = format!("{} {}", head.method, head.uri.path());
    match line.as_str() {
        "GET /" | "GET /v3" => {
            reply(StatusCode::OK, &json!({"version": {"id": "v3.14", "status": "stable"}}))
        }
        "POST /v3/auth/tokens" => give(host, &mut state.lock(), &sent),
        "GET /v3/auth/tokens" => tell(host, &state.lock(), &head.headers),
        "POST /webhook" => review(host, &state.lock(), &sent),
        _ => refusal(StatusCode::NOT_FOUND, "Could not find the requested resource."),
    }
}

/// A token for a name and a password.
fn give(host: &Host, state: &mut State, sent: &Value) -> Response<Body> {
    let user = sent.at("/auth/identity/password/user").cloned().unwrap_or_default();
    let name = user.str_at("/name");
    let is_default = user.str_at("/domain/id") == "default" || user.str_at("/domain/name") == "Default";
    let person = state.people.get(name).filter(|_| is_default);
    if !person.is_some_and(|person| pki::token::same_secret(&person.password, user.str_at("/password"))) {
        return refusal(StatusCode::UNAUTHORIZED, "The request you have made requires authentication.");
    }
    let token = host.entropy().uuid();
    let until = host.clock().wall() + TOKEN_LIFE;
    state.tokens.insert(token.clone(), (name.to_owned(), until));
    let mut response = reply(StatusCode::CREATED, &description(name, until));
    if let Ok(value) = token.parse() {
        response.headers_mut().insert("x-subject-token", value);
    }
    response
}

fn description(name: &str, until: Wall) -> Value {
    json!({"token": {
        "methods": ["password"],
        "user": {"name": name, "domain": {"id": "default", "name": "Default"}},
        "expires_at": rfc3339(until),
    }})
}

fn owner<'s>(host: &Host, state: &'s State, token: &str) -> Option<(&'s str, Wall)> {
    let (name, until) = state.tokens.get(token)?;
    (host.clock().wall() < *until).then_some((name.as_str(), *until))
}

/// Whose token it is, for who asks Keystone itself.
fn tell(host: &Host, state: &State, headers: &HeaderMap) -> Response<Body> {
    let token = headers.get("x-subject-token").and_then(|v| v.to_str().ok()).unwrap_or_default();
    match owner(host, state, token) {
        Some((name, until)) => reply(StatusCode::OK, &description(name, until)),
        None => refusal(StatusCode::NOT_FOUND, "Failed to validate token"),
    }
}

/// Whose token it is, for apiservers.
fn review(host: &Host, state: &State, sent: &Value) -> Response<Body> {
    let status = match owner(host, state, sent.str_at("/spec/token")) {
        Some((name, _)) => {
            let projects = state.people.get(name).map(|person| person.projects.clone()).unwrap_or_default();
            json!({"authenticated": true, "user": {"username": name, "groups": projects}})
        }
        None => json!({"authenticated": false}),
    };
    let answer = json!({"kind": "TokenReview", "apiVersion": sent.str_at("/apiVersion"), "status": status});
    reply(StatusCode::OK, &answer)
}

fn refusal(code: StatusCode, message: &str) -> Response<Body> {
    let title = code.canonical_reason().unwrap_or_default();
    reply(code, &json!({"error": {"code": code.as_u16(), "message": message, "title": title}}))
}

fn reply(code: StatusCode, content: &Value) -> Response<Body> {
    let mut response = Response::new(body::full(content.to_string()));
    *response.status_mut() = code;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
