//! A host that vouches for users: an OIDC issuer with its keys, a token webhook, and Keystone, behind one HTTPS port.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use http::{Request, Response};
use parking_lot::Mutex;
use pki::{CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey, Roots, ServerTls, StaticIdentity, jwt};
use serde_json::{Value, json};
use wire::{Body, Peer, ServeOptions, Server, body};
use world::{Host, sim::Sim};

use super::{Ca, DAY};
use crate::webhook_client::WebhookClient;

/// See the module.
pub(super) struct Idp {
    ca: Ca,
    pub(super) state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) keys: Value,
    /// Of the keys.
    pub(super) cache_control: String,
    /// The issuer that discovery names, if another than it should be.
    pub(super) issuer: Option<String>,
    /// Whether everything is answered with 500.
    pub(super) is_broken: bool,
    pub(super) seen: Vec<String>,
    /// What else is served as it stands, by path, to whom shows this bearer token.
    pub(super) pages: BTreeMap<String, (&'static str, String)>,
}

impl Idp {
    pub(super) const URL: &'static str = "https://idp:8443";

    pub(super) async fn start(sim: &Sim, keys: &[&PrivateKey]) -> Self {
        let host = sim.host("idp");
        let ca = Ca::new(&host, "world");
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let now = host.clock().wall();
        let spec = CertSpec {
            common_name: "idp".to_owned(),
            organizations: vec![],
            dns_names: vec!["idp".to_owned()],
            ips: vec![],
            client_auth: false,
            server_auth: true,
            not_before: now - DAY,
            not_after: now + 9 * DAY,
        };
        let leaf = ca.authority.issue(host.entropy(), &spec, &key.public()).unwrap();
        let pair = CertifiedKey::new(vec![leaf], key).unwrap();
        let identity = Arc::new(StaticIdentity::new(&pair).unwrap());
        let config = ServerTls::new(&host).default_cert(identity).config();
        let state = Arc::new(Mutex::new(State { keys: Self::set(keys), ..State::default() }));
        let known = state.clone();
        let handler = move |_: Arc<Peer>, request: Request<Body>| {
            let known = known.clone();
            async move { answer(&known, request).await }
        };
        let listener = host.net().listen("0.0.0.0:8443".parse().unwrap()).await.unwrap();
        Server::spawn(&host, listener, ServeOptions::tls(move || config.clone()), Arc::new(handler));
        Self { ca, state }
    }

    /// As `jwks_uri` serves them.
    pub(super) fn set(keys: &[&PrivateKey]) -> Value {
        jwt::jwks(&keys.iter().map(|key| key.public()).collect::<Vec<_>>())
    }

    pub(super) fn ca_pem(&self) -> String {
        self.ca.authority.certificate.to_pem()
    }

    pub(super) fn roots(&self) -> Roots {
        self.ca.authority.certificate.clone().into()
    }

    /// What was asked since the last call.
    pub(super) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().seen)
    }

    /// The token webhook, as a client on `host` calls it.
    pub(super) fn webhook(&self, host: &Host) -> WebhookClient {
        use pki::kubeconfig::{Cluster, Kubeconfig, User};
        let cluster = Cluster::new(&format!("{}/review", Self::URL), &self.ca_pem());
        let config = Kubeconfig::new("hook", cluster, "apiserver", User::default());
        WebhookClient::new(host, &config, (1, 26), "kube-apiserver").unwrap()
    }
}

async fn answer(state: &Mutex<State>, request: Request<Body>) -> Response<Body> {
    let line = format!("{} {}", request.method(), request.uri().path());
    let shown = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let shown = shown.unwrap_or_default().trim_start_matches("Bearer ").to_owned();
    let sent = body::collect(request.into_body(), 1 << 20).await.unwrap();
    let sent: Value = serde_json::from_slice(&sent).unwrap_or_default();
    let mut state = state.lock();
    state.seen.push(line.clone());
    if let Some((bearer, page)) = line.strip_prefix("GET ").and_then(|path| state.pages.get(path)) {
        let code = if shown == *bearer { 200 } else { 403 };
        return Response::builder().status(code).body(body::full(page.clone())).unwrap();
    }
    let issuer = state.issuer.clone().unwrap_or_else(|| Idp::URL.to_owned());
    let (code, content) = match line.as_str() {
        _ if state.is_broken => (500, json!("broken")),
        "GET /.well-known/openid-configuration" => {
            (200, json!({"issuer": issuer, "jwks_uri": format!("{}/keys", Idp::URL)}))
        }
        "GET /keys" => (200, state.keys.clone()),
        "POST /review" => review(&sent),
        "POST /v3/auth/tokens" => {
            let user = sent.at("/auth/identity/password/user").cloned().unwrap_or_default();
            let right = (user.str_at("/name"), user.str_at("/password")) == ("jane", "s3cret:with:colons");
            if right {
                (201, json!({"token": {"user": {"name": "jane"}}}))
            } else {
                (401, json!({"error": {}}))
            }
        }
        _ => (404, json!("no such page")),
    };
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .header("cache-control", state.cache_control.as_str())
        .body(body::full(content.to_string()))
        .unwrap()
}

fn review(sent: &Value) -> (u16, Value) {
    let token = sent.str_at("/spec/token");
    let jane =
        json!({"username": "jane", "uid": "7", "groups": ["dev"], "extra": {"example.com/team": ["a", "b"]}});
    let status = match token {
        "good" => json!({"authenticated": true, "user": jane}),
        "for-vault" => json!({"authenticated": true, "user": jane, "audiences": ["vault"]}),
        "for-us" => json!({"authenticated": true, "user": jane, "audiences": ["vault", "api"]}),
        "said-no" => json!({"authenticated": false, "error": "this token was revoked"}),
        "wrong-kind" => return (200, json!({"kind": "Pod", "apiVersion": "v1"})),
        "refused" => return (403, json!("go away")),
        _ => json!({"authenticated": false}),
    };
    (200, json!({"kind": "TokenReview", "apiVersion": sent.str_at("/apiVersion"), "status": status}))
}

/// Long enough that nothing of the token cache is left, and not so long that certificates end.
pub(super) const FORGOTTEN: Duration = Duration::from_secs(11);
