//! Whether the schemas of a definition can be served: they are structural, their defaults hold, their
//! rules compile and end in time.
//!
//! Names, versions and conversion are `api::strategy`'s; what needs a compiled schema is here. A schema
//! that an update leaves as it was is not looked at again: what was accepted once can be kept.

mod defaults;
mod expressions;
mod openapi;
mod selectable;
mod structural;

use api::{object::ObjectExt, status::FieldError};
use serde_json::Value;

/// What may stand at the root of a schema whose status is a subresource, as upstream lists it.
const AT_ROOT: &str = "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]";
const NOT_AT_ROOT: [&str; 11] = [
    "additionalProperties",
    "allOf",
    "anyOf",
    "default",
    "enum",
    "nullable",
    "not",
    "oneOf",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];

/// Everything that is wrong with the schemas of a new or changed definition.
pub(crate) fn validate(definition: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let versions = definition.list_at("/spec/versions");
    let mut errors = Vec::new();
    // One schema for all is the definition's own.
    let shared = versions
        .first()
        .and_then(|v| v.get("schema"))
        .is_some_and(|first| versions.iter().all(|version| version.get("schema") == Some(first)));
    for (index, version) in versions.iter().enumerate() {
        let Some(schema) = version.at("/schema/openAPIV3Schema").filter(|schema| schema.is_object()) else {
            continue;
        };
        let before = old.and_then(|old| {
            old.list_at("/spec/versions").iter().find(|v| v.get("name") == version.get("name"))
        });
        let unchanged = before.is_some_and(|before| before.get("schema") == version.get("schema"));
        if !(unchanged || shared && index > 0) {
            let at =
                if shared { "spec.validation".to_owned() } else { format!("spec.versions[{index}].schema") };
            of_schema(schema, version.at("/subresources/status").is_some(), &at, &mut errors);
        }
        selectable::validate(version, index, versions, &mut errors);
    }
    errors
}

/// What keeps the schemas of a stored definition from being structural, in one sentence.
pub(super) fn unstructural(definition: &Value) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    for (index, version) in definition.list_at("/spec/versions").iter().enumerate() {
        let Some(schema) = version.at("/schema/openAPIV3Schema").filter(|schema| schema.is_object()) else {
            continue;
        };
        let at = format!("spec.versions[{index}].schema.openAPIV3Schema");
        words.extend(structural::violations(schema, &at).iter().map(ToString::to_string));
    }
    match words.len() {
        0 | 1 => words.pop(),
        _ => Some(format!("[{}]", words.join(", "))),
    }
}

fn of_schema(schema: &Value, status: bool, at: &str, errors: &mut Vec<FieldError>) {
    let at = format!("{at}.openAPIV3Schema");
    let before = errors.len();
    if status && NOT_AT_ROOT.iter().any(|key| schema.get(*key).is_some_and(|v| v != &Value::Bool(false))) {
        let words = format!(
            "only {AT_ROOT} fields are allowed at the root of the schema if the status subresource is enabled"
        );
        errors.push(FieldError::invalid(&at, schema.clone(), words));
    }
    if schema.bool_at("/nullable") {
        errors.push(FieldError::forbidden(format!("{at}.nullable"), "nullable cannot be true at the root"));
    }
    let structural = structural::violations(schema, &at);
    let sound = structural.is_empty() && {
        let wrong = defaults::violations(schema, &at);
        let fine = wrong.is_empty();
        errors.extend(wrong);
        fine
    };
    errors.extend(structural);
    let openapi = openapi::violations(schema, &at);
    let readable = openapi.is_empty();
    errors.extend(openapi);
    if sound && readable && errors.len() == before {
        errors.extend(expressions::violations(schema, &at));
    }
}

#[cfg(test)]
mod tests;
