//! Server-side apply, in a plain form: what is applied is created or merged in. Who owns which field
//! is not recorded, so an apply never conflicts and never removes what an earlier one set.

use std::sync::Arc;

use api::{
    object::ObjectExt,
    patch::{merge_patch, strategic_merge},
    status::Status,
};
use http::Response;
use serde_json::Value;
use wire::Body;

use super::{create, fetch_opt, rules, update::change, written};
use crate::{
    catalog::{Nature, Served},
    context::Ctx,
    pipeline::{Permitted, Refusal, WriteOptions, expect_kind, write::Scope},
    respond::Wanted,
};

pub(super) async fn apply(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
    wanted: Wanted,
    options: WriteOptions,
    mut object: Value,
) -> Result<Response<Body>, Refusal> {
    expect_kind(&mut object, &served.api_version(), &served.kind)?;
    if object.at("/metadata/managedFields").is_some() {
        return Err(Status::bad_request("metadata.managedFields must be nil").into());
    }
    let scope = Scope::new(&permitted, served, options);
    rules::settle_namespace(&mut object, &scope.served, &scope.namespace)?;
    object.set_name(&scope.name);
    if scope.subresource.is_empty()
        && fetch_opt(ctx, &scope.served, &scope.namespace, &scope.name).await?.is_none()
    {
        match create::store_new(ctx, &scope, object.clone()).await {
            Ok(item) => return written(&scope, wanted, 201, &item),
            Err(status) if status.is_already_exists() => {}
            Err(status) => return Err(status.into()),
        }
    }
    let item = change(ctx, &scope, |stored| {
        let mut merged = match &scope.served.nature {
            Nature::BuiltIn(kind) => strategic_merge(kind, &stored.object, &object)?,
            Nature::Custom(_) => merge_patch(&stored.object, &object)?,
        };
        rules::default(&scope, &mut merged)?;
        Ok(merged)
    })
    .await?;
    written(&scope, wanted, 200, &item)
}
