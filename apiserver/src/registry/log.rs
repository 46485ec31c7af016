//! GET of `pods/log`: what the kubelet of the pod's node has kept of a container's output.
//!
//! Upstream: `pkg/registry/core/pod/strategy.go` (`LogLocation`) and `rest/log.go`.

use std::sync::Arc;

use api::{object::ObjectExt, status::Status};
use http::{HeaderValue, Request, Response, header};
use wire::{Body, body};

use super::{connect::container, fetch};
use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{Permitted, Refusal},
    respond,
};

/// So much of a kubelet's refusal is read.
const REFUSAL_BYTES: usize = 2048;

pub(super) async fn log(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let info = permitted.info();
    let (namespace, name) = (&info.namespace, &info.name);
    let pod = fetch(ctx, &served, namespace, name).await?.object;
    let request = permitted.request();
    let container = container(&pod, request.query.get("container").unwrap_or_default())?;
    let node = pod.str_at("/spec/nodeName");
    if node.is_empty() {
        return Ok(respond::text(200, ""));
    }
    let Some(nodes) = ctx.catalog.find("", "v1", "nodes") else {
        return Err(Status::no_such_resource().into());
    };
    let node = fetch(ctx, &nodes, "", node).await?.object;
    let kubelet = ctx.kubelets.of(&node)?;
    let options = request.target.find('?').map_or("", |at| &request.target[at..]);
    let path = format!("/containerLogs/{namespace}/{name}/{container}{options}");
    let asked = Request::get(&path)
        .body(body::empty())
        .map_err(|e| Status::bad_request(format!("cannot ask the kubelet for {path}: {e}")))?;
    let answer = kubelet.send(asked).await.map_err(|e| Status::unclassified(e.to_string()))?;
    let (head, content) = answer.into_parts();
    if !head.status.is_success() {
        let words = body::collect(content, REFUSAL_BYTES).await.unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        return Err(match head.status.as_u16() {
            400 => Status::bad_request(words.trim()),
            500 => Status::internal(words.trim()),
            code => Status::from_response(code, words.as_bytes(), "", &served.qualified(), name),
        }
        .into());
    }
    let mut response = Response::new(content);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}
