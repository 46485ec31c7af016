//! Custom resource definitions: names, versions, scope, conversion. What the schemas themselves must look
//! like is for whoever compiles them.

mod conversion;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Strategy,
    check::Complaints,
    fill::{fill, fill_text},
    path::Path,
    restore_all_but, restore_field,
};
use crate::{kinds::Kind, names, object::ObjectExt};

const SPEC: Path<'static> = Path::root("spec");
/// The annotation that says who approved a definition in a group of the Kubernetes project.
pub const APPROVED: &str = "api-approved.kubernetes.io";
/// Formats of printer columns.
const FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

pub(super) static STRATEGIES: &[Strategy] = &[Strategy {
    default,
    create: |_: &Kind, definition: &mut Value, _: Timestamp| {
        definition.set_at("/status", json!({}));
        remember_storage_version(definition);
    },
    update: |_, new, old, subresource, _| {
        if subresource == "status" {
            restore_all_but(new, old, &["status"]);
        } else {
            restore_field(new, old, "status");
            remember_storage_version(new);
        }
    },
    validate,
    validate_update,
    ..Strategy::of("apiextensions.k8s.io", "CustomResourceDefinition")
}];

fn default(definition: &mut Value) {
    if let Some(map) = definition.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    if let Some(metadata) = definition.at_mut("/metadata") {
        super::drop_nulls(metadata);
    }
    let kind = definition.str_at("/spec/names/kind").to_owned();
    if !kind.is_empty() {
        fill_text(definition, "/spec/names/singular", &kind.to_lowercase());
        fill_text(definition, "/spec/names/listKind", &format!("{kind}List"));
    }
    if definition.map_at("/spec").is_some() {
        fill(definition, "/spec/conversion", json!({"strategy": "None"}));
    }
    if definition.map_at("/spec/conversion/webhook/clientConfig/service").is_some() {
        fill(definition, "/spec/conversion/webhook/clientConfig/service/port", 443);
    }
}

/// `status.storedVersions` grows by the version that objects are now stored in. Only somebody who has
/// migrated them may take one out, through `/status`.
fn remember_storage_version(definition: &mut Value) {
    let storage = definition.list_at("/spec/versions").iter().find(|version| version.bool_at("/storage"));
    let Some(name) = storage.map(|version| version.str_at("/name").to_owned()) else { return };
    let mut stored = definition.list_at("/status/storedVersions").to_vec();
    if !stored.iter().any(|version| version.as_str() == Some(&name)) {
        stored.push(name.into());
        definition.set_at("/status/storedVersions", stored);
    }
}

fn validate(definition: &Value, complaints: &mut Complaints) {
    let group = definition.str_at("/spec/group");
    let wanted = format!("{}.{group}", definition.str_at("/spec/names/plural"));
    if definition.name() != wanted {
        complaints.invalid(
            Path::root("metadata.name"),
            definition.name(),
            "must be spec.names.plural+\".\"+spec.group",
        );
    }
    let at = SPEC.child("group");
    let bad = names::dns1123_subdomain(group);
    if group.is_empty() {
        complaints.required(at, "");
    } else if !bad.is_empty() {
        complaints.joined(at, group, bad);
    } else if !group.contains('.') {
        complaints.invalid(at, group, "should be a domain with at least one dot");
    }
    complaints.one_of(SPEC.child("scope"), definition.str_at("/spec/scope"), &["Cluster", "Namespaced"]);
    versions(definition, complaints);
    let names = definition.at("/spec/names").unwrap_or(&Value::Null);
    let at = SPEC.child("names");
    for field in ["plural", "singular", "kind", "listKind"] {
        if names.str_at(&format!("/{field}")).is_empty() {
            complaints.required(at.child(field), "");
        }
    }
    validate_names(names, at, complaints);
    if definition.bool_at("/spec/preserveUnknownFields") {
        let words = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        complaints.invalid(SPEC.child("preserveUnknownFields"), true, words);
    }
    conversion::validate(definition, complaints);
    approval(definition, group, complaints);
}

