//! The shape that every schema must have: what there is stands outside of the junctors, what must hold
//! of it may stand within them.

use api::{object::ObjectExt, status::FieldError};
use regex::Regex;
use serde_json::{Value, json};

/// Where in a schema a part stands: upstream words some complaints by it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// In upstream's order: by their words.
pub(super) fn violations(schema: &Value, at: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    structural(schema, Level::Root, at, &mut errors);
    complete(schema, at, &mut errors);
    errors.sort_by_key(ToString::to_string);
    errors
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn is_int_or_string(any: &[Value]) -> bool {
    any == [json!({"type": "integer"}), json!({"type": "string"})]
}

fn structural(schema: &Value, level: Level, at: &str, errors: &mut Vec<FieldError>) {
    let kind = schema.str_at("/type");
    let items = schema.get("items");
    if kind == "array" && items.is_none() {
        errors.push(FieldError::required(format!("{at}.items"), "must be specified"));
    }
    if let Some(items) = items.filter(|items| items.is_object()) {
        structural(items, Level::Item, &format!("{at}.items"), errors);
    }
    let fields = schema.map_at("/properties");
    for (name, inner) in fields.into_iter().flatten() {
        structural(inner, Level::Field, &format!("{at}.properties[{name}]"), errors);
    }
    if let Some(of) = schema.get("additionalProperties") {
        let at = format!("{at}.additionalProperties");
        if level == Level::Root {
            errors.push(FieldError::forbidden(&at, "must not be used at the root"));
        }
        if of.is_object() {
            structural(of, Level::Field, &at, errors);
        }
    }
    let (int_or_string, preserves, embedded) = (
        flag(schema, "x-kubernetes-int-or-string"),
        flag(schema, "x-kubernetes-preserve-unknown-fields"),
        flag(schema, "x-kubernetes-embedded-resource"),
    );
    for (set, key) in
        [(preserves, "x-kubernetes-preserve-unknown-fields"), (embedded, "x-kubernetes-embedded-resource")]
    {
        if int_or_string && set {
            let words = "must be false if x-kubernetes-int-or-string is true";
            errors.push(FieldError::invalid(format!("{at}.{key}"), true, words));
        }
    }
    validations(schema, level, at, int_or_string_pattern(schema), errors);
    let type_at = format!("{at}.type");
    if embedded && kind != "object" {
        let words = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() {
            FieldError::required(type_at, words)
        } else {
            FieldError::invalid(type_at, kind, words)
        });
    } else if kind.is_empty() && !int_or_string && !preserves {
        let words = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(type_at, words));
    } else if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(type_at, kind, "must be object at the root"));
    }
    if embedded && schema.get("additionalProperties").is_some() {
        let words = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(format!("{at}.additionalProperties"), words));
    }
    if embedded && !preserves && fields.is_none_or(serde_json::Map::is_empty) {
        let words = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(format!("{at}.properties"), words));
    }
    identity(schema, level, embedded, at, errors);
}

/// `apiVersion`, `kind` and `metadata` are what they are.
fn identity(schema: &Value, level: Level, embedded: bool, at: &str, errors: &mut Vec<FieldError>) {
    if level != Level::Root && !embedded {
        return;
    }
    let property = |name: &str| schema.map_at("/properties").and_then(|p| p.get(name));
    for name in ["kind", "apiVersion"] {
        if let Some(inner) = property(name).filter(|inner| inner.str_at("/type") != "string") {
            let at = format!("{at}.properties[{name}].type");
            errors.push(FieldError::invalid(at, inner.str_at("/type"), "must be string"));
        }
    }
    let Some(metadata) = property("metadata") else { return };
    let at = format!("{at}.properties[metadata]");
    if metadata.str_at("/type") != "object" {
        errors.push(FieldError::invalid(format!("{at}.type"), metadata.str_at("/type"), "must be object"));
    }
    if level == Level::Root {
        let named = |key: &String| matches!(key.as_str(), "name" | "generateName");
        let fields_fine = metadata.map_at("/properties").is_none_or(|p| p.keys().all(named));
        let rest_fine = metadata
            .as_object()
            .is_some_and(|m| m.keys().all(|key| matches!(key.as_str(), "type" | "properties" | "default")));
        if !fields_fine || !rest_fine {
            let words = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(FieldError::forbidden(at, words));
        }
    }
}

/// The two ways in which `x-kubernetes-int-or-string` may be said in words that other tools know.
fn int_or_string_pattern(schema: &Value) -> (bool, bool) {
    let first = schema.list_at("/allOf").first();
    (
        is_int_or_string(schema.list_at("/anyOf")),
        first.is_some_and(|first| is_int_or_string(first.list_at("/anyOf"))),
    )
}

