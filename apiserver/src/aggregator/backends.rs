//! The servers behind API services: whom to dial, whom to trust, and as whom to ask.
//!
//! A service is reached through its endpoints: what `--enable-aggregator-routing=true` does upstream.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use api::object::ObjectExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use parking_lot::Mutex;
use pki::{Certificate, ClientTls, FileIdentity, GoVersion};
use serde_json::Value;
use wire::{Body, HttpClient, body};
use world::Host;

use crate::{
    callout::{Services, trusting},
    identity::User,
    informers::Informers,
    options::Options,
};

/// As whom the server asks for itself.
const OWN_NAME: &str = "system:kube-aggregator";
/// What another server's document may be long.
const DOCUMENT_LIMIT: usize = 32 << 20;
/// Upstream's limit for a question to another server.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// How often upstream reads the client certificate again, apart from its watch of the file.
pub(super) const RELOAD_PERIOD: Duration = Duration::from_secs(60);

/// Why a request cannot be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// Nobody is there: no service, port or endpoint.
    Unresolved,
    /// The API service's own TLS settings cannot be used.
    Settings(String),
}

/// What a client was made from; another one is made when any of it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    ca_bundle: String,
    insecure: bool,
    server_name: String,
}

struct Kept {
    settings: Settings,
    client: HttpClient,
}

/// See the module.
pub(crate) struct Backends {
    host: Host,
    go: GoVersion,
    informers: Arc<Informers>,
    services: Services,
    identity: Option<Arc<FileIdentity>>,
    shown: Mutex<Option<Certificate>>,
    /// By API service and URL.
    clients: Mutex<BTreeMap<(String, String), Kept>>,
}

impl std::fmt::Debug for Backends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Backends")
    }
}

impl Backends {
    pub(super) fn new(host: &Host, options: &Options, informers: Arc<Informers>) -> Self {
        let identity = match (&options.proxy_client_cert_file, &options.proxy_client_key_file) {
            (Some(certificate), Some(key)) => {
                Some(Arc::new(FileIdentity::new(host.disk(), certificate, key)))
            }
            _ => None,
        };
        Self {
            host: host.clone(),
            go: options.profile.go(),
            services: Services::new(host, &informers),
            informers,
            identity,
            shown: Mutex::default(),
            clients: Mutex::default(),
        }
    }

    /// The API service of this name, if another server answers for it.
    pub(crate) fn remote(&self, name: &str) -> Option<Arc<Value>> {
        self.informers.api_services.get(None, name).filter(|service| super::is_remote(service))
    }

    /// A client of somebody who serves this API service now.
    pub(crate) fn of(&self, service: &Value) -> Result<HttpClient, Unreachable> {
        let urls = self.resolve(service);
        let chosen = if urls.len() > 1 { self.host.entropy().below(urls.len() as u64) } else { 0 };
        let chosen = urls.get(usize::try_from(chosen).unwrap_or_default());
        let url = chosen.ok_or(Unreachable::Unresolved)?.clone();
        let settings = Settings {
            ca_bundle: service.str_at("/spec/caBundle").to_owned(),
            insecure: service.bool_at("/spec/insecureSkipTLSVerify"),
            server_name: format!(
                "{}.{}.svc",
                service.str_at("/spec/service/name"),
                service.str_at("/spec/service/namespace")
            ),
        };
        let slot = (service.name().to_owned(), url);
        let mut clients = self.clients.lock();
        if let Some(kept) = clients.get(&slot).filter(|kept| kept.settings == settings) {
            return Ok(kept.client.clone());
        }
        let client = self.client(&slot.1, &settings)?;
        // Whoever has gone from the endpoints is dialled no more.
        clients.retain(|(name, url), _| name != service.name() || urls.contains(url));
        clients.insert(slot, Kept { settings, client: client.clone() });
        Ok(client)
    }