fn versions(definition: &Value, complaints: &mut Complaints) {
    let list = definition.list_at("/spec/versions");
    let at = SPEC.child("versions");
    let mut seen = BTreeSet::new();
    let mut unique = true;
    for (index, version) in list.iter().enumerate() {
        let at = at.index(index);
        if version.map_at("/schema/openAPIV3Schema").is_none() {
            let at = at.child("schema");
            complaints.required(at.child("openAPIV3Schema"), "schemas are required");
        }
        let name = version.str_at("/name");
        complaints.joined(at.child("name"), name, names::dns1035_label(name));
        unique &= seen.insert(name);
        deprecation(version, at.child("deprecationWarning"), complaints);
        // What all versions have alike is complained of once, as the definition's own.
        match shared(list, "subresources") {
            true if index == 0 => subresources(version, SPEC.child("subresources"), complaints),
            true => {}
            false => subresources(version, at.child("subresources"), complaints),
        }
        match shared(list, "additionalPrinterColumns") {
            true if index == 0 => columns(version, SPEC.child("additionalPrinterColumns"), complaints),
            true => {}
            false => columns(version, at.child("additionalPrinterColumns"), complaints),
        }
    }
    if !unique {
        complaints.invalid(at, shown(list), "must contain unique version names");
    }
    if list.iter().filter(|version| version.bool_at("/storage")).count() != 1 {
        complaints.invalid(at, shown(list), "must have exactly one version marked as storage version");
    }
}

/// Whether every version says the same.
fn shared(versions: &[Value], field: &str) -> bool {
    let first = versions.first().and_then(|version| version.get(field));
    first.is_some() && versions.iter().all(|version| version.get(field) == first)
}

fn deprecation(version: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let Some(warning) = version.get("deprecationWarning").and_then(Value::as_str) else { return };
    let mut refuse = |why: String| complaints.invalid(at, warning, why);
    if !version.bool_at("/deprecated") {
        return refuse("can only be set for deprecated versions".to_owned());
    }
    if warning.len() > 256 {
        refuse("must be <= 256 characters long".to_owned());
    }
    if warning.is_empty() {
        refuse("must not be an empty string".to_owned());
    }
    if let Some((index, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
        refuse(format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {index}"
        ));
    }
}

/// The versions without their schemas, which nobody wants to read in an error.
fn shown(versions: &[Value]) -> Value {
    let brief = |version: &Value| {
        let fields = version.as_object().into_iter().flatten().filter(|(key, _)| *key != "schema");
        Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
    };
    versions.iter().map(brief).collect()
}

fn subresources(version: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let Some(scale) = version.at("/subresources/scale").filter(|scale| scale.is_object()) else { return };
    let at = at.child("scale");
    for (field, prefixes, required) in [
        ("specReplicasPath", &[".spec."][..], true),
        ("statusReplicasPath", &[".status."][..], true),
        ("labelSelectorPath", &[".spec.", ".status."][..], false),
    ] {
        let path = scale.str_at(&format!("/{field}"));
        let at = at.child(field);
        if path.is_empty() {
            if required {
                complaints.required(at, "");
            }
        } else if simple_path(path, at, complaints) && !prefixes.iter().any(|prefix| path.starts_with(prefix))
        {
            let under: Vec<&str> = prefixes.iter().map(|prefix| prefix.trim_end_matches('.')).collect();
            let either = if under.len() > 1 { "either " } else { "" };
            complaints.invalid(
                at,
                path,
                format!("should be a json path under {either}{}", under.join(" or ")),
            );
        }
    }
}

/// Whether a path begins as one; complains if it does not.
fn simple_path(path: &str, at: Path<'_>, complaints: &mut Complaints) -> bool {
    let simple = path.starts_with('.');
    if !simple {
        complaints.invalid(at, path, "must be a simple json path starting with .");
    }
    simple
}

fn columns(version: &Value, at: Path<'_>, complaints: &mut Complaints) {
    for (index, column) in version.list_at("/additionalPrinterColumns").iter().enumerate() {
        let at = at.index(index);
        complaints.name(at.child("name"), column.str_at("/name"), |_| Vec::new());
        let kind = column.str_at("/type");
        let kinds = ["integer", "number", "string", "boolean", "date"];
        if kind.is_empty() {
            complaints.required(at.child("type"), &format!("must be one of {}", kinds.join(",")));
        } else if !kinds.contains(&kind) {
            complaints.invalid(at.child("type"), kind, format!("must be one of {}", kinds.join(",")));
        }
        let path = column.str_at("/jsonPath");
        if path.is_empty() {
            complaints.required(at.child("JSONPath"), "");
        } else {
            simple_path(path, at.child("JSONPath"), complaints);
        }
        let (format, formats) = (column.str_at("/format"), FORMATS);
        if !format.is_empty() && !formats.contains(&format) {
            complaints.invalid(at.child("format"), format, format!("must be one of {}", formats.join(",")));
        }
    }
}

