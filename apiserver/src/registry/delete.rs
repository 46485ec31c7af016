//! DELETE of one object: preconditions, grace, finalizers, then it is gone.

use std::sync::Arc;

use api::{
    kinds::Propagation,
    meta,
    object::ObjectExt,
    status::{self, FieldError, Status},
};
use http::Response;
use serde_json::Value;
use wire::Body;
use world::Wall;

use super::{fetch, rules, wanted};
use crate::{
    catalog::Served,
    context::Ctx,
    crd::convert,
    pipeline::{
        Permitted, Refusal, WriteOptions, content_type, parse_object, read_body,
        write::{self, Scope, Stored},
    },
    watch_cache::{Item, store_status},
};

/// What becomes of dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Background,
    Foreground,
    Orphan,
}

impl Policy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// `metav1.DeleteOptions`, from the body or the query.
#[derive(Clone, Debug, Default)]
pub(super) struct DeleteOptions {
    grace: Option<i64>,
    policy: Option<Policy>,
    /// The caller used the old `orphanDependents: false`.
    orphan_false: bool,
    uid: Option<String>,
    pub(super) resource_version: Option<String>,
    pub(super) dry_run: bool,
    /// As they were given, for admission.
    given: Value,
}

impl DeleteOptions {
    fn read(options: &Value) -> Result<Self, Status> {
        let refuse = |error| Err(Status::invalid("DeleteOptions.meta.k8s.io", "", vec![error]));
        let mut read = Self {
            grace: options.i64_at("/gracePeriodSeconds").map(|n| if n < 0 { 1 } else { n }),
            given: options.clone(),
            ..Self::default()
        };
        let text = |pointer: &str| options.at(pointer).and_then(Value::as_str).map(str::to_owned);
        read.uid = text("/preconditions/uid");
        read.resource_version = text("/preconditions/resourceVersion");
        let orphan = options.at("/orphanDependents").and_then(Value::as_bool);
        let policy = text("/propagationPolicy");
        if orphan.is_some() && policy.is_some() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            return refuse(FieldError::invalid("propagationPolicy", policy.unwrap_or_default(), why));
        }
        read.policy = match policy.as_deref() {
            None => match orphan {
                Some(true) => Some(Policy::Orphan),
                Some(false) => Some(Policy::Background),
                None => None,
            },
            Some("Background") => Some(Policy::Background),
            Some("Foreground") => Some(Policy::Foreground),
            Some("Orphan") => Some(Policy::Orphan),
            Some(other) => {
                let known = ["Foreground", "Background", "Orphan", "nil"];
                return refuse(FieldError::not_supported("propagationPolicy", other, &known));
            }
        };
        read.orphan_false = orphan == Some(false);
        for value in options.list_at("/dryRun") {
            if value.as_str() != Some("All") {
                return refuse(FieldError::not_supported("dryRun", value.clone(), &["All"]));
            }
            read.dry_run = true;
        }
        Ok(read)
    }

    /// Body if there is one, else query.
    pub(super) async fn of(ctx: &Ctx, permitted: &Permitted) -> Result<Self, Status> {
        let media = content_type(permitted.request()).to_owned();
        let bytes = read_body(ctx, permitted).await?;
        let query = &permitted.request().query;
        let from_query = WriteOptions::parse(query, "DeleteOptions")?;
        let mut options = if bytes.is_empty() {
            let mut value = serde_json::json!({});
            if let Some(seconds) = query.get("gracePeriodSeconds") {
                let seconds: i64 = seconds.parse().map_err(|_| {
                    Status::bad_request(format!("strconv.ParseInt: parsing {seconds:?}: invalid syntax"))
                })?;
                value["gracePeriodSeconds"] = seconds.into();
            }
            if let Some(policy) = query.get("propagationPolicy") {
                value["propagationPolicy"] = policy.into();
            }
            if query.has("orphanDependents") {
                value["orphanDependents"] = query.truthy("orphanDependents").into();
            }
            Self::read(&value)?
        } else {
            Self::read(&parse_object(&bytes, &media)?)?
        };
        options.dry_run |= from_query.dry_run;
        Ok(options)
    }

    /// Options for a deletion on behalf of an eviction.
    pub(super) fn from_value(value: &Value) -> Result<Self, Status> {
        Self::read(value)
    }
}

/// How far a deletion came.
pub(super) enum Deleted {
    /// The object is gone; its last state.
    Gone(Arc<Value>),
    /// It only began to end.
    Terminating(Item),
}

pub(super) async fn delete(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let options = DeleteOptions::of(ctx, &permitted).await?;
    let write = WriteOptions { dry_run: options.dry_run, ..WriteOptions::default() };
    let scope = Scope::new(&permitted, served, write);
    let now = permitted.request().received_at;
    let deleted = remove(ctx, &scope, &options).await?;
    Ok(match deleted {
        Deleted::Terminating(item) => {
            let code = if options.orphan_false { 202 } else { 200 };
            wanted.item(code, &scope.served, &item, now)?
        }
        Deleted::Gone(object) if scope.served.delete_returns_object => {
            wanted.object(200, &scope.served, &object, now)
        }
        Deleted::Gone(object) => {
            wanted.value(200, &status::deleted(&scope.served.qualified(), object.name(), object.uid()))
        }
    })
}

