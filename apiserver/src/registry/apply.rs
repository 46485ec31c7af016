//! Server-side apply: what a manager wants of an object, over what is there.

use std::sync::Arc;

use api::{
    meta,
    object::ObjectExt,
    status::{FieldError, Status},
};
use http::Response;
use serde_json::Value;
use wire::Body;

use super::{create, fetch_opt, rules, update::change, written};
use crate::{
    catalog::Served,
    context::Ctx,
    managed_fields,
    pipeline::{FieldValidation, Permitted, Refusal, WriteOptions, read_body, write::Scope, yaml},
    respond::Wanted,
};

/// The configuration in the body.
///
/// # Errors
/// 422 without a manager; 400 for what is no object, or brings managed fields of its own.
pub(super) async fn read(ctx: &Ctx, permitted: &Permitted, options: &WriteOptions) -> Result<Value, Status> {
    if options.field_manager.is_empty() {
        let error = FieldError::required("fieldManager", "is required for apply patch");
        return Err(Status::invalid("PatchOptions.meta.k8s.io", "", vec![error]));
    }
    let bytes = read_body(ctx, permitted).await?;
    let unreadable = |why: &str| Status::bad_request(format!("error decoding YAML: {why}"));
    let text = std::str::from_utf8(&bytes).map_err(|e| unreadable(&e.to_string()))?;
    let config = yaml::read(text).map_err(|why| unreadable(&why))?;
    // A warning of it would have lines, which no header holds: upstream's is lost as well.
    if options.validation == FieldValidation::Strict
        && let Some(why) = yaml::repeated(text)
    {
        return Err(Status::bad_request(format!(
            "error strict decoding YAML: error converting YAML to JSON: {why}"
        )));
    }
    if !config.is_object() {
        return Err(unreadable("an object is written as a map"));
    }
    if config.at("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    Ok(config)
}

/// Refuses a configuration of another kind or version than the URL's.
///
/// # Errors
/// 400.
pub(super) fn check_kind(config: &Value, api_version: &str, kind: &str) -> Result<(), Status> {
    if (config.api_version(), config.kind()) == (api_version, kind) {
        return Ok(());
    }
    // As Go prints a group, a version and a kind: the slash stands even without a group.
    let version = match config.api_version() {
        version if version.contains('/') => version.to_owned(),
        version => format!("/{version}"),
    };
    Err(Status::bad_request(format!("invalid object type: {version}, Kind={}", config.kind())))
}

pub(super) async fn apply(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
    wanted: Wanted,
    options: WriteOptions,
    config: Value,
) -> Result<Response<Body>, Refusal> {
    check_kind(&config, &served.api_version(), &served.kind)?;
    let scope = Scope::new(&permitted, served, options);
    if scope.subresource.is_empty()
        && fetch_opt(ctx, &scope.served, &scope.namespace, &scope.name).await?.is_none()
    {
        permitted.also_by(ctx, "create").await?;
        let object = new_object(ctx, &scope, &config)?;
        match create::store_tracked(ctx, &scope, object).await {
            Ok(item) => return written(&scope, wanted, 201, &item),
            // Somebody created it in between: now it is a change.
            Err(status) if status.is_already_exists() => {}
            Err(status) => return Err(status.into()),
        }
    }
    let item = change(ctx, &scope, |stored| {
        let mut object = managed_fields::apply(ctx, &scope, Some(&stored.object), &config)?;
        rules::settle_namespace(&mut object, &scope.served, &scope.namespace)?;
        meta::check_name(&object, &scope.name)?;
        rules::default(&scope, &mut object)?;
        Ok(object)
    })
    .await?;
    written(&scope, wanted, 200, &item)
}

fn new_object(ctx: &Ctx, scope: &Scope<'_>, config: &Value) -> Result<Value, Status> {
    let mut object = managed_fields::apply(ctx, scope, None, config)?;
    if !object.uid().is_empty() {
        let why = format!(
            "uid mismatch: the provided object specified uid {}, and no existing object was found",
            object.uid()
        );
        return Err(Status::conflict(&scope.served.qualified(), &scope.name, why));
    }
    rules::settle_namespace(&mut object, &scope.served, &scope.namespace)?;
    meta::check_name(&object, &scope.name)?;
    rules::default(scope, &mut object)?;
    Ok(object)
}
