//! The one way to call a webhook, be it for admission or for the conversion of custom resources.
//!
//! ```text
//!  clientConfig ─▶ Callouts::to ─┬─ url ──────────────────────▶ Callout::post ─▶ answer, or words
//!                                └─ service ─▶ an endpoint of it, found anew at each dial
//! ```
//! HTTP/1.1, so that calls spread over the endpoints; connections are kept for as long as upstream
//! keeps them, so a certificate is looked at when one is made and not at each call.

mod credentials;
mod services;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::{ObjectExt, unbase64};
use bytes::Bytes;
use client::{Auth, answer, authorize};
use http::{Method, Request, header};
use parking_lot::Mutex;
use pki::{ClientTls, GoVersion, Roots};
use serde_json::Value;
use wire::{HttpClient, body};
use world::Host;

pub(crate) use credentials::Credentials;
use credentials::Login;
pub(crate) use services::{Services, behind};

/// What an answer may be long.
const ANSWER_LIMIT: usize = 64 << 20;
/// So many webhooks' connections are kept (upstream's cache of clients).
const MOST_CLIENTS: usize = 200;
const AGENT: &str = "kube-apiserver-admission";
/// The limit of a call that brings none (`setGlobalDefaults`).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The webhooks that this server calls. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Callouts {
    host: Host,
    go: GoVersion,
    services: Services,
    credentials: Option<Arc<Credentials>>,
    clients: Arc<Mutex<Clients>>,
}

/// By whom is called and whom is trusted, with the turn of their last use.
#[derive(Default)]
struct Clients {
    known: BTreeMap<(String, String), (u64, Callout)>,
    turn: u64,
}

/// A webhook's address with its connections, without the path.
#[derive(Clone)]
struct Callout {
    http: HttpClient,
    auth: Auth,
}

/// A webhook that can be called.
#[derive(Clone)]
pub(crate) struct Webhook {
    callout: Callout,
    path: String,
}

/// A call that brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallError {
    /// What upstream's client says.
    pub words: String,
    /// The code of an answer that is a refusal; none without an answer.
    pub code: Option<u16>,
}

impl CallError {
    fn silent(words: impl Into<String>) -> Self {
        Self { words: words.into(), code: None }
    }
}

impl Callouts {
    pub(crate) fn new(host: &Host, go: GoVersion, services: Services) -> Self {
        Self { host: host.clone(), go, services, credentials: None, clients: Arc::default() }
    }

    /// The same webhooks, called as somebody.
    pub(crate) fn known_as(self, credentials: Option<Credentials>) -> Self {
        Self { credentials: credentials.map(Arc::new), clients: Arc::default(), ..self }
    }

    /// The webhook of a `clientConfig`.
    ///
    /// # Errors
    /// It names nobody, or its certificates are none.
    pub(crate) fn to(&self, config: &Value) -> Result<Webhook, String> {
        let bundle = config.str_at("/caBundle");
        if let Some(service) = config.at("/service").filter(|s| s.is_object()) {
            let (namespace, name) = (service.str_at("/namespace"), service.str_at("/name"));
            let port = service.i64_at("/port").unwrap_or(443);
            let server = format!("{name}.{namespace}.svc");
            let services = self.services.clone();
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            let make = |tls: ClientTls| {
                let tls = tls.server_name(server.as_str());
                let url = format!("https://{server}:{port}");
                let http = HttpClient::http1_only(&self.host, &url, Some(tls))?;
                Ok(http.resolving(Arc::new(move || services.endpoint(&namespace, &name, port))))
            };
            let callout = self.callout(format!("{server}:{port}"), bundle, make)?;
            return Ok(Webhook { callout, path: service.str_at("/path").to_owned() });
        }
        let url = config.str_at("/url");
        if url.is_empty() {
            return Err("webhook configuration must have either service or URL".to_owned());
        }
        let rest = url.strip_prefix("https://").unwrap_or(url);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let base = format!("https://{authority}");
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let target = if has_port { authority.to_owned() } else { format!("{authority}:443") };
        let make = |tls: ClientTls| HttpClient::http1_only(&self.host, &base, Some(tls));
        let callout = self.callout(target, bundle, make)?;
        Ok(Webhook { callout, path: path.to_owned() })
    }

