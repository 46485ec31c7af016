//! The fields that belong to the server, and the agreement of body and URL.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Rules;
use crate::{
    kinds::Kind,
    object::ObjectExt,
    status::{FieldError, GroupKind, GroupResource, MODIFIED, Status},
};

/// Gives an object the namespace of the URL, or refuses one that names another. A cluster-scoped
/// object loses a namespace that it should not have.
pub fn fill_namespace(object: &mut Value, rules: &Rules, namespace: &str) -> Result<(), Status> {
    let wanted = if rules.namespaced { namespace } else { "" };
    let given = object.namespace();
    if given == wanted {
        return Ok(());
    }
    if given.is_empty() || wanted.is_empty() {
        object.set_namespace(wanted);
        return Ok(());
    }
    Err(Status::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    ))
}

/// Refuses an update whose body names another object than its URL.
pub fn check_name(object: &Value, name: &str) -> Result<(), Status> {
    match object.name() {
        "" => Err(Status::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        given if given == name => Ok(()),
        given => Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ))),
    }
}

/// Refuses a creation that brings a version; upstream does so without classifying the error.
pub fn refuse_version(object: &Value) -> Result<(), Status> {
    match object.resource_version() {
        "" | "0" => Ok(()),
        _ => Err(Status::unclassified("resourceVersion should not be set on objects to be created")),
    }
}

/// Puts the server's fields on a new object. What a client sent there is overwritten or dropped.
pub fn prepare_create(object: &mut Value, rules: &Rules, uid: &str, now: Timestamp) {
    let Some(metadata) = object.metadata_mut() else { return };
    for field in ["selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"] {
        metadata.shift_remove(field);
    }
    metadata.insert("uid".into(), uid.into());
    metadata.insert("creationTimestamp".into(), rfc3339(now).into());
    if rules.generation {
        metadata.insert("generation".into(), 1.into());
    }
}

/// Puts the server's fields of the stored object on an update. A missing uid or version is taken from
/// there too: whether it may be missing is for [`check_version`] to say, before.
pub fn prepare_update(new: &mut Value, old: &Value) {
    let kept = ["generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];
    let none = Map::new();
    let old = old.map_at("/metadata").unwrap_or(&none);
    let Some(metadata) = new.metadata_mut() else { return };
    metadata.shift_remove("selfLink");
    for field in kept {
        match old.get(field) {
            Some(value) => metadata.insert(field.into(), value.clone()),
            None => metadata.shift_remove(field),
        };
    }
    for field in ["uid", "resourceVersion"] {
        let absent = metadata.get(field).and_then(Value::as_str).is_none_or(str::is_empty);
        if let Some(value) = old.get(field).filter(|_| absent) {
            metadata.insert(field.into(), value.clone());
        }
    }
}

/// Optimistic concurrency: the version in the body must be the stored one. Without a version the
/// kind decides.
pub fn check_version<'a>(
    new: &Value,
    old: &Value,
    rules: &Rules,
    resource: impl Into<GroupResource<'a>>,
    kind: impl Into<GroupKind<'a>>,
) -> Result<(), Status> {
    match new.resource_version() {
        "" | "0" if rules.unconditional_update => Ok(()),
        "" | "0" => {
            let error = FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update");
            Err(Status::invalid(kind, new.name(), vec![error]))
        }
        version if version == old.resource_version() => Ok(()),
        _ => Err(Status::conflict(resource, new.name(), MODIFIED)),
    }
}

/// Refuses an update that means another object of the same name. `key` is the object's key in the
/// store, which upstream's sentence shows.
pub fn check_uid<'a>(
    new: &Value,
    old: &Value,
    resource: impl Into<GroupResource<'a>>,
    key: &str,
) -> Result<(), Status> {
    if new.uid().is_empty() || new.uid() == old.uid() {
        return Ok(());
    }
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in object meta: {}",
        new.uid(),
        old.uid()
    );
    Err(Status::conflict(resource, old.name(), why))
}

/// Counts a change: the stored generation, and one more if the update touches what counts. For
/// built-in kinds and custom resources alike this is everything but metadata and status; deployments
/// count their annotations too.
pub fn count_generation(new: &mut Value, old: &Value, kind: Option<&Kind>) {
    let mut changed = !same_content(new, old);
    if kind.is_some_and(|k| k.group == "apps" && k.kind == "Deployment") {
        let annotations = "/metadata/annotations";
        changed |= !semantic_eq(new.at(annotations), old.at(annotations));
    }
    let generation = old.generation();
    new.set_generation(if changed { generation.saturating_add(1) } else { generation });
}

fn same_content(a: &Value, b: &Value) -> bool {
    let none = Map::new();
    let (a, b) = (a.as_object().unwrap_or(&none), b.as_object().unwrap_or(&none));
    let counts = |key: &str| !matches!(key, "apiVersion" | "kind" | "metadata" | "status");
    let covered = |a: &Map<String, Value>, b: &Map<String, Value>| {
        a.iter().filter(|(key, _)| counts(key)).all(|(key, value)| semantic_eq(Some(value), b.get(key)))
    };
    covered(a, b) && covered(b, a)
}

/// Whether two values mean the same: an absent field, null, an empty map and an empty list are one.
pub fn semantic_eq(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a.filter(|v| !is_empty(v)), b.filter(|v| !is_empty(v))) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.iter().all(|(key, value)| semantic_eq(Some(value), b.get(key)))
                && b.iter().all(|(key, value)| a.contains_key(key) || semantic_eq(None, Some(value)))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| semantic_eq(Some(a), Some(b)))
        }
        (a, b) => a == b,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

pub(super) fn rfc3339(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
