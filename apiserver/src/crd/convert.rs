//! Conversion by a webhook: objects go out in one version and come back in another, the same objects.
//!
//! What is stored is only known to the webhook, so whoever reads objects of such a kind asks for their
//! conversion first ([`ready`]) and then reads them as any others; whoever writes one asks for its stored
//! form ([`stored_form`]).

use std::{sync::Arc, time::Duration};

use api::{
    meta,
    object::{ObjectExt, version_of},
    status::{FieldError, Status},
};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::{
    catalog::Served,
    context::Ctx,
    watch_cache::{Item, encode_stored},
};

/// How long a webhook may think.
const TIMEOUT: Duration = Duration::from_secs(30);
/// So many objects go out at once.
const BATCH: usize = 500;

/// The webhook of a definition.
pub struct Webhook {
    config: Value,
    review_version: Option<String>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({})", self.config)
    }
}

impl Webhook {
    /// If the definition's versions are converted by one.
    pub(super) fn of(definition: &Value) -> Option<Webhook> {
        if definition.str_at("/spec/conversion/strategy") != "Webhook" {
            return None;
        }
        let versions = definition.list_at("/spec/conversion/webhook/conversionReviewVersions");
        let known = versions.iter().filter_map(Value::as_str).find(|v| matches!(*v, "v1" | "v1beta1"));
        Some(Webhook {
            config: definition.at("/spec/conversion/webhook/clientConfig").cloned().unwrap_or_default(),
            review_version: known.map(str::to_owned),
        })
    }

    /// Asks for objects in another version; as many come back, in the same order.
    async fn ask(&self, ctx: &Ctx, objects: &[Value], desired: &str) -> Result<Vec<Value>, String> {
        let review = self.review_version.as_deref().ok_or("no supported conversion review versions")?;
        let uid = ctx.host.entropy().uuid();
        let api_version = format!("apiextensions.k8s.io/{review}");
        let body = json!({
            "kind": "ConversionReview",
            "apiVersion": api_version,
            "request": { "uid": uid, "desiredAPIVersion": desired, "objects": objects },
        });
        let document = serde_json::to_vec(&body).unwrap_or_default();
        let webhook = ctx.callouts.to(&self.config)?;
        let answer = webhook.post(document.into(), Some(TIMEOUT), None).await.map_err(|e| e.words)?;
        converted(&answer, review, &uid)
    }
}

/// The objects in an answer that is one to this question.
fn converted(answer: &Value, review: &str, uid: &str) -> Result<Vec<Value>, String> {
    if review == "v1" {
        let wanted = "apiextensions.k8s.io/v1";
        if answer.api_version() != wanted || answer.kind() != "ConversionReview" {
            return Err(format!(
                "expected webhook response of {wanted}, Kind=ConversionReview, got {}, Kind={}",
                answer.api_version(),
                answer.kind()
            ));
        }
    }
    let response = answer.at("/response").filter(|r| r.is_object()).ok_or("no response provided")?;
    let given = response.str_at("/uid");
    if review == "v1" && given != uid {
        return Err(format!("expected response.uid={uid:?}, got {given:?}"));
    }
    let status = response.str_at("/result/status");
    if status != "Success" {
        return Err(match response.str_at("/result/message") {
            "" => format!("response.result.status was '{status}', not 'Success'"),
            message => message.to_owned(),
        });
    }
    Ok(response.list_at("/convertedObjects").to_vec())
}

/// `example.com/v1, Kind=Foo`
fn shown(object: &Value) -> String {
    format!("{}, Kind={}", object.api_version(), object.kind())
}

/// Objects in the version `desired`, each still the object that it was.
async fn convert(
    ctx: &Ctx,
    webhook: &Webhook,
    objects: Vec<Value>,
    desired: &str,
) -> Result<Vec<Value>, Status> {
    let mut done = Vec::with_capacity(objects.len());
    for batch in objects.chunks(BATCH) {
        let kind = batch.first().map(shown).unwrap_or_default();
        let fail = |why: String| Status::unclassified(format!("conversion webhook for {kind} {why}"));
        let found = webhook.ask(ctx, batch, desired).await.map_err(|why| fail(format!("failed: {why}")))?;
        if found.len() != batch.len() {
            return Err(fail(format!("returned {} objects, expected {}", found.len(), batch.len())));
        }
        for (original, found) in batch.iter().zip(found) {
            done.push(same(original, found, desired).map_err(fail)?);
        }
    }
    Ok(done)
}

