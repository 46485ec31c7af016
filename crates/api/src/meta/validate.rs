//! Complaints about metadata, in upstream's words.

use serde_json::{Map, Value};

use super::{FOREGROUND, KUBERNETES, ORPHAN, Rules};
use crate::{
    names,
    object::{ObjectExt, OwnerRef, version_of},
    status::{FieldError, quoted},
};

/// All keys and values of the annotations together.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// What is wrong with the metadata of a new object, its name generated already.
pub fn validate_create(object: &Value, rules: &Rules) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let generate = object.generate_name();
    if !generate.is_empty() {
        let complaints = rules.names.check(generate, true);
        errors.extend(
            complaints.into_iter().map(|c| FieldError::invalid("metadata.generateName", generate, c)),
        );
    }
    let name = object.name();
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        let complaints = rules.names.check(name, false);
        errors.extend(complaints.into_iter().map(|c| FieldError::invalid("metadata.name", name, c)));
    }
    let namespace = object.namespace();
    match (rules.namespaced, namespace.is_empty()) {
        (true, true) => errors.push(FieldError::required("metadata.namespace", "")),
        (true, false) => {
            let complaints = names::dns1123_label(namespace);
            errors.extend(
                complaints.into_iter().map(|c| FieldError::invalid("metadata.namespace", namespace, c)),
            );
        }
        (false, false) => {
            errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"))
        }
        (false, true) => {}
    }
    if object.generation() < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("metadata.generation", object.generation(), detail));
    }
    common(object, rules, &mut errors);
    for finalizer in object.finalizers() {
        let complaints = names::qualified_name(finalizer);
        errors
            .extend(complaints.into_iter().map(|c| FieldError::invalid("metadata.finalizers", finalizer, c)));
    }
    if object.has_finalizer(ORPHAN) && object.has_finalizer(FOREGROUND) {
        let list = object.at("/metadata/finalizers").cloned().unwrap_or_default();
        let detail = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid("metadata.finalizers", list, detail));
    }
    errors
}

/// What is wrong with an update, after [`super::prepare_update`].
pub fn validate_update(new: &Value, old: &Value, rules: &Rules) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if old.is_terminating() {
        let mut added: Vec<&str> = new.finalizers().filter(|f| !old.has_finalizer(f)).collect();
        added.sort_unstable();
        added.dedup();
        if !added.is_empty() {
            let list: Vec<String> = added.into_iter().map(quoted).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                list.join(", ")
            );
            errors.push(FieldError::forbidden("metadata.finalizers", detail));
        }
    }
    if new.resource_version().is_empty() {
        errors.push(FieldError::invalid("metadata.resourceVersion", "", "must be specified for an update"));
    }
    if new.generation() < old.generation() {
        errors.push(FieldError::invalid("metadata.generation", new.generation(), "must not be decremented"));
    }
    for field in
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        let pointer = format!("/metadata/{field}");
        let (have, want) = (new.at(&pointer), old.at(&pointer));
        if !super::semantic_eq(have, want) {
            errors
                .push(FieldError::immutable(format!("metadata.{field}"), have.cloned().unwrap_or_default()));
        }
    }
    common(new, rules, &mut errors);
    errors
}

fn common(object: &Value, rules: &Rules, errors: &mut Vec<FieldError>) {
    errors.extend(validate_labels(object.map_at("/metadata/labels"), "metadata.labels"));
    errors.extend(validate_annotations(object.map_at("/metadata/annotations"), "metadata.annotations"));
    owners(object, errors);
    if rules.standard_finalizers {
        for (i, finalizer) in object.finalizers().enumerate() {
            if !finalizer.contains('/') && ![KUBERNETES, ORPHAN, FOREGROUND].contains(&finalizer) {
                errors.push(FieldError::invalid(
                    format!("metadata.finalizers[{i}]"),
                    finalizer,
                    "name is neither a standard finalizer name nor is it fully qualified",
                ));
            }
        }
    }
}

/// What is wrong with a map of labels at a path.
pub fn validate_labels(labels: Option<&Map<String, Value>>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels.into_iter().flatten() {
        let value = value.as_str().unwrap_or("");
        let complaints = names::qualified_name(key);
        errors.extend(complaints.into_iter().map(|c| FieldError::invalid(path, key.as_str(), c)));
        let complaints = names::label_value(value);
        errors.extend(complaints.into_iter().map(|c| FieldError::invalid(path, value, c)));
    }
    errors
}

/// What is wrong with a map of annotations at a path.
pub fn validate_annotations(annotations: Option<&Map<String, Value>>, path: &str) -> Vec<FieldError> {
    let (mut errors, mut size) = (Vec::new(), 0);
    for (key, value) in annotations.into_iter().flatten() {
        // Upper case does no harm in the prefix of an annotation.
        let complaints = names::qualified_name(&key.to_ascii_lowercase());
        errors.extend(complaints.into_iter().map(|c| FieldError::invalid(path, key.as_str(), c)));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_MAX {
        errors.push(FieldError::too_long(path, ANNOTATIONS_MAX));
    }
    errors
}

fn owners(object: &Value, errors: &mut Vec<FieldError>) {
    const PATH: &str = "metadata.ownerReferences";
    let list = object.list_at("/metadata/ownerReferences");
    let mut controller: Option<OwnerRef<'_>> = None;
    for entry in list {
        let owner = OwnerRef::read(entry);
        let version = version_of(owner.api_version);
        for (field, value, missing, detail) in [
            ("apiVersion", owner.api_version, version.is_empty(), "version must not be empty"),
            ("kind", owner.kind, owner.kind.is_empty(), "must not be empty"),
            ("name", owner.name, owner.name.is_empty(), "must not be empty"),
            ("uid", owner.uid, owner.uid.is_empty(), "must not be empty"),
        ] {
            if missing {
                errors.push(FieldError::invalid(format!("{PATH}.{field}"), value, detail));
            }
        }
        if (owner.api_version, owner.kind) == ("v1", "Event") {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(PATH, entry.clone(), detail));
        }
        match (owner.controller, controller) {
            (true, None) => controller = Some(owner),
            (true, Some(first)) => {
                let detail = format!(
                    r#"Only one reference can have Controller set to true. Found "true" in references for {}/{} and {}/{}"#,
                    first.kind, first.name, owner.kind, owner.name
                );
                errors.push(FieldError::invalid(PATH, list.to_vec(), detail));
            }
            (false, _) => {}
        }
    }
}
