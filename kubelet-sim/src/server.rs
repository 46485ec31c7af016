//! The kubelet's two ports: healthz for its host, and 10250 for the apiserver.
//!
//! Port 10250 serves `/healthz` and `/pods` to clients with a certificate of the cluster's CA, and
//! answers 401 to all others. Logs, exec and port-forward are not served yet: 404 says so.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use http::{Request, Response, StatusCode};
use pki::{Roots, ServerTls, Usage, verify_chain};
use serde_json::json;
use wire::{Body, Handler, Peer, ServeOptions, Server, body};
use world::{Host, ListenError};

use crate::{options::Options, pods::Pods};

/// Answers on both ports.
struct Ports {
    host: Host,
    pods: Arc<Pods>,
    /// `None` on the healthz port, which asks for no credentials.
    client_ca: Option<Roots>,
    open: bool,
}

impl Handler for Ports {
    fn call(
        &self,
        peer: Arc<Peer>,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        let response = self.answer(&peer, request.uri().path());
        Box::pin(std::future::ready(response))
    }
}

impl Ports {
    fn answer(&self, peer: &Peer, path: &str) -> Response<Body> {
        let known = self.client_ca.as_ref().is_some_and(|roots| {
            !peer.certificates.is_empty()
                && verify_chain(&peer.certificates, roots, self.host.clock().wall(), Usage::ClientAuth, None)
                    .is_ok()
        });
        if !self.open && !known {
            return text(StatusCode::UNAUTHORIZED, "Unauthorized");
        }
        match path {
            "/healthz" => text(StatusCode::OK, "ok"),
            "/pods" if !self.open => {
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
    let ports = Ports { host: host.clone(), pods, client_ca: None, open: true };
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
            host.disk().write(&key, made.key_pem(), 0o600).map_err(|e| failed(e.to_string()))?;
            host.disk().write(&crt, made.chain_pem(), 0o644).map_err(|e| failed(e.to_string()))?;
            made
        }
    };
    let identity = pki::StaticIdentity::new(&pair).map_err(|e| failed(e.to_string()))?;
    let tls = ServerTls::new(host).default_cert(Arc::new(identity)).request_client_cert(roots.clone());
    let config = tls.config();
    let at = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), options.port);
    let listener = host.net().listen(at).await?;
    let ports = Ports { host: host.clone(), pods, client_ca: roots, open: false };
    let serve = ServeOptions::tls(move || config.clone());
    Server::spawn(host, listener, serve, Arc::new(ports));
    Ok(())
}
