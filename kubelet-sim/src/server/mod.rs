//! The kubelet's two ports: healthz for its host, and 10250 for the apiserver.
//!
//! Port 10250 serves `/healthz`, `/pods` and `/containerLogs/` to whom the apiserver allows it; exec
//! and port-forward are not served: 404 says so.

mod access;
mod logs;

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use http::{Request, Response, StatusCode};
use pki::{Roots, ServerTls};
use serde_json::json;
use wire::{Body, Handler, Peer, ServeOptions, Server, body};
use world::{Host, ListenError};

use crate::{options::Options, pods::Pods};

/// Answers on both ports.
#[derive(Clone)]
struct Ports {
    host: Host,
    pods: Arc<Pods>,
    /// `None` on the healthz port, which asks for no credentials.
    client_ca: Option<Roots>,
    open: bool,
    node: String,
}

impl Handler for Ports {
    fn call(
        &self,
        peer: Arc<Peer>,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        let this = self.clone();
        Box::pin(async move {
            // Nobody sends the kubelet a body that it reads.
            let (request, _) = request.into_parts();
            let path = request.uri.path().to_owned();
            let query = request.uri.query().unwrap_or_default().to_owned();
            if this.open {
                return match path.as_str() {
                    "/healthz" => text(StatusCode::OK, "ok"),
                    _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
                };
            }
            match this.permit(&peer, &request.method, &request.headers, &path).await {
                Ok(()) => this.answer(&path, &query),
                Err((status, words)) => text(status, &words),
            }
        })
    }
}

impl Ports {
    async fn permit(
        &self,
        peer: &Peer,
        method: &http::Method,
        headers: &http::HeaderMap,
        path: &str,
    ) -> Result<(), access::Refusal> {
        let (rest, roots) = (self.pods.rest(), self.client_ca.as_ref());
        let user = access::authenticate(&self.host, peer, headers, roots, rest).await?;
        let verb = match method.as_str() {
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "get",
        };
        access::authorize(rest, user, verb, &self.node, subresource(path)).await
    }

    fn answer(&self, path: &str, query: &str) -> Response<Body> {
        if let Some(rest) = path.strip_prefix("/containerLogs/") {
            return logs::serve(&self.host, &self.pods, rest, query);
        }
        match path {
            "/healthz" => text(StatusCode::OK, "ok"),
            "/pods" => {
                let list = json!({"apiVersion": "v1", "items": self.pods.snapshot(), "kind": "PodList", "metadata": {}});
                let mut response = text(StatusCode::OK, &list.to_string());
                response
                    .headers_mut()
                    .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
                response
            }
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }
}

/// Which part of the node a path belongs to: what is nothing else is the proxy's.
fn subresource(path: &str) -> &'static str {
    let within =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if within("/stats") {
        "stats"
    } else if within("/metrics") {
        "metrics"
    } else if within("/logs") {
        "log"
    } else {
        "proxy"
    }
}

fn text(status: StatusCode, words: &str) -> Response<Body> {
    let mut response = Response::new(body::full(words.to_owned()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Why a port is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("{0}; is another kubelet running on this host?")]
    Listen(#[from] ListenError),
    #[error("cannot make the kubelet's serving certificate: {0}")]
    Certificate(String),
}

/// Serves healthz on 127.0.0.1.
pub(crate) async fn healthz(host: &Host, options: &Options, pods: Arc<Pods>) -> Result<(), ServeError> {
    if options.healthz_port == 0 {
        return Ok(());
    }
    let at = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), options.healthz_port);
    let listener = host.net().listen(at).await?;
    let ports =
        Ports { host: host.clone(), pods, client_ca: None, open: true, node: options.node_name.clone() };
    Server::spawn(host, listener, ServeOptions::plain(), Arc::new(ports));
    Ok(())
}

/// Serves the kubelet's own port with a self-signed certificate, made once and kept.
pub(crate) async fn secure(host: &Host, options: &Options, pods: Arc<Pods>) -> Result<(), ServeError> {
    let failed = |e: String| ServeError::Certificate(e);
    let roots = match options.client_ca.as_deref().map(|path| host.disk().read(path)) {
        Some(Ok(pem)) => Some(Roots::from_pem(&pem).map_err(|e| failed(e.to_string()))?),
        _ => None,
    };
    let (crt, key) =
        (format!("{}/kubelet.crt", options.cert_dir), format!("{}/kubelet.key", options.cert_dir));
    let pair = match (host.disk().read(&crt), host.disk().read(&key)) {
        (Ok(crt), Ok(key)) => pki::CertifiedKey::from_pem(&crt, &key).map_err(|e| failed(e.to_string()))?,
        _ => {
            let made = pki::loopback::self_signed_server(
                &options.node_name,
                &[],
                &[],
                host.clock().wall(),
                host.entropy(),
                pki::KeyAlgorithm::EcdsaP256,
            )
            .map_err(|e| failed(e.to_string()))?
            .pair;
            host.disk().write_unsynced(&key, made.key_pem(), 0o600).map_err(|e| failed(e.to_string()))?;
            host.disk().write_unsynced(&crt, made.chain_pem(), 0o644).map_err(|e| failed(e.to_string()))?;
            made
        }
    };
    let identity = pki::StaticIdentity::new(&pair).map_err(|e| failed(e.to_string()))?;
    let tls = ServerTls::new(host).default_cert(Arc::new(identity)).request_client_cert(roots.clone());
    let config = tls.config();
    let at = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), options.port);
    let listener = host.net().listen(at).await?;
    let ports =
        Ports { host: host.clone(), pods, client_ca: roots, open: false, node: options.node_name.clone() };
    let serve = ServeOptions::tls(move || config.clone());
    Server::spawn(host, listener, serve, Arc::new(ports));
    Ok(())
}
