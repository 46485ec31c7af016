//! The end of a definition: its instances go first, and its conditions say how far that is.

use std::{collections::BTreeSet, time::Duration};

use api::{meta, object::ObjectExt};
use client::{ClientError, DeleteParams, ListParams, Next, Resource};
use serde_json::Value;
use store::{ListOptions, Outcome, Range, StoreError};

use super::{FINALIZER, controller::resource, is_true, set_condition};
use crate::{
    context::Ctx,
    watch_cache::{encode, store_status},
};

/// Between two looks at whether instances with finalizers are gone.
const INTERVAL: Duration = Duration::from_secs(5);

pub(super) async fn finalize(ctx: &Ctx, definition: &Value) -> Result<Next, ClientError> {
    let reason = super::condition(definition, "Terminating").map_or("", |c| c.str_at("/reason"));
    if !matches!(reason, "InstanceDeletionInProgress" | "InstanceDeletionCompleted") {
        let why = "CustomResource deletion is in progress";
        return condition(ctx, definition, "True", "InstanceDeletionInProgress", why).await;
    }
    if !delete_instances(ctx, definition).await? {
        return Ok(Next::After(ctx.host.periods().of(INTERVAL)));
    }
    if reason != "InstanceDeletionCompleted" {
        let why = "removed all instances";
        return condition(ctx, definition, "False", "InstanceDeletionCompleted", why).await;
    }
    let mut last = definition.clone();
    last.remove_finalizer(FINALIZER);
    settled(ctx.rest.update(&resource(), None, definition.name(), &last).await)
}

async fn condition(
    ctx: &Ctx,
    definition: &Value,
    status: &str,
    reason: &str,
    message: &str,
) -> Result<Next, ClientError> {
    let mut next = definition.clone();
    set_condition(&mut next, "Terminating", status, reason, message, ctx.host.clock().wall());
    settled(ctx.rest.update_sub(&resource(), None, definition.name(), "status", &next).await)
}

/// A change that came in between comes here by itself.
fn settled(written: Result<Value, ClientError>) -> Result<Next, ClientError> {
    match written {
        Err(error) if !error.is_conflict() && !error.is_not_found() => Err(error),
        _ => Ok(Next::OnChange),
    }
}

/// Deletes what there is; whether nothing is left.
async fn delete_instances(ctx: &Ctx, definition: &Value) -> Result<bool, ClientError> {
    // Never served: nobody could make an instance.
    if !is_true(definition, "Established") {
        return Ok(true);
    }
    // A version that is served now shows them all.
    let versions = definition.list_at("/spec/versions");
    let Some(version) = versions.iter().find(|v| v.bool_at("/served")) else {
        let deleted = delete_stored(ctx, definition).await;
        return deleted.map_err(|error| ClientError::Status(Box::new(store_status(&error))));
    };
    let instances = Resource::named(
        definition.str_at("/spec/group"),
        version.str_at("/name"),
        definition.str_at("/spec/names/plural"),
    );
    let list = ctx.rest.list_all(&instances, None, &ListParams::default()).await?;
    if list.items.is_empty() {
        return Ok(true);
    }
    let namespaces: BTreeSet<&str> = list.items.iter().map(|object| object.namespace()).collect();
    for namespace in namespaces {
        let namespace = Some(namespace).filter(|n| !n.is_empty());
        ctx.rest
            .delete_collection(&instances, namespace, &DeleteParams::default(), &ListParams::default())
            .await?;
    }
    Ok(ctx.rest.list_all(&instances, None, &ListParams::default()).await?.items.is_empty())
}

/// Deletes what no version shows where it is kept; whether nothing is left. What has finalizers waits for them, as
/// it would if it were shown.
async fn delete_stored(ctx: &Ctx, definition: &Value) -> Result<bool, StoreError> {
    let (group, plural) = (definition.str_at("/spec/group"), definition.str_at("/spec/names/plural"));
    let instances = Range::prefix(format!("/registry/{group}/{plural}/"));
    let listing = ctx.store.list(instances, ListOptions::default()).await?;
    let mut left = false;
    for kv in listing.kvs {
        // What cannot be read holds nothing up.
        let mut object: Value = serde_json::from_slice(&kv.value).unwrap_or_default();
        if object.finalizers().next().is_none() {
            let deleted = ctx.store.delete_if(kv.key, kv.mod_revision).await?;
            left |= matches!(deleted, Outcome::Conflict(_));
            continue;
        }
        left = true;
        if !object.is_terminating() {
            meta::mark_deleted(&mut object, ctx.host.clock().wall(), 0);
            ctx.store.put_if(kv.key, encode(&object), kv.mod_revision, kv.lease).await?;
        }
    }
    Ok(!left)
}
