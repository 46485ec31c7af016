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

use super::{apply, rules, update::change_tracked, wanted, written};
use crate::{
    catalog::{Nature, Served},
    context::Ctx,
    pipeline::{
        FieldValidation, Permitted, Refusal, WriteOptions, content_type, read_body, repeated, settle_numbers,
        write::Scope,
    },
};

/// The forms in which built-in kinds take patches.
const ACCEPTED: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    APPLY,
];
/// The forms for custom resources, whose lists no patch knows.
const ACCEPTED_CUSTOM: [&str; 3] = ["application/json-patch+json", "application/merge-patch+json", APPLY];
pub(super) const APPLY: &str = "application/apply-patch+yaml";

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
    let form = match content_type(permitted.request()) {
        "application/json-patch+json" => Form::Json,
        "application/merge-patch+json" => Form::Merge,
        "application/strategic-merge-patch+json" if !served.is_custom() => Form::Strategic,
        APPLY => {
            let config = apply::read(ctx, &permitted, &options).await?;
            return apply::apply(ctx, permitted, served, wanted, options, config).await;
        }
        _ if served.is_custom() => return Err(Status::unsupported_media_type(&ACCEPTED_CUSTOM).into()),
        _ => return Err(Status::unsupported_media_type(&ACCEPTED).into()),
    };
    if permitted.request().query.has("force") {
        let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(Status::invalid("PatchOptions.meta.k8s.io", "", vec![error]).into());
    }
    let bytes = read_body(ctx, &permitted).await?;
    let mut patch: Value = serde_json::from_slice(&bytes)
        .map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))?;
    if let Form::Strategic = form {
        // What comes of it is not read as text again, which alone tells 3.0 from 3.
        settle_numbers(&mut patch);
    }
    let asked = options.validation != FieldValidation::Ignore;
    let complaints = if asked { repeated(&bytes, "") } else { Vec::new() };
    let scope = Scope::new(&permitted, served, options).with_duplicates(complaints);
    let item = change_tracked(ctx, &scope, |stored| {
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
            Nature::Custom(_) => Err(Status::unsupported_media_type(&ACCEPTED_CUSTOM)),
        },
    }
}