fn validate_names(given: &Value, at: Path<'_>, complaints: &mut Complaints) {
    for field in ["plural", "singular"] {
        let name = given.str_at(&format!("/{field}"));
        if !name.is_empty() {
            complaints.joined(at.child(field), name, names::dns1035_label(name));
        }
    }
    for field in ["kind", "listKind"] {
        let name = given.str_at(&format!("/{field}"));
        let bad = names::dns1035_label(&name.to_lowercase());
        if !name.is_empty() && !bad.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", bad.join(","));
            complaints.invalid(at.child(field), name, detail);
        }
    }
    for field in ["shortNames", "categories"] {
        let at = at.child(field);
        for (index, name) in given.list_at(&format!("/{field}")).iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            complaints.joined(at.index(index), name, names::dns1035_label(name));
        }
    }
    let kind = given.str_at("/kind");
    if !kind.is_empty() && kind == given.str_at("/listKind") {
        complaints.invalid(at.child("listKind"), kind, "kind and listKind may not be the same");
    }
}

/// Whether a group is the Kubernetes project's own.
pub fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group == *domain || group.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

/// Groups of the Kubernetes project need a link to their approval.
fn approval(definition: &Value, group: &str, complaints: &mut Complaints) {
    if !is_protected(group) {
        return;
    }
    let annotations = Path::root("metadata.annotations");
    let link = "see https://github.com/kubernetes/enhancements/pull/1111";
    match definition.annotation(APPROVED).unwrap_or_default() {
        "" => {
            let detail = format!("protected groups must have approval annotation \"{APPROVED}\", {link}");
            complaints.required(annotations.key(APPROVED), &detail);
        }
        value
            if value.starts_with("unapproved")
                || value.starts_with("https://")
                || value.starts_with("http://") => {}
        value => {
            let detail = format!(
                "protected groups must have approval annotation \"{APPROVED}\" with either a URL or a reason starting with \"unapproved\", {link}"
            );
            complaints.invalid(annotations.key(APPROVED), value, detail);
        }
    }
}

fn validate_update(new: &Value, old: &Value, subresource: &str, complaints: &mut Complaints) {
    let stored = Path::root("status.storedVersions");
    let list = new.list_at("/status/storedVersions");
    if subresource == "status" && list.is_empty() && !old.list_at("/status/storedVersions").is_empty() {
        complaints.invalid(stored, list.to_vec(), "must have at least one stored version");
    }
    let storage = new.list_at("/spec/versions").iter().find(|version| version.bool_at("/storage"));
    if let Some(version) =
        storage.filter(|version| !list.is_empty() && !list.iter().any(|v| Some(v) == version.get("name")))
    {
        let name = version.str_at("/name");
        complaints.invalid(
            stored,
            shown(std::slice::from_ref(version))[0].clone(),
            format!("must have the storage version {name}"),
        );
    }
    let served =
        |name: &Value| new.list_at("/spec/versions").iter().any(|version| version.get("name") == Some(name));
    for (index, version) in list.iter().enumerate() {
        if !served(version) {
            complaints.invalid(stored.index(index), version.clone(), "must appear in spec.versions");
        }
    }
    if subresource == "status" {
        return;
    }
    let established = old
        .list_at("/status/conditions")
        .iter()
        .any(|condition| condition.str_at("/type") == "Established" && condition.str_at("/status") == "True");
    if established {
        complaints.immutable(SPEC.child("scope"), new, old, "/spec/scope");
        complaints.immutable(Path::root("spec.names.kind"), new, old, "/spec/names/kind");
    }
    complaints.immutable(SPEC.child("group"), new, old, "/spec/group");
    complaints.immutable(Path::root("spec.names.plural"), new, old, "/spec/names/plural");
}