/// The junctors of a schema, and its pattern.
fn validations(schema: &Value, level: Level, at: &str, skip: (bool, bool), errors: &mut Vec<FieldError>) {
    if !skip.0 {
        for (index, inner) in schema.list_at("/anyOf").iter().enumerate() {
            nested(inner, level, &format!("{at}.anyOf[{index}]"), false, errors);
        }
    }
    for (index, inner) in schema.list_at("/allOf").iter().enumerate() {
        nested(inner, level, &format!("{at}.allOf[{index}]"), skip.1 && index == 0, errors);
    }
    for (index, inner) in schema.list_at("/oneOf").iter().enumerate() {
        nested(inner, level, &format!("{at}.oneOf[{index}]"), false, errors);
    }
    if let Some(inner) = schema.get("not") {
        nested(inner, level, &format!("{at}.not"), false, errors);
    }
    let pattern = schema.str_at("/pattern");
    if let Err(error) = Regex::new(pattern) {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let words = format!("must be a valid regular expression, but isn't: error parsing regexp: {why}");
        errors.push(FieldError::invalid(format!("{at}.pattern"), pattern, words));
    }
}

fn nested(schema: &Value, level: Level, at: &str, skip_any: bool, errors: &mut Vec<FieldError>) {
    validations(schema, level, at, (skip_any, false), errors);
    if let Some(items) = schema.get("items") {
        nested(items, level, &format!("{at}.items"), false, errors);
    }
    for (name, inner) in schema.map_at("/properties").into_iter().flatten() {
        let at = format!("{at}.properties[{name}]");
        nested(inner, Level::Field, &at, false, errors);
        if name == "metadata" {
            errors.push(FieldError::forbidden(at, "must not be specified in a nested context"));
        }
    }
    let mut forbid = |key: &str, words: &str| {
        errors
            .push(FieldError::forbidden(format!("{at}.{key}"), format!("must be {words} to be structural")));
    };
    for key in ["type", "title", "description"] {
        if !schema.get(key).and_then(Value::as_str).unwrap_or_default().is_empty() {
            forbid(key, "empty");
        }
    }
    for key in ["additionalProperties", "default", "x-kubernetes-list-type", "x-kubernetes-map-type"] {
        if schema.get(key).is_some_and(|value| !value.is_null()) {
            forbid(key, "undefined");
        }
    }
    for key in [
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    ] {
        if flag(schema, key) {
            forbid(key, "false");
        }
    }
    for key in ["x-kubernetes-list-map-keys", "x-kubernetes-validations"] {
        if schema.get(key).and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
            forbid(key, "empty");
        }
    }
}

/// Whatever a junctor speaks of is there.
fn complete(schema: &Value, at: &str, errors: &mut Vec<FieldError>) {
    for (junctor, inner) in junctors(schema) {
        mentioned(schema, at, inner, &format!("{at}.{junctor}"), errors);
    }
    if let Some(items) = schema.get("items") {
        complete(items, &format!("{at}.items"), errors);
    }
    for (name, inner) in schema.map_at("/properties").into_iter().flatten() {
        complete(inner, &format!("{at}.properties[{name}]"), errors);
    }
    if let Some(of) = schema.get("additionalProperties").filter(|of| of.is_object()) {
        complete(of, &format!("{at}.additionalProperties"), errors);
    }
}

fn junctors(schema: &Value) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for name in ["allOf", "anyOf", "oneOf"] {
        let list = schema.get(name).and_then(Value::as_array).into_iter().flatten();
        all.extend(list.enumerate().map(|(index, inner)| (format!("{name}[{index}]"), inner)));
    }
    all.extend(schema.get("not").map(|inner| ("not".to_owned(), inner)));
    all
}

fn mentioned(base: &Value, at: &str, inner: &Value, inner_at: &str, errors: &mut Vec<FieldError>) {
    let mut follow = |part: Option<&Value>, suffix: String, said: &Value| {
        let (at, said_at) = (format!("{at}.{suffix}"), format!("{inner_at}.{suffix}"));
        match part {
            Some(part) => mentioned(part, &at, said, &said_at, errors),
            None => errors.push(FieldError::required(at, format!("because it is defined in {said_at}"))),
        }
    };
    if let Some(items) = inner.get("items") {
        follow(base.get("items"), "items".to_owned(), items);
    }
    for (name, said) in inner.map_at("/properties").into_iter().flatten() {
        let part = base.map_at("/properties").and_then(|p| p.get(name));
        follow(part, format!("properties[{name}]"), said);
    }
    for (junctor, said) in junctors(inner) {
        mentioned(base, at, said, &format!("{inner_at}.{junctor}"), errors);
    }
}
