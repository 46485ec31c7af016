//! What a schema may say at all: OpenAPI's words, Kubernetes' extensions and how they go together.

use api::{object::ObjectExt, status::FieldError};
use serde_json::Value;

use crate::crd::schema::field_path;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
const UNSUPPORTED: [&str; 6] =
    ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"];

pub(super) fn violations(schema: &Value, at: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(schema, at, Place { root: true, ..Place::default() }, &mut errors);
    errors
}

/// Where in a whole object a schema stands.
#[derive(Clone, Copy, Default)]
struct Place {
    root: bool,
    /// Within the metadata of an object.
    meta: bool,
    /// Why there may be no default.
    no_default: Option<&'static str>,
}

fn visit(schema: &Value, at: &str, place: Place, errors: &mut Vec<FieldError>) {
    words(schema, at, place, errors);
    if schema.bool_at("/uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(format!("{at}.uniqueItems"), why));
    }
    let inner = Place { root: false, ..place };
    if let Some(of) = schema.get("additionalProperties") {
        let at = format!("{at}.additionalProperties");
        let closed = of.as_bool() != Some(true);
        if closed && schema.map_at("/properties").is_some_and(|p| !p.is_empty()) {
            let why = "additionalProperties and properties are mutual exclusive";
            errors.push(FieldError::forbidden(&at, why));
        }
        if of.is_object() {
            let reason = "inside additionalProperties applying to object metadata";
            let no_default = if place.meta { Some(reason) } else { place.no_default };
            visit(of, &at, Place { no_default, ..inner }, errors);
        }
    }
    let whole = place.root || schema.bool_at("/x-kubernetes-embedded-resource");
    for (name, property) in schema.map_at("/properties").into_iter().flatten() {
        let mut of = inner;
        if whole && matches!(name.as_str(), "metadata" | "kind" | "apiVersion") {
            of.meta = true;
            if place.root {
                of.no_default = Some(match name.as_str() {
                    "metadata" => "in top-level metadata",
                    "kind" => "in top-level kind",
                    _ => "in top-level apiVersion",
                });
            }
        }
        visit(property, &format!("{at}.properties[{name}]"), of, errors);
    }
    if let Some(not) = schema.get("not") {
        visit(not, &format!("{at}.not"), inner, errors);
    }
    for junctor in ["allOf", "oneOf", "anyOf"] {
        let list = schema.get(junctor).and_then(Value::as_array).into_iter().flatten();
        for (index, alternative) in list.enumerate() {
            visit(alternative, &format!("{at}.{junctor}[{index}]"), inner, errors);
        }
    }
    if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
        visit(items, &format!("{at}.items"), inner, errors);
    }
    kinds(schema, at, errors);
    lists(schema, at, errors);
    rules(schema, at, errors);
}

/// Words that upstream does not support, or not here.
fn words(schema: &Value, at: &str, place: Place, errors: &mut Vec<FieldError>) {
    let kind = schema.str_at("/type");
    if kind == "null" {
        let why = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(format!("{at}.type"), why));
    } else if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{at}.type"), kind, &TYPES));
    }
    if let (Some(reason), Some(_)) = (place.no_default, schema.get("default")) {
        errors.push(FieldError::forbidden(format!("{at}.default"), format!("must not be set {reason}")));
    }
    for key in UNSUPPORTED {
        if schema.get(key).is_some_and(|value| !value.is_null()) {
            errors.push(FieldError::forbidden(format!("{at}.{key}"), format!("{key} is not supported")));
        }
    }
    if schema.get("items").is_some_and(Value::is_array) {
        let why = "items must be a schema object and not an array";
        errors.push(FieldError::forbidden(format!("{at}.items"), why));
    }
    if place.meta && schema.bool_at("/x-kubernetes-embedded-resource") {
        let why = "must not be used inside of resource meta";
        errors.push(FieldError::forbidden(format!("{at}.x-kubernetes-embedded-resource"), why));
    }
}

/// A type that an extension asks for.
fn wants(schema: &Value, at: &str, wanted: &str, extension: &str, errors: &mut Vec<FieldError>) -> bool {
    let (kind, at) = (schema.str_at("/type"), format!("{at}.type"));
    let words = format!("must be {wanted} if {extension} is specified");
    match kind {
        kind if kind == wanted => return true,
        "" => errors.push(FieldError::required(at, words)),
        kind => errors.push(FieldError::invalid(at, kind, words)),
    }
    false
}

fn kinds(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    if schema.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool) == Some(false) {
        let at = format!("{at}.x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(at, false, "must be true or undefined"));
    }
    if let Some(map_type) = schema.get("x-kubernetes-map-type").and_then(Value::as_str) {
        wants(schema, at, "object", "x-kubernetes-map-type", errors);
        let known = ["atomic", "granular"];
        if !known.contains(&map_type) {
            errors.push(FieldError::not_supported(format!("{at}.x-kubernetes-map-type"), map_type, &known));
        }
    }
}

