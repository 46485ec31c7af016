//! The verbs on resources. A request that came so far is permitted; here it finds its handler.

mod apply;
mod binding;
mod collection;
mod components;
pub(crate) mod connect;
mod create;
mod delete;
mod eviction;
mod get;
mod leases;
mod list;
mod log;
mod namespace;
mod page_token;
mod patch;
mod reviews;
pub mod rules;
pub(crate) mod scale;
mod signing_request;
mod tokens;
mod update;
mod watch;

use std::sync::Arc;

use api::status::{Details, Status};
use http::Response;
use wire::Body;

pub use leases::Leases;

use crate::{
    catalog::Served,
    context::Ctx,
    crd::convert,
    pipeline::{
        Permitted, Refusal,
        write::{Scope, Stored},
        write_warning,
    },
    respond::Wanted,
    watch_cache::{Item, decode, store_status},
};

/// Carries out a permitted request on a resource.
///
/// # Errors
/// Whatever refuses it, as a Status.
pub async fn serve(ctx: &Ctx, permitted: Permitted, served: Arc<Served>) -> Result<Response<Body>, Refusal> {
    let warning = match served.custom() {
        Some(custom) => custom.deprecation().map(str::to_owned),
        None => served.builtin().and_then(|kind| kind.deprecation(ctx.options.profile.minor())),
    };
    let mut response = dispatch(ctx, permitted, served).await?;
    if let Some(warning) = warning {
        write_warning(response.headers_mut(), &warning);
    }
    Ok(response)
}

async fn dispatch(ctx: &Ctx, permitted: Permitted, served: Arc<Served>) -> Result<Response<Body>, Refusal> {
    let info = permitted.info();
    let (verb, subresource) = (info.verb.clone(), info.subresource.clone());
    if !subresource.is_empty() && served.subresource(&subresource).is_none() {
        return Err(Status::no_such_resource().into());
    }
    if served.namespaced
        && info.namespace.is_empty()
        && matches!(verb.as_str(), "create" | "update" | "patch" | "delete")
    {
        // Such a path exists for listing only.
        return Err(not_allowed());
    }
    if !served.namespaced && !info.namespace.is_empty() && served.plural != "namespaces" {
        return Err(Status::no_such_resource().into());
    }
    // A definition that ends offers no writes, but what there is of it can be changed: how else would
    // its finalizers go?
    let changes = matches!(verb.as_str(), "update" | "patch") && served.is_custom();
    if !served.allows(&verb, &subresource) && !changes {
        return Err(not_allowed());
    }
    // Verbs on an object need a name, a create takes none but for a subresource.
    // Where upstream lists the methods of a path, HEAD is not among them; who passes requests on takes any.
    if permitted.request().method == http::Method::HEAD && subresource != "proxy" {
        return Err(not_allowed());
    }
    let on_object = matches!(verb.as_str(), "get" | "update" | "patch" | "delete");
    let named = !info.name.is_empty();
    if on_object && !named || verb == "create" && named && subresource.is_empty() {
        return Err(not_allowed());
    }
    match (verb.as_str(), subresource.as_str()) {
        ("get", "") if !served.is_stored() => Box::pin(components::get(ctx, permitted, served)).await,
        ("list", "") if !served.is_stored() => Box::pin(components::list(ctx, permitted, served)).await,
        ("create", "") if !served.is_stored() => Box::pin(reviews::review(ctx, permitted, served)).await,
        ("create", "binding") => Box::pin(binding::bind(ctx, permitted, served)).await,
        ("create", "eviction") => Box::pin(eviction::evict(ctx, permitted, served)).await,
        ("create", "token") => Box::pin(tokens::request(ctx, permitted, served)).await,
        ("get" | "update" | "patch", "scale") => Box::pin(scale::serve(ctx, permitted, served)).await,
        ("get", "" | "status" | "approval" | "ephemeralcontainers" | "resize") => {
            Box::pin(get::get(ctx, permitted, served)).await
        }
        ("get", "log") => Box::pin(log::log(ctx, permitted, served)).await,
        ("list", "") => Box::pin(list::list(ctx, permitted, served)).await,
        ("watch", "") => Box::pin(watch::watch(ctx, permitted, served)).await,
        ("create", "") => Box::pin(create::create(ctx, permitted, served)).await,
        ("update", "finalize") => Box::pin(namespace::finalize(ctx, permitted, served)).await,
        ("update", "" | "status" | "approval" | "ephemeralcontainers" | "resize") => {
            Box::pin(update::update(ctx, permitted, served)).await
        }
        ("patch", "" | "status" | "approval" | "ephemeralcontainers" | "resize") => {
            Box::pin(patch::patch(ctx, permitted, served)).await
        }
        ("delete", "") => Box::pin(delete::delete(ctx, permitted, served)).await,
        ("deletecollection", "") => Box::pin(collection::delete(ctx, permitted, served)).await,
        ("create" | "get", "exec" | "attach" | "portforward") => {
            Box::pin(connect::stream(ctx, permitted, served)).await
        }
        (_, "proxy") => Box::pin(connect::proxy(ctx, permitted, served)).await,
        _ => Err(Status::new(
            501,
            "NotImplemented",
            format!("{verb} of {}/{subresource} is not built into this server", served.qualified()),
        )
        .into()),
    }
}

