//! PUT, and the loop that every change of a stored object runs in.

use std::sync::Arc;

use api::{object::ObjectExt, status::Status};
use http::Response;
use serde_json::Value;
use wire::Body;
use world::mutant;

use super::{create, fetch_opt, rules, wanted, written};
use crate::{
    catalog::Served,
    context::Ctx,
    managed_fields,
    pipeline::{
        Permitted, Refusal, WriteOptions, read_checked_object,
        write::{Committed, Decoded, Scope, Stored},
    },
    watch_cache::Item,
};

pub(super) async fn update(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let options = WriteOptions::parse(&permitted.request().query, "UpdateOptions")?;
    let version = served.api_version();
    let (mut object, duplicates) =
        read_checked_object(ctx, &permitted, &version, &served.kind, options.validation).await?;
    let scope = Scope::new(&permitted, served, options).with_duplicates(duplicates);
    rules::settle_namespace(&mut object, &scope.served, &scope.namespace)?;
    settle_name(&mut object, &scope.name)?;
    rules::default(&scope, &mut object)?;
    let creates = scope.served.create_on_update && scope.subresource.is_empty();
    if creates && fetch_opt(ctx, &scope.served, &scope.namespace, &scope.name).await?.is_none() {
        if object.resource_version().is_empty() || object.resource_version() == "0" {
            // Who may only change what is there makes nothing new.
            permitted.also_by(ctx, "create").await?;
            match create::store_new(ctx, &scope, object.clone()).await {
                Ok(item) => return written(&scope, wanted, 201, &item),
                // Somebody created it in between: now it is an update.
                Err(status) if status.is_already_exists() => {}
                Err(status) => return Err(status.into()),
            }
        } else {
            return Err(Status::not_found(&scope.served.qualified(), &scope.name).into());
        }
    }
    let item = change_tracked(ctx, &scope, |stored| {
        let mut object = object.clone();
        if mutant("update-whatever-version") {
            object.set_resource_version(stored.object.resource_version());
        }
        Ok(object)
    })
    .await?;
    written(&scope, wanted, 200, &item)
}

fn settle_name(object: &mut Value, name: &str) -> Result<(), Status> {
    if object.name().is_empty() {
        object.set_name(name);
        return Ok(());
    }
    if object.name() != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            object.name()
        )));
    }
    Ok(())
}

/// As [`change`], on behalf of a client: it comes to own what it changes.
///
/// # Errors
/// As [`change`].
pub(super) async fn change_tracked(
    ctx: &Ctx,
    scope: &Scope<'_>,
    apply: impl Fn(&Stored) -> Result<Value, Status>,
) -> Result<Item, Status> {
    change(ctx, scope, |stored| {
        let mut object = apply(stored)?;
        managed_fields::update(ctx, scope, Some(&stored.object), &mut object);
        Ok(object)
    })
    .await
}

/// Read, apply, mutate, prepare, validate, compare-and-write; from the start again after a lost
/// race.
///
/// # Errors
/// 404 when there is nothing to change; whatever refuses the change.
pub(super) async fn change(
    ctx: &Ctx,
    scope: &Scope<'_>,
    apply: impl Fn(&Stored) -> Result<Value, Status>,
) -> Result<Item, Status> {
    loop {
        let Some(stored) = fetch_opt(ctx, &scope.served, &scope.namespace, &scope.name).await? else {
            return Err(Status::not_found(&scope.served.qualified(), &scope.name));
        };
        let object = apply(&stored)?;
        let decoded = Decoded::new(scope, object, Some(&stored));
        match decoded.mutate(ctx).await?.prepare(ctx).await?.admit(ctx).await?.commit(ctx).await? {
            Committed::Written(item) | Committed::Removed(item) | Committed::Unchanged(item) => {
                return Ok(item);
            }
            Committed::Lost => {}
        }
    }
}
