//! `proxy` of pods, services and nodes: an HTTP request to what listens there, and its answer.

use std::sync::Arc;

use api::{object::ObjectExt, status::Status};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use pki::ClientTls;
use serde_json::Value;
use wire::{Body, HttpClient, body, upgrade};

use super::{
    super::{fetch, fetch_opt},
    OWN, forwarded_for, lists, options, splice,
};
use crate::{
    callout::behind,
    catalog::Served,
    context::Ctx,
    pipeline::{Permitted, Refusal},
};

/// Headers of one connection only.
const HOP: [&str; 6] = ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// Passes a request on to `[scheme:]name[:port]`.
pub(in super::super) async fn proxy(
    ctx: &Ctx,
    mut permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    options::admit(ctx, &permitted, &served).await?;
    let info = permitted.info().clone();
    let (scheme, name, port) = split(&info.name);
    let object = fetch(ctx, &served, &info.namespace, name).await?.object;
    let client = backend(ctx, &served, &object, (scheme, port)).await?;
    let framed = permitted.request_mut();
    let depth = if served.namespaced { 7 } else { 5 };
    let (path, query) = framed.target.split_once('?').unwrap_or((&framed.target, ""));
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let parts: Vec<&str> = path.split('/').collect();
    let (prefix, rest) = parts.split_at(parts.len().min(depth + 1));
    let (prefix, rest) = (prefix.join("/"), rest.join("/"));
    let upgrades = lists(&framed.headers, "upgrade");
    if !upgrades && path == prefix && matches!(framed.method, Method::GET | Method::HEAD) {
        // Relative links of a page are meant below it.
        return Ok(moved(&format!("{path}/{query}")));
    }
    let target = format!("/{rest}{query}");
    let mut request = Request::new(framed.take_body());
    *request.method_mut() = framed.method.clone();
    *request.uri_mut() =
        target.parse().map_err(|e| Status::bad_request(format!("cannot ask for {target:?}: {e}")))?;
    let mut headers = framed.headers.clone();
    for own in OWN {
        headers.remove(own);
    }
    forwarded_for(&mut headers, framed.peer.remote.ip());
    if upgrades {
        *request.headers_mut() = headers;
        let mut ours = Request::new(());
        *ours.extensions_mut() = std::mem::take(&mut framed.extensions);
        let (answer, stream) = client.upgrade(request).await.map_err(unreachable)?;
        let Some(stream) = stream else { return Ok(passed(answer, &prefix)) };
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = answer.headers().clone();
        response.headers_mut().remove(header::DATE);
        splice(&ctx.host, &mut response, upgrade::of_request(&mut ours), stream);
        return Ok(response);
    }
    if let Ok(uri) = HeaderValue::from_str(path) {
        headers.insert("x-forwarded-uri", uri);
    }
    *request.headers_mut() = end_to_end(&headers);
    Ok(passed(client.send(request).await.map_err(unreachable)?, &prefix))
}

/// A client of what listens at a port of a node, pod or service.
async fn backend(
    ctx: &Ctx,
    served: &Served,
    object: &Value,
    (scheme, port): (&str, &str),
) -> Result<HttpClient, Status> {
    match served.plural.as_ref() {
        "nodes" if port.is_empty() || port == "10250" => ctx.kubelets.of(object),
        "nodes" => {
            let addresses = object.list_at("/status/addresses");
            let found = addresses.iter().find(|a| a.str_at("/type") == "InternalIP");
            direct(ctx, scheme, found.map_or("", |a| a.str_at("/address")), port)
        }
        "pods" => {
            let port = match port {
                "" => object.list_at("/spec/containers").iter().flat_map(|c| c.list_at("/ports")).next(),
                _ => None,
            }
            .and_then(|p| p.i64_at("/containerPort"))
            .map_or_else(|| port.to_owned(), |p| p.to_string());
            let address = object.str_at("/status/podIP");
            if address.is_empty() {
                return Err(Status::service_unavailable("address not allowed"));
            }
            direct(ctx, scheme, address, if port.is_empty() { "80" } else { &port })
        }
        _ => {
            let (address, port) = endpoint(ctx, object, port).await?;
            direct(ctx, scheme, &address, &port.to_string())
        }
    }
}