    fn client(&self, url: &str, settings: &Settings) -> Result<HttpClient, Unreachable> {
        let wrong = |why: String| Unreachable::Settings(why);
        let mut tls = ClientTls::new(&self.host, self.go).server_name(&settings.server_name);
        tls = match settings.insecure {
            true => tls.insecure(),
            false => trusting(tls, &settings.ca_bundle).map_err(wrong)?,
        };
        if let Some(identity) = &self.identity {
            tls = tls.identity(identity.clone());
        }
        HttpClient::new(&self.host, url, Some(tls)).map_err(|e| wrong(e.to_string()))
    }

    /// `https://address:port` of each endpoint that is ready.
    fn resolve(&self, service: &Value) -> Vec<String> {
        let (namespace, name) =
            (service.str_at("/spec/service/namespace"), service.str_at("/spec/service/name"));
        let port = service.i64_at("/spec/service/port").unwrap_or(443);
        let all = self.services.endpoints(namespace, name, port).unwrap_or_default();
        let url = |(host, port): (String, u16)| match host.contains(':') {
            true => format!("https://[{host}]:{port}"),
            false => format!("https://{host}:{port}"),
        };
        all.into_iter().map(url).collect()
    }

    /// Nobody uses the API service's clients any more.
    pub(super) fn forget(&self, name: &str) {
        self.clients.lock().retain(|(service, _), _| service != name);
    }

    /// Reads the client certificate again; a new one is shown on new connections.
    pub(super) fn reload(&self) {
        let Some(identity) = &self.identity else { return };
        if let Err(error) = identity.refresh() {
            // The last good pair stays in use.
            tracing::warn!("proxy client certificate: {error}");
            return;
        }
        let now = identity.pair().and_then(|pair| pair.leaf().cloned());
        let before = std::mem::replace(&mut *self.shown.lock(), now.clone());
        if before.is_some() && before != now {
            for (_, kept) in std::mem::take(&mut *self.clients.lock()) {
                kept.client.close_connections();
            }
        }
    }

    /// Whether there is a client certificate to show.
    pub(super) fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Asks for a document in the server's own name.
    pub(crate) async fn ask(
        &self,
        client: &HttpClient,
        path: &str,
        accept: &str,
        known: &str,
    ) -> Result<Answer, String> {
        let mut request = Request::new(body::empty());
        *request.uri_mut() = path.parse().map_err(|e| format!("{path:?}: {e}"))?;
        let headers = request.headers_mut();
        set(headers, header::ACCEPT, accept);
        if !known.is_empty() {
            set(headers, header::IF_NONE_MATCH, known);
        }
        identify(headers, &User::new(OWN_NAME, &[crate::identity::MASTERS]));
        let answer = client.send_within(QUESTION_TIMEOUT, request).await.map_err(|e| e.to_string())?;
        let (head, content) = answer.into_parts();
        let collected = self.host.clock().timeout(QUESTION_TIMEOUT, body::collect(content, DOCUMENT_LIMIT));
        let content = match collected.await {
            Ok(Ok(content)) => content,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("context deadline exceeded".to_owned()),
        };
        let text = |name: HeaderName| {
            head.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
        };
        Ok(Answer {
            code: head.status.as_u16(),
            media: text(header::CONTENT_TYPE),
            etag: text(header::ETAG),
            content,
        })
    }
}

/// What another server said.
pub(crate) struct Answer {
    pub code: u16,
    pub media: String,
    pub etag: String,
    pub content: bytes::Bytes,
}

