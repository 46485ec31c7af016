//! Questions to servers that vouch for users: an OIDC issuer, Keystone. HTTPS from this host, judged by this host's
//! clock and by the authorities of a flag, or else by the host's own.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use parking_lot::Mutex;
use pki::{ClientTls, GoVersion, Roots};
use serde_json::Value;
use wire::{HttpClient, body};
use world::Host;

/// Of Go's client in upstream's OIDC authenticator.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A discovery page or a set of keys is a few kilobytes.
const LARGEST: usize = 8 << 20;
/// Where distributions keep the authorities that a host trusts.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The way to such servers.
pub(super) struct Outbound {
    host: Host,
    roots: Roots,
    go: GoVersion,
    /// One client for each origin.
    clients: Mutex<BTreeMap<String, HttpClient>>,
}

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// `404 Not Found`, as Go shows it.
    pub(super) fn status_line(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.status.canonical_reason().unwrap_or_default())
    }
}

impl Outbound {
    /// Trusts `roots`; without them what the host trusts.
    pub(super) fn new(host: &Host, roots: Option<Roots>, go: GoVersion) -> Self {
        let system = || {
            let pem = host.disk().read(SYSTEM).ok();
            pem.and_then(|pem| Roots::from_pem(&pem).ok()).unwrap_or_default()
        };
        let roots = roots.unwrap_or_else(system);
        Self { host: host.clone(), roots, go, clients: Mutex::default() }
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) async fn get(&self, url: &str) -> Result<Answer, String> {
        self.send(Method::GET, url, "", None).await
    }

    /// Shows `token`, unless it is empty.
    pub(super) async fn get_with(&self, url: &str, token: &str) -> Result<Answer, String> {
        self.send(Method::GET, url, token, None).await
    }

    pub(super) async fn post(&self, url: &str, content: &Value) -> Result<Answer, String> {
        self.send(Method::POST, url, "", Some(content)).await
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        token: &str,
        content: Option<&Value>,
    ) -> Result<Answer, String> {
        let client = self.client(url)?;
        let mut request = Request::builder().method(method).uri(url);
        if !token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let sent = match content {
            Some(value) => {
                request = request.header(CONTENT_TYPE, "application/json");
                body::full(value.to_string())
            }
            None => body::empty(),
        };
        let request = request.body(sent).map_err(|e| format!("parse {url:?}: {e}"))?;
        let exchange = async {
            // In a box: every request would carry the room for it.
            let response = Box::pin(client.send(request)).await.map_err(|e| e.to_string())?;
            let (head, content) = response.into_parts();
            let body = body::collect(content, LARGEST).await;
            let body = body.map_err(|e| format!("unable to read response body: {e}"))?;
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        self.host.clock().timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| {
            Err(format!(
                "Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            ))
        })
    }

    fn client(&self, url: &str) -> Result<HttpClient, String> {
        let uri: Uri = url.parse().map_err(|e| format!("parse {url:?}: {e}"))?;
        let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority());
        let origin = format!("{scheme}://{}", authority.map(|a| a.as_str()).unwrap_or_default());
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&origin) {
            return Ok(client.clone());
        }
        let tls = ClientTls::new(&self.host, self.go).roots(self.roots.clone());
        let client = HttpClient::new(&self.host, &origin, Some(tls)).map_err(|e| e.to_string())?;
        clients.insert(origin, client.clone());
        Ok(client)
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outbound(from {}, {} authorities)", self.host.name(), self.roots.certificates().len())
    }
}
