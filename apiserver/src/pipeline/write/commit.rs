//! The last stage of a write: compare-and-write, and what it comes to.

use std::sync::Arc;

use api::{fields::same_but_times, object::ObjectExt, status::Status};
use bytes::Bytes;
use serde_json::Value;
use store::{Outcome, StoreError};

use super::{Admitted, Scope, Stored};
use crate::{
    catalog::Served,
    context::Ctx,
    crd::convert,
    registry::rules,
    watch_cache::{Item, store_status},
};

/// What became of a write.
#[derive(Debug)]
pub enum Committed {
    /// Written (or, in a dry run, not): the object as it is now.
    Written(Item),
    /// It was the last thing that held a terminating object: the object is gone.
    Removed(Item),
    /// Nothing to write: the object as it was.
    Unchanged(Item),
    /// Somebody was faster: start again from what is there.
    Lost,
}

impl Admitted<'_, '_> {
    /// Compare-and-write.
    ///
    /// # Errors
    /// 409 when a create finds its name taken; what the store says otherwise.
    pub async fn commit(self, ctx: &Ctx) -> Result<Committed, Status> {
        let Self { scope, mut object, old, reservation } = self;
        let key = scope.served.key(object.namespace(), object.name());
        let short = short_key(&object, &scope.served);
        if let Some(old) = old {
            object.set_resource_version(old.object.resource_version());
            if rules::vanishes(&scope.served, &object) {
                return remove(ctx, scope, &key, short, object, old).await;
            }
            if same_but_times(&old.object, &object) && !old.stale {
                reservation.confirm();
                return Ok(Committed::Unchanged(Item::parsed(short, old.revision, old.object.clone())));
            }
        }
        if scope.options.dry_run {
            if old.is_none() && exists(ctx, &key).await? {
                return Err(Status::already_exists(&scope.served.qualified(), object.name()));
            }
            // The reservation ends here: nothing was written that could use it.
            let revision = old.map_or(0, |o| o.revision);
            return Ok(Committed::Written(Item::parsed(short, revision, Arc::new(object))));
        }
        let lease = match old {
            Some(old) => old.lease,
            None => ctx.leases.lease_for(ctx, scope).await?,
        };
        let expected = old.map_or(0, |o| o.revision);
        let put = Put { served: scope.served.clone(), key: key.into(), object, expected, lease };
        let Stood { outcome, raw, mut object } = if reservation.is_empty() {
            put.run(ctx).await?
        } else {
            // Whether what was taken is in use is known when the store has answered, and a client that goes away,
            // or a request whose time is over, does not wait for that.
            let ctx = ctx.clone();
            let host = ctx.host.clone();
            let task = host.spawn(async move {
                let stood = put.run(&ctx).await;
                if matches!(&stood, Ok(Stood { outcome: Outcome::Committed(_), .. })) {
                    reservation.confirm();
                }
                stood
            });
            task.join().await.unwrap_or_else(|| Err(cut_off()))?
        };
        match outcome {
            Outcome::Committed(revision) => {
                object.set_resource_version(&revision.to_string());
                let (served, object) = (scope.served.clone(), Arc::new(object));
                Ok(Committed::Written(Item::written(short, revision, raw, served, object)))
            }
            Outcome::Conflict(found) => match old {
                Some(_) => Ok(Committed::Lost),
                None => Err(taken(scope, &object, found.as_ref())),
            },
        }
    }
}

/// An object on its way into the store.
struct Put {
    served: Arc<Served>,
    key: Bytes,
    object: Value,
    expected: i64,
    lease: i64,
}

/// What the store said of it, and the object as it was put.
struct Stood {
    outcome: Outcome,
    raw: Bytes,
    object: Value,
}

impl Put {
    async fn run(self, ctx: &Ctx) -> Result<Stood, Status> {
        let Self { served, key, mut object, expected, lease } = self;
        let mut raw = convert::stored_form(ctx, &served, &object).await?;
        let mut outcome = ctx.store.put_if(key.clone(), raw.clone(), expected, lease).await;
        // Who owns what is given up before an object is.
        if matches!(outcome, Err(StoreError::TooLarge { .. }))
            && object.remove_at("/metadata/managedFields").is_some()
        {
            raw = convert::stored_form(ctx, &served, &object).await?;
            outcome = ctx.store.put_if(key, raw.clone(), expected, lease).await;
        }
        Ok(Stood { outcome: outcome.map_err(|error| write_status(&error))?, raw, object })
    }
}

/// Of a write whose task ended with its host.
fn cut_off() -> Status {
    Status::internal("the write was cut off")
}

/// `<namespace>/<name>` or `<name>`.
fn short_key(object: &Value, served: &Served) -> String {
    if served.namespaced {
        format!("{}/{}", object.namespace(), object.name())
    } else {
        object.name().to_owned()
    }
}

async fn exists(ctx: &Ctx, key: &str) -> Result<bool, Status> {
    let (found, _) = ctx.store.get(key.as_bytes(), None).await.map_err(|e| store_status(&e))?;
    Ok(found.is_some())
}

fn taken(scope: &Scope<'_>, object: &Value, found: Option<&store::Kv>) -> Status {
    let resource = scope.served.qualified();
    let mut status = Status::already_exists(&resource, object.name());
    let terminating = found
        .and_then(|kv| serde_json::from_slice::<Value>(&kv.value).ok())
        .is_some_and(|there| there.is_terminating());
    if terminating {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}

fn write_status(error: &StoreError) -> Status {
    match error {
        StoreError::TooLarge { .. } => Status::too_large("etcdserver: request is too large"),
        other => store_status(other),
    }
}

async fn remove(
    ctx: &Ctx,
    scope: &Scope<'_>,
    key: &str,
    short: String,
    object: Value,
    old: &Stored,
) -> Result<Committed, Status> {
    if scope.options.dry_run {
        return Ok(Committed::Removed(Item::parsed(short, old.revision, Arc::new(object))));
    }
    match delete(ctx, scope, key, old).await? {
        Some(revision) => Ok(Committed::Removed(Item::parsed(short, revision, Arc::new(object)))),
        None => Ok(Committed::Lost),
    }
}

/// Removes what is stored at `old`'s revision; `None` after a lost race.
///
/// # Errors
/// What the store says.
pub async fn delete(ctx: &Ctx, scope: &Scope<'_>, key: &str, old: &Stored) -> Result<Option<i64>, Status> {
    let (key, revision) = (Bytes::copy_from_slice(key.as_bytes()), old.revision);
    let held = ctx.allocator.leaving(&scope.served, &old.object);
    let outcome = if held.is_empty() {
        ctx.store.delete_if(key, revision).await
    } else {
        // What the object held is free when the store has answered, whoever waits for that.
        let store = ctx.store.clone();
        let settled = ctx.host.spawn(async move {
            let outcome = store.delete_if(key, revision).await;
            if matches!(outcome, Ok(Outcome::Committed(_))) {
                held.confirm();
            }
            outcome
        });
        settled.join().await.ok_or_else(cut_off)?
    };
    match outcome {
        Ok(Outcome::Committed(revision)) => Ok(Some(revision)),
        Ok(Outcome::Conflict(_)) => Ok(None),
        Err(error) => Err(store_status(&error)),
    }
}
