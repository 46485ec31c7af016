//! Follows the definitions: settles their names, serves what is established, withdraws what is gone.

use std::{collections::BTreeMap, sync::Arc};

use api::object::ObjectExt;
use client::{Change, ClientError, Next, QueueOptions, Resource, WorkQueue, run_workers};
use parking_lot::Mutex;
use serde_json::Value;

use super::{custom, finalize, is_true, names};
use crate::{catalog::Served, context::Ctx};

/// One: two definitions that want one name must be looked at in turn.
const WORKERS: usize = 1;

pub(super) fn resource() -> Resource {
    Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

/// What is served for one definition.
struct Entry {
    /// Everything that the served kinds were made from.
    made_from: String,
    kinds: Vec<Arc<Served>>,
}

type Entries = Arc<Mutex<BTreeMap<String, Entry>>>;

/// Serves what is established, and follows the definitions from there.
pub(crate) async fn run(ctx: Ctx) -> Result<(), String> {
    let informer = &ctx.informers.crds;
    informer.synced().await;
    let entries = Entries::default();
    for definition in informer.list() {
        serve(&ctx, &entries, &definition).await;
    }
    let queue = WorkQueue::new(&ctx.host, QueueOptions::default());
    let changed = queue.clone();
    informer.on(move |change: &Change| changed.add(change.key()));
    let (worker, again) = (ctx.clone(), queue.clone());
    run_workers(&ctx.host, WORKERS, &queue, move |name| {
        let (ctx, entries, queue) = (worker.clone(), entries.clone(), again.clone());
        async move { sync(&ctx, &entries, &queue, &name).await }
    });
    Ok(())
}

async fn sync(ctx: &Ctx, entries: &Entries, queue: &WorkQueue, name: &str) -> Result<Next, ClientError> {
    let Some(definition) = ctx.informers.crds.get(None, name) else {
        let gone = entries.lock().remove(name);
        withdraw(ctx, gone.map(|entry| entry.kinds).unwrap_or_default());
        // A name that became free may be what another definition waits for.
        for waiting in ctx.informers.crds.list().iter().filter(|d| !is_true(d, "NamesAccepted")) {
            queue.add(waiting.name());
        }
        return Ok(Next::OnChange);
    };
    let settled = names::settle(&definition, &ctx.informers.crds.list(), ctx.host.clock().wall());
    if settled != *definition {
        return write(ctx, &settled).await;
    }
    if let Some(established) = names::establish(&definition, ctx.host.clock().wall()) {
        // Served before it is said: whoever waits for the condition finds the resource.
        serve(ctx, entries, &established).await;
        return write(ctx, &established).await;
    }
    serve(ctx, entries, &definition).await;
    if definition.is_terminating() && definition.has_finalizer(super::FINALIZER) {
        return finalize::finalize(ctx, &definition).await;
    }
    Ok(Next::OnChange)
}

/// Writes a status; the new state comes here again by itself.
async fn write(ctx: &Ctx, next: &Value) -> Result<Next, ClientError> {
    match ctx.rest.update_sub(&resource(), None, next.name(), "status", next).await {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
        _ => Ok(Next::OnChange),
    }
}

/// Brings catalog and caches to what an established definition says.
async fn serve(ctx: &Ctx, entries: &Entries, definition: &Value) {
    if !is_true(definition, "Established") {
        return;
    }
    let made_from = format!(
        "{} {} {} {}",
        definition.uid(),
        definition.generation(),
        definition.is_terminating(),
        definition.at("/status/acceptedNames").unwrap_or(&Value::Null),
    );
    if entries.lock().get(definition.name()).is_some_and(|entry| entry.made_from == made_from) {
        return;
    }
    let kinds: Vec<Arc<Served>> = custom::served(definition).into_iter().map(Arc::new).collect();
    for served in &kinds {
        // Watches end and begin again: what they show may have another shape now.
        ctx.caches.register(served).await;
        ctx.catalog.put(Served::clone(served));
    }
    let entry = Entry { made_from, kinds: kinds.clone() };
    let before = entries.lock().insert(definition.name().to_owned(), entry);
    let dropped = before.map(|entry| entry.kinds).unwrap_or_default().into_iter();
    withdraw(ctx, dropped.filter(|old| !kinds.iter().any(|new| new.version == old.version)).collect());
    ctx.host.record(
        "custom-resource",
        vec![("action", "served".to_owned()), ("name", definition.name().to_owned())],
    );
}

fn withdraw(ctx: &Ctx, kinds: Vec<Arc<Served>>) {
    for served in kinds {
        ctx.catalog.withdraw(&served.group, &served.version, &served.plural);
        ctx.caches.forget(&served);
    }
}
