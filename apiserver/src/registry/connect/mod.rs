//! Requests that are passed on: streams of pods to their kubelet, proxies to what listens on pods and
//! nodes.
//!
//! ```text
//!   exec, attach, portforward ─► location (whose kubelet, which path)
//!        SPDY ───────────────────────► pass on, byte by byte
//!        WebSocket v5 ───────────────► translate: its channels are SPDY streams to the kubelet
//!        WebSocket with SPDY inside ─► tunnel: the same bytes without the messages around them
//!   proxy ─► an HTTP request of our own
//! ```
//!
//! Upstream: `pkg/registry/core/pod/rest/subresources.go`, `apimachinery/pkg/util/proxy`. Unlike there
//! the kubelet is asked before a WebSocket is granted: what it refuses reaches the client as an answer
//! to its request, whichever protocol it speaks.

mod location;
mod options;
mod proxy;
mod translate;
mod tunnel;

use std::{future::Future, net::IpAddr, sync::Arc};

use api::status::Status;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use wire::{
    Body, HttpClient, body,
    upgrade::{self, Upgraded},
    websocket,
};

pub(super) use location::container;
pub(super) use proxy::proxy;

use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{Open, Permitted, Refusal},
};

/// Headers that concern the client and this server, not who is behind it.
const OWN: [&str; 4] = ["authorization", "host", "content-length", "audit-id"];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Carries out exec, attach or portforward.
///
/// # Errors
/// Whatever refuses it before the connection becomes a stream.
pub(super) async fn stream(
    ctx: &Ctx,
    mut permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let subresource = permitted.info().subresource.clone();
    if ctx.options.profile.websocket_needs_create() {
        // A WebSocket comes by GET, which must not be worth less than SPDY's POST.
        permitted.also_by(ctx, "create").await?;
    }
    options::admit(ctx, &permitted, &served).await?;
    let (kubelet, path) = location::of(ctx, &permitted, &served).await?;
    let request = permitted.request_mut();
    if !lists(&request.headers, "upgrade") {
        return Err(Status::bad_request("Upgrade request required").into());
    }
    let mut headers = std::mem::take(&mut request.headers);
    forwarded_for(&mut headers, request.peer.remote.ip());
    let mut ours = Request::new(());
    *ours.extensions_mut() = std::mem::take(&mut request.extensions);
    let profile = ctx.options.profile;
    let asked = Asked { ctx: ctx.clone(), kubelet, path, headers, method: request.method.clone(), ours };
    let offers = |name: &str| {
        websocket::is_asked(&asked.headers) && websocket::offered(&asked.headers).contains(&name)
    };
    if profile.tunnels_port_forward() && subresource == "portforward" && offers(tunnel::PROTOCOL) {
        return tunnel::serve(asked).await;
    }
    if profile.translates_websockets() && subresource != "portforward" && offers(translate::PROTOCOL) {
        let query = &permitted.request().query;
        let wants = translate::Wants::new(query);
        return translate::serve(asked, wants).await;
    }
    pass_on(asked).await
}

/// A request that wants to become a stream to a kubelet.
struct Asked {
    ctx: Ctx,
    kubelet: HttpClient,
    path: String,
    headers: HeaderMap,
    method: Method,
    /// Holds the client's connection.
    ours: Request<()>,
}

impl Asked {
    /// The kubelet's answer, and its stream if it grants one.
    async fn upgrade(
        &self,
        method: Method,
        headers: HeaderMap,
    ) -> Result<(Response<Body>, Option<Upgraded>), Refusal> {
        let mut request = Request::new(body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = self
            .path
            .parse()
            .map_err(|e| Status::bad_request(format!("cannot ask the kubelet for {:?}: {e}", self.path)))?;
        *request.headers_mut() = headers;
        let answer = self.kubelet.upgrade(request).await;
        answer.map_err(|e| {
            let why = e.cause().map_or_else(|| e.to_string(), ToString::to_string);
            Status::unclassified(format!("error dialing backend: {why}")).into()
        })
    }

    /// Asks the kubelet for SPDY with one of these protocols on top.
    async fn spdy(&self, protocols: &[&'static str]) -> Result<(Response<Body>, Option<Upgraded>), Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
        if let Some(clients) = self.headers.get(FORWARDED_FOR) {
            headers.insert(FORWARDED_FOR, clients.clone());
        }
        for protocol in protocols {
            headers.append("x-stream-protocol-version", HeaderValue::from_static(protocol));
        }
        self.upgrade(Method::POST, headers).await
    }
}

/// Whether `Connection` names `word`.
pub(crate) fn lists(headers: &HeaderMap, word: &str) -> bool {
    let values = headers.get_all(header::CONNECTION).into_iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(word))
}

/// What the client asked, the kubelet is asked, and the bytes that follow go both ways as they are.
async fn pass_on(mut asked: Asked) -> Result<Response<Body>, Refusal> {
    let mut headers = asked.headers.clone();
    for own in OWN {
        headers.remove(own);
    }
    let (answer, stream) = asked.upgrade(asked.method.clone(), headers).await?;
    let Some(stream) = stream else { return Ok(refused(answer)) };
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove(header::DATE);
    splice(&asked.ctx.host, &mut response, upgrade::of_request(&mut asked.ours), stream);
    Ok(response)
}

/// Adds the client to those for whom a request was passed on before (`utilnet.AppendForwardedForHeader`).
pub(crate) fn forwarded_for(headers: &mut HeaderMap, client: IpAddr) {
    let mut all: Vec<String> = headers
        .get_all(FORWARDED_FOR)
        .into_iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    all.push(client.to_string());
    if let Ok(value) = HeaderValue::try_from(all.join(", ")) {
        headers.insert(FORWARDED_FOR, value);
    }
}

/// Passes bytes both ways between a client, whose connection becomes a stream by this response, and a
/// stream behind us.
pub(crate) fn splice(
    host: &world::Host,
    response: &mut Response<Body>,
    pending: impl Future<Output = Option<Upgraded>> + Send + 'static,
    behind: Upgraded,
) {
    let open = Open::default();
    open.of(response);
    host.spawn(async move {
        let _open = open;
        let Some(client) = pending.await else { return };
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_behind, mut to_behind) = tokio::io::split(behind);
        // Where one direction ends both do; what is behind a closed connection is no use to anybody.
        tokio::select! {
            biased;
            _ = tokio::io::copy(&mut from_behind, &mut to_client) => {}
            _ = tokio::io::copy(&mut from_client, &mut to_behind) => {}
        }
        close(to_client).await;
        close(to_behind).await;
    });
}

async fn close(mut io: impl tokio::io::AsyncWrite + Unpin) {
    // Who has gone already need not be told.
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut io).await;
}

/// The kubelet's own answer, when it grants nothing.
fn refused(answer: Response<Body>) -> Response<Body> {
    let (head, content) = answer.into_parts();
    let mut response = Response::new(content);
    *response.status_mut() = head.status;
    for (name, value) in &head.headers {
        if name == header::CONTENT_TYPE || name.as_str().starts_with("x-accepted") {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}
