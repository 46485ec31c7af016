//! POST to a collection.

use std::sync::Arc;

use api::{object::ObjectExt, status::Status};
use http::Response;
use serde_json::Value;
use wire::Body;

use super::{rules, wanted, written};
use crate::{
    catalog::Served,
    context::Ctx,
    managed_fields,
    pipeline::{
        Permitted, Refusal, WriteOptions, read_checked_object,
        write::{Committed, Decoded, Scope},
    },
    watch_cache::Item,
};

/// So often a generated name is tried.
const ATTEMPTS: usize = 8;

pub(super) async fn create(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let options = WriteOptions::parse(&permitted.request().query, "CreateOptions")?;
    let version = served.api_version();
    let (mut object, duplicates) =
        read_checked_object(ctx, &permitted, &version, &served.kind, options.validation).await?;
    let scope = Scope::new(&permitted, served, options).with_duplicates(duplicates);
    rules::settle_namespace(&mut object, &scope.served, &scope.namespace)?;
    let item = store_new(ctx, &scope, object).await?;
    written(&scope, wanted, 201, &item)
}

/// Takes a decoded object through the rest of the stages, with another name if a generated one is
/// taken.
///
/// # Errors
/// Whatever refuses it.
pub(super) async fn store_new(ctx: &Ctx, scope: &Scope<'_>, mut object: Value) -> Result<Item, Status> {
    rules::default(scope, &mut object)?;
    managed_fields::update(ctx, scope, None, &mut object);
    store_tracked(ctx, scope, object).await
}

/// As [`store_new`], for an object that has its defaults and managed fields.
///
/// # Errors
/// Whatever refuses it.
pub(super) async fn store_tracked(ctx: &Ctx, scope: &Scope<'_>, mut object: Value) -> Result<Item, Status> {
    let generated = object.name().is_empty() && !object.generate_name().is_empty();
    let mut attempt = 1;
    loop {
        // Kept for another attempt only if there may be one.
        let this = if generated { object.clone() } else { std::mem::take(&mut object) };
        let decoded = Decoded::new(scope, this, None);
        let result = decoded.mutate(ctx).await?.prepare(ctx).await?.admit(ctx).await?.commit(ctx).await;
        match result {
            Ok(Committed::Written(item) | Committed::Removed(item) | Committed::Unchanged(item)) => {
                return Ok(item);
            }
            // Only an update can lose its race.
            Ok(Committed::Lost) => return Err(Status::internal("a create was answered as an update")),
            Err(status) if status.is_already_exists() && generated && attempt < ATTEMPTS => attempt += 1,
            Err(status) if status.is_already_exists() && generated => {
                let name = status.details.map(|d| d.name).unwrap_or_default();
                return Err(Status::generate_name_conflict(&scope.served.qualified(), &name));
            }
            Err(status) => return Err(status),
        }
    }
}