fn lists(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let list_type = schema.get("x-kubernetes-list-type").and_then(Value::as_str);
    let keys =
        schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (type_at, keys_at) =
        (format!("{at}.x-kubernetes-list-type"), format!("{at}.x-kubernetes-list-map-keys"));
    if !keys.is_empty() && list_type != Some("map") {
        let words = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(match list_type {
            None => FieldError::required(&type_at, words),
            Some(other) => FieldError::invalid(&type_at, other, words),
        });
    }
    let Some(list_type) = list_type else { return };
    let is_list = wants(schema, at, "array", "x-kubernetes-list-type", errors);
    let known = ["atomic", "set", "map"];
    if !known.contains(&list_type) {
        errors.push(FieldError::not_supported(type_at, list_type, &known));
    }
    let items = schema.get("items").filter(|items| items.is_object());
    if let Some(items) = items.filter(|_| is_list && list_type == "set") {
        let words = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let said = |key: &str| items.get(key).and_then(Value::as_str);
        match items.str_at("/type") {
            "array" if said("x-kubernetes-list-type").is_some_and(|t| t != "atomic") => {
                let value = said("x-kubernetes-list-type").unwrap_or_default();
                errors.push(FieldError::invalid(format!("{at}.items.x-kubernetes-list-type"), value, words));
            }
            "object" if said("x-kubernetes-map-type") != Some("atomic") => {
                let at = format!("{at}.items.x-kubernetes-map-type");
                errors.push(FieldError::invalid(at, Value::Null, words));
            }
            _ => {}
        }
    }
    if matches!(list_type, "set" | "map") && items.is_some_and(|items| items.bool_at("/nullable")) {
        let words = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(FieldError::forbidden(format!("{at}.items.nullable"), words));
    }
    if list_type != "map" {
        return;
    }
    if keys.is_empty() {
        errors.push(FieldError::required(&keys_at, "must not be empty if x-kubernetes-list-type is map"));
    }
    let Some(items) = items else {
        let words = "must have a schema if x-kubernetes-list-type is map";
        errors.push(FieldError::required(format!("{at}.items"), words));
        return;
    };
    if items.str_at("/type") != "object" {
        let words = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(format!("{at}.items.type"), items.str_at("/type"), words));
        return;
    }
    for (index, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or_default();
        let property_at = format!("{at}.items.properties[{name}]");
        match items.map_at("/properties").and_then(|p| p.get(name)) {
            None => errors.push(FieldError::invalid(
                &keys_at,
                keys.to_vec(),
                "entries must all be names of item properties",
            )),
            Some(property) => {
                if matches!(property.str_at("/type"), "array" | "object") {
                    let words = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                    errors.push(FieldError::invalid(
                        format!("{property_at}.type"),
                        items.str_at("/type"),
                        words,
                    ));
                }
                let required = items.list_at("/required").contains(key);
                if !required && property.get("default").is_none() {
                    let words = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                    errors.push(FieldError::required(format!("{property_at}.default"), words));
                }
                if property.bool_at("/nullable") {
                    let words = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                    errors.push(FieldError::forbidden(format!("{property_at}.nullable"), words));
                }
            }
        }
        if keys.iter().take(index).any(|earlier| earlier == key) {
            errors.push(FieldError::invalid(&keys_at, keys.to_vec(), "must not contain duplicate entries"));
        }
    }
}

/// How rules are written; what they say is looked at when everything else is in order.
fn rules(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
    for (index, rule) in rules.enumerate() {
        let at = |field: &str| format!("{at}.x-kubernetes-validations[{index}].{field}");
        let said = |field: &str| rule.get(field).and_then(Value::as_str);
        let trimmed = |field: &str| said(field).unwrap_or_default().trim();
        let broken = |text: &str| text.contains(['\n', '\r']);
        let (rule_text, message) = (trimmed("rule"), trimmed("message"));
        let given = said("message").unwrap_or_default();
        if rule_text.is_empty() {
            errors.push(FieldError::required(at("rule"), "rule is not specified"));
        } else if !given.is_empty() && message.is_empty() {
            errors.push(FieldError::invalid(at("message"), given, "message must be non-empty if specified"));
        } else if broken(message) {
            errors.push(FieldError::invalid(at("message"), given, "message must not contain line breaks"));
        } else if broken(rule_text) && message.is_empty() {
            let words = "message must be specified if rule contains line breaks";
            errors.push(FieldError::required(at("message"), words));
        }
        if said("messageExpression").is_some_and(|m| !m.is_empty() && m.trim().is_empty()) {
            let words = "messageExpression must be non-empty if specified";
            errors.push(FieldError::required(at("messageExpression"), words));
        }
        if let Some(reason) = said("reason").filter(|reason| !REASONS.contains(reason)) {
            errors.push(FieldError::not_supported(at("reason"), reason, &REASONS));
        }
        if let Some(path) = said("fieldPath").filter(|path| !path.is_empty()) {
            let mut refuse = |words: &str| errors.push(FieldError::invalid(at("fieldPath"), path, words));
            if path.trim().is_empty() {
                refuse("fieldPath must be non-empty if specified");
            }
            if broken(path) {
                refuse("fieldPath must not contain line breaks");
            }
            if field_path(schema, path).is_err() {
                refuse("fieldPath must be a valid path");
            }
        }
    }
}