/// What came back, if it is the same object: its metadata is the original's but for labels and annotations.
fn same(original: &Value, mut found: Value, desired: &str) -> Result<Value, String> {
    if found.api_version() != desired {
        return Err(format!(
            "returned invalid object at index 0: invalid groupVersion (expected {desired}, received {})",
            found.api_version()
        ));
    }
    if found.kind() != original.kind() {
        return Err(format!(
            "returned invalid object at index 0: invalid kind (expected {}, received {})",
            original.kind(),
            found.kind()
        ));
    }
    for (what, before, after) in [
        ("name", original.name(), found.name()),
        ("namespace", original.namespace(), found.namespace()),
        ("UID", original.uid(), found.uid()),
    ] {
        if before != after {
            return Err(format!("returned invalid object: must have the same {what}: {before} != {after}"));
        }
    }
    let given = found
        .map_at("/metadata")
        .cloned()
        .ok_or("returned invalid metadata: missing metadata in converted object")?;
    let mut metadata = original.map_at("/metadata").cloned().unwrap_or_default();
    for field in ["labels", "annotations"] {
        match given.get(field) {
            None | Some(Value::Null) => {
                metadata.shift_remove(field);
            }
            Some(Value::Object(map)) => {
                check_map(field, map).map_err(|why| format!("returned invalid metadata: {why}"))?;
                metadata.insert(field.to_owned(), Value::Object(map.clone()));
            }
            Some(_) => {
                return Err(format!(
                    "returned invalid metadata: invalid metadata.{field} in converted object"
                ));
            }
        }
    }
    found.set_at("/metadata", Value::Object(metadata));
    Ok(found)
}

fn check_map(field: &str, map: &Map<String, Value>) -> Result<(), String> {
    if let Some((key, _)) = map.iter().find(|(_, value)| !value.is_string()) {
        return Err(format!("metadata.{field}[{key}] must be a string"));
    }
    let errors = if field == "labels" {
        meta::validate_labels(Some(map), "metadata.labels")
    } else {
        meta::validate_annotations(Some(map), "metadata.annotations")
    };
    let words: Vec<String> = errors.iter().map(FieldError::to_string).collect();
    if words.is_empty() { Ok(()) } else { Err(words.join(", ")) }
}

/// Converts what of these items is not yet in the served version; afterwards all of them can be read.
///
/// # Errors
/// 500 in upstream's words when the webhook cannot be asked or answers wrongly.
pub(crate) async fn ready(ctx: &Ctx, served: &Served, items: &[Arc<Item>]) -> Result<(), Status> {
    match served.webhook() {
        // In boxes of their own, here and below: every request and every watch would carry the room for it.
        Some(webhook) => Box::pin(converted_items(ctx, served, webhook, items)).await,
        None => Ok(()),
    }
}

