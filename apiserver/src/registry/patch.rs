//! PATCH: JSON patch, merge patch, strategic merge patch; apply is in its own file.

use std::sync::Arc;

use api::{
    object::ObjectExt,
    patch::{json_patch, merge_patch, strategic_merge},
    status::{FieldError, Status},
};
use http::Response;
use serde_json::Value;
use wire::Body;

use super::{apply, rules, update::change, wanted, written};
use crate::{
    catalog::{Nature, Served},
    context::Ctx,
    pipeline::{Permitted, Refusal, WriteOptions, content_type, parse_object, read_body, write::Scope},
};

const ACCEPTED: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
/// JSON patches beyond this are refused.
const MOST_OPERATIONS: usize = 10_000;

enum Form {
    Json,
    Merge,
    Strategic,
}

pub(super) async fn patch(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let options = WriteOptions::parse(&permitted.request().query, "PatchOptions")?;
    let invalid = |error| Err(Status::invalid("PatchOptions.meta.k8s.io", "", vec![error]).into());
    let form = match content_type(permitted.request()) {
        "application/json-patch+json" => Form::Json,
        "application/merge-patch+json" => Form::Merge,
        "application/strategic-merge-patch+json" if !served.is_custom() => Form::Strategic,
        "application/apply-patch+yaml" => {
            if options.field_manager.is_empty() {
                return invalid(FieldError::required("fieldManager", "is required for apply patch"));
            }
            let bytes = read_body(ctx, &permitted).await?;
            let object = parse_object(&bytes, "application/yaml")?;
            return apply::apply(ctx, permitted, served, wanted, options, object).await;
        }
        _ => return Err(Status::unsupported_media_type(&ACCEPTED).into()),
    };
    if permitted.request().query.has("force") {
        return invalid(FieldError::forbidden("force", "may not be specified for non-apply patch"));
    }
    let bytes = read_body(ctx, &permitted).await?;
    let patch: Value = serde_json::from_slice(&bytes)
        .map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))?;
    if let Form::Json = form
        && patch.as_array().is_some_and(|operations| operations.len() > MOST_OPERATIONS)
    {
        let count = patch.as_array().map_or(0, Vec::len);
        let words =
            format!("The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {count}");
        return Err(Status::new(413, "RequestEntityTooLarge", words).into());
    }
    let scope = Scope::new(&permitted, served, options);
    let item = change(ctx, &scope, |stored| {
        let mut object = patched(&scope.served, &form, &stored.object, &patch)?;
        if object.name() != stored.object.name() {
            return Err(Status::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                object.name(),
                stored.object.name()
            )));
        }
        rules::default(&scope, &mut object)?;
        Ok(object)
    })
    .await?;
    written(&scope, wanted, 200, &item)
}

fn patched(served: &Served, form: &Form, old: &Value, patch: &Value) -> Result<Value, Status> {
    match form {
        Form::Json => json_patch(old, patch),
        Form::Merge => merge_patch(old, patch),
        Form::Strategic => match &served.nature {
            Nature::BuiltIn(kind) => strategic_merge(kind, old, patch),
            Nature::Custom(_) => Err(Status::unsupported_media_type(&ACCEPTED)),
        },
    }
}