impl Answer {
    /// The document, if it is one.
    pub(super) fn json(&self) -> Option<Value> {
        if self.code == 200 { serde_json::from_slice(&self.content).ok() } else { None }
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Says in front-proxy headers who asks, and takes away what the client may have said itself.
pub(super) fn identify(headers: &mut HeaderMap, user: &User) {
    let own: Vec<HeaderName> =
        headers.keys().filter(|k| k.as_str().starts_with("x-remote-")).cloned().collect();
    for name in own {
        headers.remove(name);
    }
    let mut add = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    };
    add("x-remote-user", &user.name);
    if !user.uid.is_empty() {
        add("x-remote-uid", &user.uid);
    }
    for group in &user.groups {
        add("x-remote-group", group);
    }
    for (key, values) in &user.extra {
        let name = format!("x-remote-extra-{}", escape(key));
        for value in values {
            add(&name, value);
        }
    }
}

/// A key as part of a header's name: what cannot stand there is escaped as in a URL.
fn escape(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02x}");
        }
    }
    out
}

/// The answer of another server, without what concerned our connection to it.
pub(super) fn answer_of(answer: Response<Body>) -> Response<Body> {
    let (head, content) = answer.into_parts();
    let mut response = Response::new(content);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    for name in super::HOP {
        response.headers_mut().remove(*name);
    }
    response
}

#[cfg(test)]
mod tests {
    use client::Informer;
    use serde_json::json;

    use super::*;

    /// Addresses come and go for years; what is kept is those that are there.
    #[test]
    fn a_client_is_kept_while_its_address_is_an_endpoint() {
        world::sim::run(world::sim::Config::default(), |sim| async move {
            let host = sim.host("cp");
            let options = Options::parse(["--storage-backend=memory"]).unwrap();
            let service = json!({ "metadata": { "name": "s", "namespace": "n" }, "spec": { "ports": [{ "port": 443 }] } });
            let api_service = |name: &str| json!({ "metadata": { "name": name }, "spec": { "service": { "name": "s", "namespace": "n" }, "insecureSkipTLSVerify": true } });
            let mut backends = Backends::new(&host, &options, Arc::new(Informers::empty()));
            for n in 0..20 {
                let addresses = [n, n + 1].map(|n| json!({ "ip": format!("10.0.0.{n}") }));
                let endpoints = json!({ "metadata": { "name": "s", "namespace": "n" },
                    "subsets": [{ "addresses": addresses, "ports": [{ "port": 443 }] }] });
                let informers = Informers {
                    services: Informer::fixed(vec![service.clone()]),
                    endpoints: Informer::fixed(vec![endpoints]),
                    ..Informers::empty()
                };
                backends.services = Services::new(&host, &informers);
                for _ in 0..10 {
                    for name in ["v1.a", "v1.b"] {
                        backends.of(&api_service(name)).unwrap();
                    }
                }
                let kept: Vec<String> =
                    backends.clients.lock().keys().map(|(name, url)| format!("{name} {url}")).collect();
                let there = [n, n + 1].map(|n| format!("https://10.0.0.{n}:443"));
                assert!(!kept.is_empty() && kept.len() <= 4, "{kept:?}");
                assert!(kept.iter().all(|slot| there.iter().any(|url| slot.ends_with(url))), "{kept:?}");
            }
        })
        .unwrap();
    }

    #[test]
    fn the_user_is_told_in_headers_and_only_by_us() {
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", HeaderValue::from_static("root"));
        headers.insert("x-remote-extra-a", HeaderValue::from_static("forged"));
        headers.insert("accept", HeaderValue::from_static("*/*"));
        let mut user = User::new("jane", &["dev", "ops"]);
        user.extra.insert("example.org/k%".to_owned(), vec!["one".to_owned(), "two".to_owned()]);
        identify(&mut headers, &user);
        let all = |name: &str| -> Vec<&str> {
            headers.get_all(name).into_iter().filter_map(|v| v.to_str().ok()).collect()
        };
        assert_eq!(all("x-remote-user"), ["jane"]);
        assert_eq!(all("x-remote-group"), ["dev", "ops"]);
        assert_eq!(all("x-remote-extra-example.org%2fk%25"), ["one", "two"]);
        assert_eq!(all("x-remote-extra-a"), [""; 0]);
        assert_eq!(all("x-remote-uid"), [""; 0]);
        assert_eq!(all("accept"), ["*/*"]);
    }
}