/// Deletes the object of a scope as far as finalizers and grace allow.
///
/// # Errors
/// 404, 409 for a precondition, 403 by admission, what the store says.
pub(super) async fn remove(ctx: &Ctx, scope: &Scope<'_>, options: &DeleteOptions) -> Result<Deleted, Status> {
    let now = scope.permitted.request().received_at;
    loop {
        let stored = fetch(ctx, &scope.served, &scope.namespace, &scope.name).await?;
        preconditions(scope, options, &stored.object)?;
        scope.admit_delete(ctx, &stored.object, &options.given).await?;
        if let Some(next) = lingering(&scope.served, options, &stored.object, now) {
            if next == *stored.object {
                let short = short_key(scope);
                return Ok(Deleted::Terminating(Item::parsed(short, stored.revision, stored.object)));
            }
            match store_terminating(ctx, scope, next, &stored).await? {
                Some(item) => return Ok(Deleted::Terminating(item)),
                None => continue,
            }
        }
        if scope.options.dry_run {
            return Ok(Deleted::Gone(stored.object));
        }
        let key = scope.served.key(&scope.namespace, &scope.name);
        if write::delete(ctx, scope, &key, &stored).await?.is_some() {
            return Ok(Deleted::Gone(stored.object));
        }
    }
}

fn short_key(scope: &Scope<'_>) -> String {
    if scope.served.namespaced { format!("{}/{}", scope.namespace, scope.name) } else { scope.name.clone() }
}

/// Refuses another object, or another version of it, than the options want.
///
/// # Errors
/// 409.
pub(super) fn preconditions(
    scope: &Scope<'_>,
    options: &DeleteOptions,
    object: &Value,
) -> Result<(), Status> {
    let conflict = |why: String| Err(Status::conflict(&scope.served.qualified(), &scope.name, why));
    if let Some(uid) = &options.uid
        && uid != object.uid()
    {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            object.uid()
        ));
    }
    if let Some(version) = &options.resource_version
        && version != object.resource_version()
    {
        return conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The object might have been modified",
            object.resource_version()
        ));
    }
    Ok(())
}

/// The object as it waits for its end, or `None` if nothing holds it.
fn lingering(served: &Served, options: &DeleteOptions, object: &Value, now: Wall) -> Option<Value> {
    let mut next = object.clone();
    if served.propagation != Propagation::Unsupported {
        let policy = options.policy.map_or("", Policy::as_str);
        meta::set_gc_finalizers(&mut next, meta::gc_finalizer(object, policy, served.propagation));
    }
    // A definition waits for its instances.
    if served.group == "apiextensions.k8s.io" && !object.is_terminating() {
        crate::crd::begin_end(&mut next, now);
    }
    let grace = grace(served, options, object);
    let held = next.finalizers().next().is_some() || rules::holds_namespace(served, &next);
    if !held && grace == 0 {
        return None;
    }
    meta::mark_deleted(&mut next, now, grace);
    if served.plural == "namespaces" && served.group.is_empty() {
        next.set_at("/status/phase", "Terminating");
    }
    Some(next)
}

/// How long a pod gets to end; no other kind waits.
fn grace(served: &Served, options: &DeleteOptions, object: &Value) -> i64 {
    if served.plural != "pods" || !served.group.is_empty() {
        return 0;
    }
    let done = matches!(object.str_at("/status/phase"), "Succeeded" | "Failed");
    if object.str_at("/spec/nodeName").is_empty() || done {
        return 0;
    }
    let own = object.i64_at("/spec/terminationGracePeriodSeconds").unwrap_or(30);
    let wanted = options.grace.unwrap_or(own).max(0);
    match object.deletion_grace_period_seconds().filter(|_| object.is_terminating()) {
        Some(left) => wanted.min(left),
        None => wanted,
    }
}

async fn store_terminating(
    ctx: &Ctx,
    scope: &Scope<'_>,
    mut next: Value,
    stored: &Stored,
) -> Result<Option<Item>, Status> {
    if scope.options.dry_run {
        return Ok(Some(Item::parsed(short_key(scope), stored.revision, Arc::new(next))));
    }
    let key = scope.served.key(&scope.namespace, &scope.name);
    let value = convert::stored_form(ctx, &scope.served, &next).await?;
    let outcome = ctx
        .store
        .put_if(key.into(), value, stored.revision, stored.lease)
        .await
        .map_err(|e| store_status(&e))?;
    Ok(match outcome {
        store::Outcome::Committed(revision) => {
            next.set_resource_version(&revision.to_string());
            Some(Item::parsed(short_key(scope), revision, Arc::new(next)))
        }
        store::Outcome::Conflict(_) => None,
    })
}
