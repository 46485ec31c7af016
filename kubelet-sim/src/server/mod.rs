//! The kubelet's two ports: healthz for its host, and 10250 for the apiserver.
//!
//! Port 10250 serves whom the apiserver allows it: state (`/healthz`, `/pods`), `/containerLogs/`, and
//! the streams of exec, attach and port-forward.

mod access;
mod logs;
mod pages;
mod query;
mod serving;
mod streaming;

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use http::{Request, Response, StatusCode};
use pki::{Roots, ServerTls};
use wire::{Body, Handler, Peer, ServeOptions, Server, body};
use world::{Host, ListenError};

use crate::{options::Options, pods::Pods};
pub(crate) use serving::Serving;

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
            let mut request = request;
            let path = request.uri().path().to_owned();
            let query = request.uri().query().unwrap_or_default().to_owned();
            if this.open {
                return match path.as_str() {
                    "/healthz" => text(StatusCode::OK, "ok"),
                    _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
                };
            }
            match this.permit(&peer, request.method(), request.headers(), &path).await {
                Ok(()) => match streaming::serve(&this.host, &this.pods, &mut request, &path, &query) {
                    Some(response) => response,
                    None => this.answer(&path, &query),
                },
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
        let go = self.pods.options().profile.go();
        let user = access::authenticate(&self.host, peer, headers, roots, rest, go).await?;
        let verb = match method.as_str() {
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "get",
        };
        let fine_grained = self.pods.options().profile.kubelet_authorizes_parts();
        let parts = subresources(path, fine_grained);
        access::authorize(rest, user, verb, &self.node, &parts, fine_grained).await
    }

    fn answer(&self, path: &str, query: &str) -> Response<Body> {
        if let Some(rest) = path.strip_prefix("/containerLogs/") {
            return logs::serve(&self.host, &self.pods, rest, query);
        }
        pages::serve(&self.host, &self.pods, path)
            .unwrap_or_else(|| text(StatusCode::NOT_FOUND, "404 page not found\n"))
    }
}

/// Which parts of the node a path belongs to; one of them is enough. What is nothing else is the proxy's
/// (`pkg/kubelet/server/auth.go`).
fn subresources(path: &str, fine_grained: bool) -> Vec<&'static str> {
    let within =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match () {
        () if within("/stats") => vec!["stats"],
        () if within("/metrics") => vec!["metrics"],
        () if within("/logs") => vec!["log"],
        () if !fine_grained => vec!["proxy"],
        () if within("/pods") || within("/runningpods") => vec!["pods", "proxy"],
        () if within("/healthz") => vec!["healthz", "proxy"],
        () if within("/configz") => vec!["configz", "proxy"],
        () => vec!["proxy"],
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
    #[error("cannot use the authorities of authentication.x509.clientCAFile: {0}")]
    Authorities(String),
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

/// Serves the kubelet's own port with what `serving` has.
pub(crate) async fn secure(
    host: &Host,
    options: &Options,
    pods: Arc<Pods>,
    serving: &Serving,
) -> Result<(), ServeError> {
    let roots = match options.client_ca.as_deref().map(|path| host.disk().read(path)) {
        Some(Ok(pem)) => Some(Roots::from_pem(&pem).map_err(|e| ServeError::Authorities(e.to_string()))?),
        _ => None,
    };
    let identity = serving.identity();
    let tls = ServerTls::new(host).default_cert(identity.clone()).request_client_cert(roots.clone());
    let config = tls.config();
    let at = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), options.port);
    let listener = host.net().listen(at).await?;
    let ports =
        Ports { host: host.clone(), pods, client_ca: roots, open: false, node: options.node_name.clone() };
    let serve = ServeOptions::tls_when(move || match identity.current() {
        Some(_) => Ok(config.clone()),
        None => Err("no serving certificate available for the kubelet".to_owned()),
    });
    Server::spawn(host, listener, serve, Arc::new(ports));
    Ok(())
}
