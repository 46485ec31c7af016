//! `proxy` of pods, services and nodes: an HTTP request to what listens there, and its answer.

use std::sync::Arc;

use api::{object::ObjectExt, status::Status};
use http::{HeaderMap, Request, Response};
use pki::ClientTls;
use serde_json::Value;
use wire::{Body, HttpClient};

use super::{
    super::{fetch, fetch_opt},
    OWN, forwarded_for,
};
use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{Permitted, Refusal},
};

/// Headers of one connection only.
const HOP: [&str; 6] = ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// Passes a request on to `[scheme:]name[:port]`.
pub(in super::super) async fn proxy(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let info = permitted.info().clone();
    let (scheme, name, port) = split(&info.name);
    let object = fetch(ctx, &served, &info.namespace, name).await?.object;
    let client = match served.plural.as_ref() {
        "nodes" if port.is_empty() || port == "10250" => ctx.kubelets.of(&object)?,
        "nodes" => {
            let addresses = object.list_at("/status/addresses");
            let found = addresses.iter().find(|a| a.str_at("/type") == "InternalIP");
            direct(ctx, scheme, found.map_or("", |a| a.str_at("/address")), port)?
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
                return Err(Status::service_unavailable("address not allowed").into());
            }
            direct(ctx, scheme, address, if port.is_empty() { "80" } else { &port })?
        }
        _ => {
            let (address, port) = endpoint(ctx, &object, port).await?;
            direct(ctx, scheme, &address, &port)?
        }
    };
    let framed = permitted.request();
    let depth = if served.namespaced { 7 } else { 5 };
    let (path, query) = framed.target.split_once('?').unwrap_or((&framed.target, ""));
    let rest: Vec<&str> = path.split('/').skip(depth + 1).collect();
    let target = format!("/{}{}{query}", rest.join("/"), if query.is_empty() { "" } else { "?" });
    let mut request = Request::new(framed.take_body());
    *request.method_mut() = framed.method.clone();
    *request.uri_mut() =
        target.parse().map_err(|e| Status::bad_request(format!("cannot ask for {target:?}: {e}")))?;
    *request.headers_mut() = end_to_end(&framed.headers);
    forwarded_for(request.headers_mut(), framed.peer.remote.ip());
    let answer = client.send(request).await.map_err(|e| {
        let why = e.cause().map_or_else(|| e.to_string(), ToString::to_string);
        Status::service_unavailable(format!("error trying to reach service: {why}"))
    })?;
    let (head, content) = answer.into_parts();
    let mut response = Response::new(content);
    *response.status_mut() = head.status;
    *response.headers_mut() = end_to_end(&head.headers);
    Ok(response)
}

/// Somebody who serves a port of a service, by chance (`pkg/registry/core/service/storage`).
async fn endpoint(ctx: &Ctx, service: &Value, port: &str) -> Result<(String, String), Status> {
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
    let object = found.map(|stored| stored.object);
    let subsets = object.as_ref().map_or(&[][..], |o| o.list_at("/subsets"));
    let mut all = Vec::new();
    for subset in subsets {
        let mut ports = subset.list_at("/ports").iter();
        let Some(port) = ports.find(|p| p.str_at("/name") == wanted.str_at("/name")) else { continue };
        let port = port.i64_at("/port").unwrap_or_default().to_string();
        all.extend(subset.list_at("/addresses").iter().map(|a| (a.str_at("/ip").to_owned(), port.clone())));
    }
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
