//! The end of a definition: its instances go first, and its conditions say how far that is.

use std::{collections::BTreeSet, time::Duration};

use api::object::ObjectExt;
use client::{ClientError, DeleteParams, ListParams, Next, Resource};
use serde_json::Value;

use super::{FINALIZER, controller::resource, is_true, set_condition};
use crate::context::Ctx;

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
    let versions = definition.list_at("/spec/versions");
    // Never served: nobody could make an instance. A version that is served now shows them all.
    let Some(version) =
        versions.iter().find(|v| v.bool_at("/served")).filter(|_| is_true(definition, "Established"))
    else {
        return Ok(true);
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