    fn callout(
        &self,
        target: String,
        bundle: &str,
        make: impl FnOnce(ClientTls) -> Result<HttpClient, wire::Error>,
    ) -> Result<Callout, String> {
        let key = (target, bundle.to_owned());
        {
            let mut clients = self.clients.lock();
            clients.turn += 1;
            let turn = clients.turn;
            if let Some((used, callout)) = clients.known.get_mut(&key) {
                *used = turn;
                return Ok(callout.clone());
            }
        }
        let mut tls = trusting(ClientTls::new(&self.host, self.go), bundle)?;
        let login = self.credentials.as_ref().map(|known| known.login(&key.0)).transpose();
        let Login { identity, auth } = login.map_err(|e| e.to_string())?.unwrap_or_default();
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        let callout = Callout { http: make(tls).map_err(|e| e.to_string())?, auth };
        let mut clients = self.clients.lock();
        if clients.known.len() >= MOST_CLIENTS
            && let Some(oldest) =
                clients.known.iter().min_by_key(|(_, (used, _))| *used).map(|(k, _)| k.clone())
        {
            clients.known.remove(&oldest);
        }
        let turn = clients.turn;
        clients.known.insert(key, (turn, callout.clone()));
        Ok(callout)
    }
}

impl Webhook {
    /// Posts a document and reads the answer's. The webhook is told how long it has, in whole seconds; it
    /// is waited for that long, or for as long as `patience` says.
    ///
    /// # Errors
    /// No answer in time, none that is JSON, or a refusal.
    pub(crate) async fn post(
        &self,
        document: Bytes,
        limit: Option<Duration>,
        patience: Option<Duration>,
    ) -> Result<Value, CallError> {
        let http = &self.callout.http;
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        let told = limit.map(|limit| format!("?timeout={}", api::duration::format(whole_seconds(limit))));
        let target = format!("{slash}{}{}", self.path, told.unwrap_or_default());
        let clock = http.host().clock();
        let until = clock.monotonic() + patience.or(limit).unwrap_or(DEFAULT_TIMEOUT);
        let mut retries = 0;
        loop {
            let left = until.since(clock.monotonic());
            let request = self.request(&target, document.clone()).await?;
            // In a box: every write would carry the room for it.
            let sent = Box::pin(http.send_within(left, request)).await;
            let (head, content) = sent.map_err(|e| CallError::silent(e.to_string()))?.into_parts();
            if retries < answer::MAX_RETRIES
                && let Some(wait) = answer::come_again_after(head.status, &head.headers)
            {
                let left = until.since(clock.monotonic());
                clock.sleep(wait.min(left)).await;
                if wait >= left {
                    return Err(CallError::silent("context deadline exceeded"));
                }
                retries += 1;
                continue;
            }
            let left = until.since(clock.monotonic());
            let content = match clock.timeout(left, body::collect(content, ANSWER_LIMIT)).await {
                Ok(content) => content.map_err(|e| e.to_string()),
                Err(_) => Err("context deadline exceeded".to_owned()),
            };
            let content = content.map_err(|why| {
                let words = "unexpected error when reading response body. Please retry. Original error:";
                CallError::silent(format!("{words} {why}"))
            })?;
            let refusal = answer::refusal(&Method::POST, head.status, &head.headers, None, &content);
            if let Some(refusal) = refusal {
                return Err(CallError { words: refusal.message, code: Some(refusal.code) });
            }
            if content.is_empty() {
                let media = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
                let media = media.unwrap_or("application/json");
                return Err(CallError::silent(format!(
                    "0-length response with status code: {} and content type: {media}",
                    head.status.as_u16()
                )));
            }
            return serde_json::from_slice(&content)
                .map_err(|e| CallError::silent(format!("couldn't get version/kind; json parse error: {e}")));
        }
    }

    async fn request(&self, target: &str, document: Bytes) -> Result<Request<wire::Body>, CallError> {
        let request = Request::post(target)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, AGENT)
            .body(body::full(document));
        let mut request = request.map_err(|e| CallError::silent(e.to_string()))?;
        authorize(&mut request, &self.callout.auth).await.map_err(|e| CallError::silent(e.to_string()))?;
        Ok(request)
    }
}

/// Trust in the authorities of a `caBundle`. Without one upstream falls back to the system's roots, of which a host
/// here has none.
///
/// # Errors
/// They are no certificates.
pub(crate) fn trusting(tls: ClientTls, bundle: &str) -> Result<ClientTls, String> {
    if bundle.is_empty() {
        return Ok(tls);
    }
    let unusable = |why: String| format!("unable to load root certificates: {why}");
    let pem = unbase64(bundle).ok_or_else(|| unusable("caBundle is not base64".to_owned()))?;
    Ok(tls.roots(Roots::from_pem(&pem).map_err(|e| unusable(e.to_string()))?))
}

/// Rounded up, as the webhook is told it.
fn whole_seconds(limit: Duration) -> Duration {
    Duration::from_secs(limit.as_secs() + u64::from(limit.subsec_nanos() > 0))
}

impl std::fmt::Debug for Callouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Callouts")
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({:?}{})", self.callout.http, self.path)
    }
}
