//! Whose request it is: aggregator, resources, health, pages; else 404.

use api::status::Status;
use http::{HeaderMap, Response};
use serde_json::json;
use wire::Body;

use super::{Forward, Page, Permitted, Refusal, debug};
use crate::{context::Ctx, registry, respond};

/// Finds who answers.
pub(super) async fn direct(ctx: &Ctx, mut permitted: Permitted) -> Result<Response<Body>, Refusal> {
    let info = permitted.info().clone();
    let (group, version) = match info.path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["apis", group, version, ..] => ((*group).to_owned(), (*version).to_owned()),
        _ => (info.group.clone(), info.version.clone()),
    };
    if let Some(delegate) = ctx.delegate.get()
        && !group.is_empty()
        && delegate.claims(&group, &version)
    {
        let user = permitted.user().clone();
        let request = permitted.request_mut();
        let forward = Forward {
            method: request.method.clone(),
            target: request.target.clone(),
            headers: std::mem::replace(&mut request.headers, HeaderMap::new()),
            body: request.take_body(),
            extensions: std::mem::take(&mut request.extensions),
            user,
            audit_id: request.audit_id.clone(),
            remote: request.peer.remote.ip(),
        };
        return Ok(delegate.forward(&group, &version, forward).await);
    }
    if info.resource_request {
        return match ctx.catalog.find(&info.group, &info.version, &info.resource) {
            Some(served) => Box::pin(registry::serve(ctx, permitted, served)).await,
            // A version that is built in has a router of its own, which does not ask further.
            None if ctx.catalog.has_builtin_version(&info.group, &info.version) => {
                Err(Status::no_such_resource().into())
            }
            None => not_found(ctx),
        };
    }
    if let Some(response) = ctx.health.answer(ctx, &info.path, &permitted.request().query).await {
        return Ok(response);
    }
    if let Some(response) = debug::answer(ctx, &permitted).await {
        return Ok(response);
    }
    let request = permitted.request();
    let page = Page {
        method: &request.method,
        path: &request.path,
        query: &request.query,
        headers: &request.headers,
        user: permitted.user(),
        now: request.received_at,
    };
    for pages in ctx.pages.get().into_iter().flatten() {
        if let Some(response) = pages.answer(&page).await {
            return Ok(response);
        }
    }
    if request.path == "/" || request.path.is_empty() {
        return Ok(index(ctx));
    }
    not_found(ctx)
}

/// Nobody's path. While not everything is installed it may become somebody's.
fn not_found(ctx: &Ctx) -> Result<Response<Body>, Refusal> {
    if ctx.lifecycle.is_installed() {
        return Err(Refusal::plain(404, "404 page not found\n"));
    }
    let words = "the request has been made before all known HTTP paths have been installed, please try again";
    Err(Status::service_unavailable(words).retry_after(5).into())
}

fn index(ctx: &Ctx) -> Response<Body> {
    let mut paths = ctx.health.paths();
    for pages in ctx.pages.get().into_iter().flatten() {
        paths.extend(pages.paths());
    }
    paths.sort();
    paths.dedup();
    let index = json!({ "paths": paths });
    respond::json_page(200, serde_json::to_vec_pretty(&index).unwrap_or_default())
}