fn unreachable(error: wire::Error) -> Status {
    let why = error.cause().map_or_else(|| error.to_string(), ToString::to_string);
    Status::service_unavailable(format!("error trying to reach service: {why}"))
}

fn moved(to: &str) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// An answer as the client gets it: a path to which it redirects lies below the proxy's (`rewriteURL`).
fn passed(answer: Response<Body>, prefix: &str) -> Response<Body> {
    let (head, content) = answer.into_parts();
    let mut response = Response::new(content);
    *response.status_mut() = head.status;
    let mut headers = end_to_end(&head.headers);
    let location = headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
    let below = location.filter(|to| to.starts_with('/') && !to.starts_with("//") && !to.starts_with(prefix));
    if let Some(Ok(to)) = below.map(|to| HeaderValue::try_from(format!("{prefix}{to}"))) {
        headers.insert(header::LOCATION, to);
    }
    *response.headers_mut() = headers;
    response
}

/// Somebody who serves a port of a service, by chance (`pkg/registry/core/service/storage`).
async fn endpoint(ctx: &Ctx, service: &Value, port: &str) -> Result<(String, u16), Status> {
    let (namespace, name) = (service.namespace(), service.name());
    let ports = service.list_at("/spec/ports");
    let wanted = match port {
        "" => ports.first(),
        port => ports.iter().find(|p| {
            p.str_at("/name") == port || p.i64_at("/port").is_some_and(|number| number.to_string() == port)
        }),
    };
    let Some(wanted) = wanted else {
        return Err(Status::service_unavailable(format!(
            "no service port {port:?} found for service {name:?}"
        )));
    };
    let Some(endpoints) = ctx.catalog.find("", "v1", "endpoints") else {
        return Err(Status::no_such_resource());
    };
    let found = fetch_opt(ctx, &endpoints, namespace, name).await?;
    let mut all = found.map(|stored| behind(wanted, &stored.object)).unwrap_or_default();
    if all.is_empty() {
        let words = format!("no endpoints available for service {name:?}");
        return Err(Status::service_unavailable(words));
    }
    let chosen = usize::try_from(ctx.host.entropy().below(all.len() as u64)).unwrap_or_default();
    Ok(all.swap_remove(chosen))
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut out = headers.clone();
    for name in HOP.iter().chain(&OWN) {
        out.remove(*name);
    }
    out
}

/// What listens there shows any certificate that it likes, as upstream's proxy transport has it.
fn direct(ctx: &Ctx, scheme: &str, address: &str, port: &str) -> Result<HttpClient, Status> {
    let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    let scheme = if scheme.is_empty() { "http" } else { scheme };
    let tls = (scheme == "https").then(|| ClientTls::new(&ctx.host, ctx.options.profile.go()).insecure());
    HttpClient::new(&ctx.host, &format!("{scheme}://{address}:{port}"), tls)
        .map_err(|e| Status::bad_request(e.to_string()))
}

/// `[scheme:]name[:port]` (`apimachinery/pkg/util/net`, SplitSchemeNamePort).
fn split(id: &str) -> (&str, &str, &str) {
    match id.split(':').collect::<Vec<_>>().as_slice() {
        [name, port] => ("", name, port),
        [scheme @ ("http" | "https"), name, port] => (scheme, name, port),
        _ => ("", id, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_a_scheme_and_a_port() {
        assert_eq!(split("web"), ("", "web", ""));
        assert_eq!(split("web:8080"), ("", "web", "8080"));
        assert_eq!(split("https:web:443"), ("https", "web", "443"));
        assert_eq!(split("https:web:"), ("https", "web", ""));
    }
}