async fn converted_items(
    ctx: &Ctx,
    served: &Served,
    webhook: &Webhook,
    items: &[Arc<Item>],
) -> Result<(), Status> {
    let desired = served.api_version();
    let mut waiting: Vec<(&Arc<Item>, Value)> = Vec::new();
    for item in items {
        if let Some(object) = item.unconverted()?
            && version_of(object.api_version()) != served.version
        {
            waiting.push((item, object));
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    let (items, objects): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
    let found = convert(ctx, webhook, objects, &desired).await?;
    for (item, mut object) in items.into_iter().zip(found) {
        served.present(&mut object);
        item.set_converted(object);
    }
    Ok(())
}

/// What the store keeps of an object.
///
/// # Errors
/// As [`ready`].
pub(crate) async fn stored_form(ctx: &Ctx, served: &Served, object: &Value) -> Result<Bytes, Status> {
    let stored = &served.stored_api_version;
    match served.webhook() {
        Some(webhook) if served.api_version() != *stored => {
            let mut found = Box::pin(convert(ctx, webhook, vec![object.clone()], stored)).await?;
            let object = found.pop().unwrap_or_default();
            Ok(encode_stored(served, &object))
        }
        _ => Ok(encode_stored(served, object)),
    }
}

/// An object as another version of its kind has it.
///
/// # Errors
/// As [`ready`].
pub(crate) async fn in_version(ctx: &Ctx, wanted: &Served, object: &Value) -> Result<Value, Status> {
    let desired = wanted.api_version();
    let mut found = match wanted.webhook() {
        Some(webhook) if object.api_version() != desired => {
            Box::pin(convert(ctx, webhook, vec![object.clone()], &desired)).await?.pop().unwrap_or_default()
        }
        _ => object.clone(),
    };
    wanted.present(&mut found);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_must_be_one_to_the_question() {
        #[track_caller]
        fn check(answer: Value, expected: Result<usize, &str>) {
            let found = converted(&answer, "v1", "u1").map(|list| list.len());
            assert_eq!(found.as_ref().map(|n| *n).map_err(String::as_str), expected);
        }
        let answer = |response: Value| json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response});
        let fine = json!({"uid": "u1", "result": {"status": "Success"}, "convertedObjects": [{}, {}]});
        check(answer(fine), Ok(2));
        check(
            json!({"apiVersion": "v1", "kind": "Pod"}),
            Err(
                "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got v1, Kind=Pod",
            ),
        );
        check(answer(Value::Null), Err("no response provided"));
        check(answer(json!({"uid": "u2"})), Err("expected response.uid=\"u1\", got \"u2\""));
        check(
            answer(json!({"uid": "u1", "result": {"status": "Failed"}})),
            Err("response.result.status was 'Failed', not 'Success'"),
        );
        check(answer(json!({"uid": "u1", "result": {"message": "no way"}})), Err("no way"));
    }

    #[test]
    fn what_comes_back_is_the_same_object() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut Value), expected: Result<Value, &str>) {
            let original = json!({"apiVersion": "x/v1", "kind": "Foo",
                "metadata": {"name": "a", "namespace": "n", "uid": "u", "generation": 3, "labels": {"l": "1"}}});
            let mut found = original.clone();
            found["apiVersion"] = "x/v2".into();
            change(&mut found);
            let found = same(&original, found, "x/v2").map(|found| found["metadata"].clone());
            assert_eq!(found.as_ref().map_err(String::as_str), expected.as_ref().map_err(|e| *e));
        }
        let metadata = |labels: Value| {
            let mut metadata = json!({"name": "a", "namespace": "n", "uid": "u", "generation": 3});
            if !labels.is_null() {
                metadata["labels"] = labels;
            }
            metadata
        };
        check(|_| {}, Ok(metadata(json!({"l": "1"}))));
        check(|o| o["metadata"]["generation"] = 9.into(), Ok(metadata(json!({"l": "1"}))));
        check(|o| o["metadata"]["labels"] = json!({"m": "2"}), Ok(metadata(json!({"m": "2"}))));
        check(
            |o| {
                o["metadata"].as_object_mut().unwrap().shift_remove("labels");
            },
            Ok(metadata(Value::Null)),
        );
        check(
            |o| o["apiVersion"] = "x/v1".into(),
            Err("returned invalid object at index 0: invalid groupVersion (expected x/v2, received x/v1)"),
        );
        check(
            |o| o["kind"] = "Bar".into(),
            Err("returned invalid object at index 0: invalid kind (expected Foo, received Bar)"),
        );
        check(
            |o| o["metadata"]["name"] = "b".into(),
            Err("returned invalid object: must have the same name: a != b"),
        );
        check(
            |o| o["metadata"]["labels"] = json!({"m": 2}),
            Err("returned invalid metadata: metadata.labels[m] must be a string"),
        );
        check(
            |o| {
                o.as_object_mut().unwrap().shift_remove("metadata");
            },
            Err("returned invalid object: must have the same name: a != "),
        );
    }
}
