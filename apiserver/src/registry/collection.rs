//! DELETE of a collection: a list, then one deletion after the other; not atomic, as upstream.

use std::sync::Arc;

use api::object::ObjectExt;
use http::Response;
use wire::Body;

use super::{
    delete::{self, DeleteOptions},
    list, wanted,
};
use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{ListOptions, Permitted, Refusal, WriteOptions, write::Scope},
};

pub(super) async fn delete(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let options = ListOptions::parse(&permitted.request().query, false)?;
    let delete = DeleteOptions::of(ctx, &permitted).await?;
    let write = WriteOptions { dry_run: delete.dry_run, ..WriteOptions::default() };
    let scope = Scope::new(&permitted, served, write);
    let page = list::page(ctx, &scope.served, &permitted.info().namespace, &options).await?;
    for item in &page.items {
        let object = item.object()?;
        let mut one = scope.on(scope.served.clone(), object.name(), "");
        one.namespace = object.namespace().to_owned();
        match delete::remove(ctx, &one, &delete).await {
            Ok(_) => {}
            Err(status) if status.is_not_found() => {}
            Err(status) => return Err(status.into()),
        }
    }
    Ok(wanted.list(&scope.served, &page.meta, &page.items, permitted.request().received_at)?)
}
