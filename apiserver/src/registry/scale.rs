//! `scale`: the number of replicas of whatever has one, in one kind.

use std::sync::Arc;

use api::{
    object::ObjectExt,
    patch::{json_patch, merge_patch},
    selector::LabelSelector,
    status::{FieldError, Status},
};
use http::Response;
use serde_json::{Value, json};
use wire::Body;

use super::{apply, fetch, patch, update::change, wanted};
use crate::{
    catalog::{Nature, Served},
    context::Ctx,
    managed_fields::ScaleFields,
    pipeline::{
        Permitted, Refusal, WriteOptions, content_type, expect_kind, parse_object, read_body, write::Scope,
    },
};

const API_VERSION: &str = "autoscaling/v1";
const ACCEPTED: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    patch::APPLY,
];

struct Paths {
    spec: String,
    status: String,
    selector: Option<String>,
}

fn paths(served: &Served) -> Option<Paths> {
    match &served.nature {
        Nature::BuiltIn(kind) => {
            let paths = kind.subresource("scale")?.scale?;
            let selector = Some(paths.selector.to_owned()).filter(|s| !s.is_empty());
            Some(Paths { spec: paths.spec.to_owned(), status: paths.status.to_owned(), selector })
        }
        Nature::Custom(custom) => {
            let paths = custom.scale()?;
            Some(Paths {
                spec: paths.spec_replicas,
                status: paths.status_replicas,
                selector: paths.label_selector,
            })
        }
    }
}

/// What admission is shown of a change through `scale`.
pub(crate) fn shown(served: &Served, object: &Value) -> Option<Value> {
    paths(served).map(|paths| view(&paths, object))
}

/// Makes of an object what admission made of its scale.
pub(crate) fn taken_back(served: &Served, scale: &Value, object: &mut Value) {
    if let Some(paths) = paths(served) {
        object.set_at(&paths.spec, scale.i64_at("/spec/replicas").unwrap_or(0));
    }
}

/// What an object looks like through `scale`.
fn view(paths: &Paths, object: &Value) -> Value {
    let mut metadata = json!({
        "name": object.name(),
        "namespace": object.namespace(),
        "uid": object.uid(),
        "resourceVersion": object.resource_version(),
    });
    if let Some(created) = object.at("/metadata/creationTimestamp") {
        metadata["creationTimestamp"] = created.clone();
    }
    let selector = paths.selector.as_ref().and_then(|path| object.at(path)).map(selector_text);
    // Its zero is not written.
    let replicas = object.i64_at(&paths.spec).filter(|n| *n != 0);
    json!({
        "kind": "Scale",
        "apiVersion": API_VERSION,
        "metadata": metadata,
        "spec": replicas.map_or_else(|| json!({}), |n| json!({ "replicas": n })),
        "status": {
            "replicas": object.i64_at(&paths.status).unwrap_or(0),
            "selector": selector.unwrap_or_default(),
        },
    })
}

/// A selector object, a map of labels or a selector string, as a string.
fn selector_text(selector: &Value) -> String {
    match selector {
        Value::String(text) => text.clone(),
        Value::Object(fields)
            if fields.contains_key("matchLabels") || fields.contains_key("matchExpressions") =>
        {
            LabelSelector::from_object(selector).map(|s| s.to_string()).unwrap_or_default()
        }
        Value::Object(labels) => {
            let mut pairs: Vec<String> =
                labels.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
            pairs.sort();
            pairs.join(",")
        }
        _ => String::new(),
    }
}

pub(super) async fn serve(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let Some(paths) = paths(&served) else { return Err(Status::no_such_resource().into()) };
    let info = permitted.info().clone();
    if info.verb == "get" {
        let stored = fetch(ctx, &served, &info.namespace, &info.name).await?;
        return Ok(wanted.value(200, &view(&paths, &stored.object)));
    }
    let options = WriteOptions::parse(&permitted.request().query, "UpdateOptions")?;
    let media = content_type(permitted.request()).to_owned();
    let given: Value = if info.verb == "update" {
        let mut scale = parse_object(&read_body(ctx, &permitted).await?, &media)?;
        expect_kind(&mut scale, API_VERSION, "Scale")?;
        scale
    } else if media == patch::APPLY {
        let config = apply::read(ctx, &permitted, &options).await?;
        apply::check_kind(&config, API_VERSION, "Scale")?;
        config
    } else {
        if !ACCEPTED.contains(&media.as_str()) {
            return Err(Status::unsupported_media_type(&ACCEPTED).into());
        }
        serde_json::from_slice(&read_body(ctx, &permitted).await?)
            .map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))?
    };
    let scope = Scope::new(&permitted, served, options);
    let fields = ScaleFields::new(ctx, &scope, &paths.spec);
    let item = change(ctx, &scope, |stored| {
        let mut live = view(&paths, &stored.object);
        fields.show(&stored.object, &mut live);
        let mut scale = match (info.verb.as_str(), media.as_str()) {
            ("update", _) => given.clone(),
            (_, patch::APPLY) => fields.apply(&scope, &live, &given)?,
            (_, "application/json-patch+json") => json_patch(&live, &given)?,
            // Scale has no lists: both merges come to the same.
            _ => merge_patch(&live, &given)?,
        };
        if media != patch::APPLY {
            fields.update(&scope, &live, &mut scale);
        }
        let replicas = scale.i64_at("/spec/replicas").unwrap_or(0);
        if replicas < 0 {
            let complaint =
                FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
            return Err(Status::invalid("Scale.autoscaling", &info.name, vec![complaint]));
        }
        let mut next = Value::clone(&stored.object);
        next.set_at(&paths.spec, replicas);
        fields.settle(&scale, &mut next);
        if !scale.resource_version().is_empty() {
            next.set_resource_version(scale.resource_version());
        }
        if !scale.uid().is_empty() {
            next.set_uid(scale.uid());
        }
        Ok(next)
    })
    .await?;
    Ok(wanted.value(200, &view(&paths, item.object()?.as_ref())))
}