/// Upstream's router refuses these before any handler sees them.
fn not_allowed() -> Refusal {
    let words = "the server does not allow this method on the requested resource";
    Status { details: Some(Details::default()), ..Status::new(405, "MethodNotAllowed", words) }.into()
}

/// What the store holds for one object now.
///
/// # Errors
/// 404; what the store says.
pub(crate) async fn fetch(ctx: &Ctx, served: &Served, namespace: &str, name: &str) -> Result<Stored, Status> {
    match fetch_opt(ctx, served, namespace, name).await? {
        Some(stored) => Ok(stored),
        None => Err(Status::not_found(&served.qualified(), name)),
    }
}

/// As [`fetch`], `None` for what is not there.
///
/// # Errors
/// What the store says.
pub(crate) async fn fetch_opt(
    ctx: &Ctx,
    served: &Served,
    namespace: &str,
    name: &str,
) -> Result<Option<Stored>, Status> {
    let key = served.key(namespace, name);
    let (found, _) = ctx.store.get(key.as_bytes(), None).await.map_err(|e| store_status(&e))?;
    let Some(kv) = found else { return Ok(None) };
    // Mostly the cache has this very revision parsed already.
    let short = key.strip_prefix(&served.prefix("")).unwrap_or_default();
    let (revision, lease) = (kv.mod_revision, kv.lease);
    let stale = served.is_custom() && !is_current(served, &kv.value);
    let cached = ctx.caches.get(served, short).filter(|item| item.revision() == revision);
    let object = match (cached, served.webhook()) {
        (Some(item), None) => item.object()?,
        (cached, Some(_)) => {
            let made = || {
                Arc::new(Item::stored(short.to_owned(), revision, kv.value.clone(), Arc::new(served.clone())))
            };
            let item = cached.unwrap_or_else(made);
            convert::ready(ctx, served, std::slice::from_ref(&item)).await?;
            item.object()?
        }
        (None, None) => {
            let object = decode(&kv.value, revision, Some(served));
            Arc::new(
                object.map_err(|e| {
                    Status::store_read(format!("unable to read the stored object {key:?}: {e}"))
                })?,
            )
        }
    };
    Ok(Some(Stored { object, revision, lease, stale }))
}

/// Whether bytes of the store are an object in the version that objects are stored in now.
fn is_current(served: &Served, raw: &[u8]) -> bool {
    let head = format!(r#"{{"kind":"{}","apiVersion":"{}","#, served.kind, served.stored_api_version);
    raw.starts_with(head.as_bytes())
}

/// The response to a write: the object.
pub(crate) fn written(
    scope: &Scope<'_>,
    wanted: Wanted,
    code: u16,
    item: &Item,
) -> Result<Response<Body>, Refusal> {
    Ok(wanted.item(code, &scope.served, item, scope.permitted.request().received_at)?)
}

/// What the request wants to read, negotiated before anything is done.
pub(crate) fn wanted(permitted: &Permitted) -> Result<Wanted, Status> {
    let request = permitted.request();
    Wanted::negotiate(&request.headers, &request.query)
}
