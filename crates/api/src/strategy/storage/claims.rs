//! Claims: how much storage of which class, and what of that may change.

use serde_json::{Value, json};

use super::{
    super::{
        Strategy,
        check::Complaints,
        fill::{canonicalize, fill_text, restore_at},
        path::Path,
    },
    SPEC, VOLUME_MODES, access_modes,
};
use crate::{kinds::Kind, meta, names, object::ObjectExt, quantity::Quantity};

const CLASS: &str = "/spec/storageClassName";
const ATTRIBUTES: &str = "/spec/volumeAttributesClassName";
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const STORAGE: &str = "/spec/resources/requests/storage";
const RESIZE_STATES: &[&str] = &[
    "ControllerResizeFailed",
    "ControllerResizeInProgress",
    "NodeResizeFailed",
    "NodeResizeInProgress",
    "NodeResizePending",
];

pub(super) const STRATEGY: Strategy = Strategy {
    default: |claim| {
        fill_text(claim, "/spec/volumeMode", "Filesystem");
        for amounts in [
            "/spec/resources/requests",
            "/spec/resources/limits",
            "/status/capacity",
            "/status/allocatedResources",
        ] {
            canonicalize(claim, amounts);
        }
    },
    create,
    validate,
    validate_update,
    ..Strategy::of("", "PersistentVolumeClaim")
};

fn create(_kind: &Kind, claim: &mut Value, _now: jiff::Timestamp) {
    claim.set_at("/status", json!({"phase": "Pending"}));
    // Old and new clients each look at one of the two.
    let (source, reference) =
        (claim.at("/spec/dataSource").cloned(), claim.at("/spec/dataSourceRef").cloned());
    match (source, reference) {
        (Some(source), None) => claim.set_at("/spec/dataSourceRef", source),
        (None, Some(reference)) if reference.str_at("/namespace").is_empty() => {
            claim.set_at("/spec/dataSource", reference);
        }
        _ => {}
    }
}

fn validate(claim: &Value, complaints: &mut Complaints) {
    let modes = claim.list_at("/spec/accessModes");
    if modes.is_empty() {
        complaints.required(SPEC.child("accessModes"), "at least 1 access mode is required");
    }
    complaints.label_selector(SPEC.child("selector"), claim.at("/spec/selector"));
    access_modes(modes, SPEC.child("accessModes"), complaints);
    let at = Path::root("spec.resources");
    match claim.at(STORAGE) {
        None => complaints.required(at.key("storage"), ""),
        Some(amount) => complaints.positive_amount(at.key("storage"), amount),
    }
    complaints.optional_name(SPEC.child("storageClassName"), claim.str_at(CLASS), names::dns1123_subdomain);
    complaints.optional_one_of(SPEC.child("volumeMode"), claim.str_at("/spec/volumeMode"), VOLUME_MODES);
    let (source, reference) = (claim.at("/spec/dataSource"), claim.at("/spec/dataSourceRef"));
    for (field, source) in [("dataSource", source), ("dataSourceRef", reference)] {
        if let Some(source) = source.filter(|source| source.is_object()) {
            data_source(source, SPEC.child(field), complaints);
        }
    }
    if let (Some(source), Some(reference)) = (source, reference) {
        if !reference.str_at("/namespace").is_empty() {
            let detail = "may not be specified when dataSourceRef.namespace is specified";
            complaints.invalid(SPEC, "spec.dataSource", detail);
        } else if ["/apiGroup", "/kind", "/name"].iter().any(|part| source.at(part) != reference.at(part)) {
            complaints.invalid(SPEC, "spec.dataSource", "must match dataSourceRef");
        }
    }
    let attributes = claim.str_at(ATTRIBUTES);
    complaints.optional_name(SPEC.child("volumeAttributesClassName"), attributes, names::dns1123_subdomain);
}

fn data_source(source: &Value, at: Path<'_>, complaints: &mut Complaints) {
    for field in ["name", "kind"] {
        if source.str_at(&format!("/{field}")).is_empty() {
            complaints.required(at.child(field), "");
        }
    }
    let (group, kind) = (source.str_at("/apiGroup"), source.str_at("/kind"));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        complaints.invalid(at, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    }
    complaints.optional_name(at.child("apiGroup"), group, names::dns1123_subdomain);
    complaints.optional_name(at.child("namespace"), source.str_at("/namespace"), names::dns1123_label);
}

fn validate_update(new: &Value, old: &Value, subresource: &str, complaints: &mut Complaints) {
    if subresource == "status" {
        return validate_status(new, complaints);
    }
    let mut rest = new.clone();
    if old.str_at("/spec/volumeName").is_empty() {
        restore_at(&mut rest, old, "/spec/volumeName");
    }
    let annotation = |claim: &Value| claim.annotation(CLASS_ANNOTATION).map(str::to_owned);
    let (now, before) = (annotation(new), annotation(old));
    let class_is_new = old.at(CLASS).is_none() && new.at(CLASS).is_some();
    let class_fits = before.is_none() || before.as_deref() == Some(new.str_at(CLASS));
    let moves_over = class_is_new && before.is_some() && class_fits && (now.is_none() || now == before);
    if !moves_over && now != before {
        let at = Path::root("metadata.annotations");
        complaints.invalid(at.key(CLASS_ANNOTATION), now.unwrap_or_default(), "field is immutable");
    }
    if class_is_new && class_fits {
        restore_at(&mut rest, old, CLASS);
    }
    if new.str_at("/status/phase") == "Bound" && new.at("/spec/resources/requests").is_some() {
        restore_at(&mut rest, old, STORAGE);
    }
    restore_at(&mut rest, old, ATTRIBUTES);
    if !meta::semantic_eq(rest.at("/spec"), old.at("/spec")) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        complaints.forbidden(SPEC, detail);
    }
    let amount = |claim: &Value, pointer: &str| claim.at(pointer).and_then(|v| Quantity::from_value(v).ok());
    let none = Quantity::millis(0);
    let size = amount(new, STORAGE).unwrap_or(none);
    // Back to what there is, but not below: so a failed expansion can be taken back.
    if size < amount(old, STORAGE).unwrap_or(none)
        && size <= amount(old, "/status/capacity/storage").unwrap_or(none)
    {
        let at = Path::root("spec.resources.requests.storage");
        complaints.forbidden(at, "field can not be less than status.capacity");
    }
    complaints.immutable(Path::root("volumeMode"), new, old, "/spec/volumeMode");
    if old.at(ATTRIBUTES).is_some() {
        let at = SPEC.child("volumeAttributesClassName");
        match new.at(ATTRIBUTES).and_then(Value::as_str) {
            None => complaints.forbidden(at, "update from non-nil value to nil is forbidden"),
            Some("") if !old.str_at(ATTRIBUTES).is_empty() => {
                complaints.forbidden(at, "update from non-nil value to an empty string is forbidden");
            }
            Some(_) => {}
        }
    }
}

fn validate_status(claim: &Value, complaints: &mut Complaints) {
    let status = Path::root("status");
    complaints.amounts(status.child("capacity"), claim.map_at("/status/capacity"));
    for (resource, state) in claim.map_at("/status/allocatedResourceStatuses").into_iter().flatten() {
        // Both the spelling and the value are upstream's.
        let at = status.child("allocatedResourceStatus");
        if !RESIZE_STATES.contains(&state.as_str().unwrap_or_default()) {
            complaints.not_supported(at, resource.as_str(), RESIZE_STATES);
        }
    }
    complaints.amounts(status.child("allocatedResources"), claim.map_at("/status/allocatedResources"));
}
