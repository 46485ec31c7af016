//! GET of one object.

use std::sync::Arc;

use api::status::Status;
use http::Response;
use wire::Body;

use super::wanted;
use crate::{
    catalog::Served,
    context::Ctx,
    crd::convert,
    pipeline::{Permitted, Refusal, parse_resource_version},
    watch_cache::{Item, store_status},
};

pub(super) async fn get(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let info = permitted.info();
    let key = served.key(&info.namespace, &info.name);
    let short = key.strip_prefix(&served.prefix("")).unwrap_or_default().to_owned();
    let now = permitted.request().received_at;
    let version =
        parse_resource_version(permitted.request().query.get("resourceVersion").unwrap_or_default())?;
    // With a version any state that is at least so new will do, and the cache has one.
    if let Some(version) = version {
        ctx.caches.wait_for(version).await?;
        return match ctx.caches.get(&served, &short) {
            Some(item) => {
                convert::ready(ctx, &served, std::slice::from_ref(&item)).await?;
                Ok(wanted.item(200, &served, &item, now)?)
            }
            None => Err(Status::not_found(&served.qualified(), &info.name).into()),
        };
    }
    let (found, _) = ctx.store.get(key.as_bytes(), None).await.map_err(|e| store_status(&e))?;
    let Some(kv) = found else { return Err(Status::not_found(&served.qualified(), &info.name).into()) };
    let cached = ctx.caches.get(&served, &short).filter(|item| item.revision() == kv.mod_revision);
    let item =
        cached.unwrap_or_else(|| Arc::new(Item::stored(short, kv.mod_revision, kv.value, served.clone())));
    convert::ready(ctx, &served, std::slice::from_ref(&item)).await?;
    Ok(wanted.item(200, &served, &item, now)?)
}
