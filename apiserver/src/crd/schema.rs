//! A structural schema at work: it prunes, fills in defaults, and validates in upstream's words.
//!
//! Rules in CEL (`x-kubernetes-validations`), string formats and list types are not looked at.

use std::collections::BTreeMap;

use api::{object::ObjectExt, status::FieldError};
use regex::Regex;
use serde_json::{Map, Value};

/// The schema of one version.
pub(super) struct Schema {
    source: Value,
    /// The patterns in it that can be read.
    patterns: BTreeMap<String, Regex>,
}

/// What an object is, as opposed to what its kind says: the schema has no say in it.
const IDENTITY: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl Schema {
    pub(super) fn new(source: Value) -> Self {
        let mut patterns = BTreeMap::new();
        collect_patterns(&source, &mut patterns);
        Self { source, patterns }
    }

    /// As the definition has it.
    pub(super) fn source(&self) -> &Value {
        &self.source
    }

    /// Drops what the schema does not know; its paths.
    pub(super) fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut pruned = Vec::new();
        prune(&self.source, object, "", true, &mut pruned);
        pruned
    }

    /// Fills in defaults, and takes out nulls where a default stands for them.
    pub(super) fn default(&self, object: &mut Value) {
        default(&self.source, object);
    }

    /// All violations.
    pub(super) fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let checked = Check { patterns: &self.patterns };
        checked.value(&self.source, object, "", &mut errors);
        errors
    }
}

fn collect_patterns(schema: &Value, patterns: &mut BTreeMap<String, Regex>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(pattern)) = map.get("pattern")
                && let Ok(regex) = Regex::new(pattern)
            {
                patterns.insert(pattern.clone(), regex);
            }
            map.values().for_each(|inner| collect_patterns(inner, patterns));
        }
        Value::Array(list) => list.iter().for_each(|inner| collect_patterns(inner, patterns)),
        _ => {}
    }
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// `additionalProperties` as a schema.
fn additional(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|of| of.is_object())
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn prune(schema: &Value, value: &mut Value, path: &str, root: bool, pruned: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let whole_object = root || flag(schema, "x-kubernetes-embedded-resource");
            let keeps =
                flag(schema, "x-kubernetes-preserve-unknown-fields") || flag(schema, "additionalProperties");
            let mut surplus = Vec::new();
            for (key, inner) in map.iter_mut() {
                if whole_object && IDENTITY.contains(&key.as_str()) {
                    continue;
                }
                let path = child(path, key);
                match properties(schema).and_then(|p| p.get(key)).or_else(|| additional(schema)) {
                    Some(schema) => prune(schema, inner, &path, false, pruned),
                    None if keeps => {}
                    None => {
                        surplus.push(key.clone());
                        pruned.push(path);
                    }
                }
            }
            for key in surplus {
                map.shift_remove(&key);
            }
        }
        Value::Array(list) => {
            let Some(items) = schema.get("items") else { return };
            for (index, inner) in list.iter_mut().enumerate() {
                prune(items, inner, &format!("{path}[{index}]"), false, pruned);
            }
        }
        _ => {}
    }
}

fn default(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, schema) in properties(schema).into_iter().flatten() {
                if let Some(standard) = schema.get("default") {
                    let stands_for = match map.get(name) {
                        None => true,
                        Some(Value::Null) => !flag(schema, "nullable"),
                        Some(_) => false,
                    };
                    if stands_for {
                        map.insert(name.clone(), standard.clone());
                    }
                }
                if let Some(inner) = map.get_mut(name) {
                    default(schema, inner);
                }
            }
            if let Some(of) = additional(schema) {
                map.values_mut().for_each(|inner| default(of, inner));
            }
        }
        Value::Array(list) => {
            let Some(items) = schema.get("items") else { return };
            list.iter_mut().for_each(|inner| default(items, inner));
        }
        _ => {}
    }
}

struct Check<'s> {
    patterns: &'s BTreeMap<String, Regex>,
}

impl Check<'_> {
    fn value(&self, schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        if value.is_null() && flag(schema, "nullable") {
            return;
        }
        if !of_type(schema, value) {
            let found = type_name(value);
            let wanted = match schema.str_at("/type") {
                "" => "integer,string",
                wanted => wanted,
            };
            let words = format!("{path} in body must be of type {wanted}: \"{found}\"");
            errors.push(FieldError::type_invalid(path, found, words));
            return;
        }
        if let Some(Value::Array(allowed)) = schema.get("enum")
            && !allowed.contains(value)
        {
            let shown: Vec<String> =
                allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
            let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
            errors.push(FieldError::not_supported(path, value.clone(), &shown));
        }
        match value {
            Value::Object(map) => self.object(schema, map, path, errors),
            Value::Array(list) => self.list(schema, list, path, errors),
            Value::String(text) => self.text(schema, text, path, errors),
            Value::Number(_) => number(schema, value, path, errors),
            _ => {}
        }
        self.combined(schema, value, path, errors);
    }

    fn object(&self, schema: &Value, map: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
        for name in schema.list_at("/required").iter().filter_map(Value::as_str) {
            if !map.contains_key(name) {
                errors.push(FieldError::required(child(path, name), ""));
            }
        }
        for (key, inner) in map {
            // Metadata has rules of its own, and other words for them.
            if path.is_empty() && IDENTITY.contains(&key.as_str()) {
                continue;
            }
            if let Some(schema) = properties(schema).and_then(|p| p.get(key)).or_else(|| additional(schema)) {
                self.value(schema, inner, &child(path, key), errors);
            }
        }
        if let Some(least) = schema.i64_at("/minProperties")
            && count(map.len()) < least
        {
            let words = format!("{path} in body should have at least {least} properties");
            errors.push(FieldError::invalid(path, Value::Object(map.clone()), words));
        }
        if let Some(most) = limit(schema, "/maxProperties")
            && map.len() > most
        {
            let words = format!("{path} in body should have at most {most} properties");
            errors.push(FieldError::invalid(path, Value::Object(map.clone()), words));
        }
    }

    fn list(&self, schema: &Value, list: &[Value], path: &str, errors: &mut Vec<FieldError>) {
        if let Some(least) = schema.i64_at("/minItems")
            && count(list.len()) < least
        {
            let words = format!("{path} in body should have at least {least} items");
            errors.push(FieldError::invalid(path, list.len(), words));
        }
        if let Some(most) = limit(schema, "/maxItems")
            && list.len() > most
        {
            errors.push(FieldError::too_many(path, list.len(), most));
        }
        let unique = flag(schema, "uniqueItems") || schema.str_at("/x-kubernetes-list-type") == "set";
        for (index, inner) in list.iter().enumerate() {
            let at = format!("{path}[{index}]");
            if unique && list.iter().take(index).any(|earlier| earlier == inner) {
                errors.push(FieldError::duplicate(&at, inner.clone()));
            }
            if let Some(items) = schema.get("items") {
                self.value(items, inner, &at, errors);
            }
        }
    }

    fn text(&self, schema: &Value, text: &str, path: &str, errors: &mut Vec<FieldError>) {
        let length = text.chars().count();
        if let Some(least) = schema.i64_at("/minLength")
            && count(length) < least
        {
            let words = format!("{path} in body should be at least {least} chars long");
            errors.push(FieldError::invalid(path, text, words));
        }
        if let Some(most) = limit(schema, "/maxLength")
            && length > most
        {
            errors.push(FieldError::too_long(path, most));
        }
        let pattern = schema.str_at("/pattern");
        if self.patterns.get(pattern).is_some_and(|regex| !regex.is_match(text)) {
            errors.push(FieldError::invalid(path, text, format!("{path} in body should match '{pattern}'")));
        }
    }

    fn combined(&self, schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        let passes = |schema: &Value| {
            let mut inner = Vec::new();
            self.value(schema, value, path, &mut inner);
            inner.is_empty()
        };
        let mut refuse = |words: &str| {
            let words = format!("{path:?} must {words}");
            errors.push(FieldError::invalid(path, value.clone(), words));
        };
        let any = schema.list_at("/anyOf");
        if !any.is_empty() && !any.iter().any(passes) {
            refuse("validate at least one schema (anyOf)");
        }
        let one = schema.list_at("/oneOf");
        if !one.is_empty() && one.iter().filter(|s| passes(s)).count() != 1 {
            refuse("validate one and only one schema (oneOf)");
        }
        if schema.get("not").is_some_and(|not| not.is_object() && passes(not)) {
            refuse("not validate the schema (not)");
        }
        for part in schema.list_at("/allOf") {
            self.value(part, value, path, errors);
        }
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn limit(schema: &Value, pointer: &str) -> Option<usize> {
    usize::try_from(schema.i64_at(pointer)?).ok()
}

fn of_type(schema: &Value, value: &Value) -> bool {
    if flag(schema, "x-kubernetes-int-or-string") {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match schema.str_at("/type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0),
        _ => true,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn number(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(found) = value.as_f64() else { return };
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let mut refuse = |words: String| errors.push(FieldError::invalid(path, value.clone(), words));
    if let Some(least) = bound("minimum") {
        let exclusive = flag(schema, "exclusiveMinimum");
        if found < least || exclusive && found <= least {
            let than = if exclusive { "greater than" } else { "greater than or equal to" };
            refuse(format!("{path} in body should be {than} {least}"));
        }
    }
    if let Some(most) = bound("maximum") {
        let exclusive = flag(schema, "exclusiveMaximum");
        if found > most || exclusive && found >= most {
            let than = if exclusive { "less than" } else { "less than or equal to" };
            refuse(format!("{path} in body should be {than} {most}"));
        }
    }
    if let Some(factor) = bound("multipleOf").filter(|f| *f > 0.0)
        && (found / factor).fract().abs() > f64::EPSILON
    {
        refuse(format!("{path} in body should be a multiple of {factor}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        Schema::new(json!({
            "type": "object",
            "required": ["spec"],
            "properties": {
                "spec": {
                    "type": "object",
                    "required": ["size"],
                    "properties": {
                        "size": {"type": "integer", "minimum": 1, "maximum": 5},
                        "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4, "minLength": 2},
                        "port": {"x-kubernetes-int-or-string": true},
                        "tags": {"type": "array", "maxItems": 2, "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                            "properties": {"known": {"type": "object"}}},
                        "maybe": {"type": "string", "nullable": true},
                        "nested": {"type": "object", "properties": {"on": {"type": "boolean", "default": true}}},
                    },
                },
            },
        }))
    }

    #[test]
    fn unknown_fields_are_pruned() {
        #[track_caller]
        fn check(spec: Value, pruned: &[&str], left: Value) {
            let mut object = json!({"apiVersion": "x/v1", "kind": "Foo", "metadata": {"name": "a", "odd": 1}, "spec": spec});
            assert_eq!(schema().prune(&mut object), pruned);
            assert_eq!(object["spec"], left);
        }
        check(json!({"size": 1}), &[], json!({"size": 1}));
        check(json!({"size": 1, "foo": 2}), &["spec.foo"], json!({"size": 1}));
        check(json!({"labels": {"any": "x"}}), &[], json!({"labels": {"any": "x"}}));
        check(
            json!({"free": {"a": 1, "known": {"b": 1}}}),
            &["spec.free.known.b"],
            json!({"free": {"a": 1, "known": {}}}),
        );
    }

    #[test]
    fn defaults_fill_what_is_missing() {
        #[track_caller]
        fn check(spec: Value, filled: Value) {
            let mut object = json!({"spec": spec});
            schema().default(&mut object);
            assert_eq!(object["spec"], filled);
        }
        check(json!({}), json!({"color": "red"}));
        check(json!({"color": "blue"}), json!({"color": "blue"}));
        check(json!({"color": null, "maybe": null}), json!({"color": "red", "maybe": null}));
        check(json!({"color": "red", "nested": {}}), json!({"color": "red", "nested": {"on": true}}));
    }

    #[test]
    fn violations_are_named_in_upstream_s_words() {
        #[track_caller]
        fn check(spec: Value, expected: &[&str]) {
            let found: Vec<String> = schema()
                .validate(&json!({"metadata": {"name": 3}, "spec": spec}))
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(found, expected);
        }
        check(json!({"size": 1}), &[]);
        check(json!({}), &["spec.size: Required value"]);
        check(
            json!({"size": "x"}),
            &["spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\""],
        );
        check(
            json!({"size": 0}),
            &["spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"],
        );
        check(
            json!({"size": 6}),
            &["spec.size: Invalid value: 6: spec.size in body should be less than or equal to 5"],
        );
        check(
            json!({"size": 1, "color": "green"}),
            &["spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\""],
        );
        check(
            json!({"size": 1, "name": "A1"}),
            &["spec.name: Invalid value: \"A1\": spec.name in body should match '^[a-z]+$'"],
        );
        check(json!({"size": 1, "name": "abcde"}), &["spec.name: Too long: may not be more than 4 bytes"]);
        check(json!({"size": 1, "tags": ["a", "a"]}), &["spec.tags[1]: Duplicate value: \"a\""]);
        check(
            json!({"size": 1, "tags": ["a", "b", "c"]}),
            &["spec.tags: Too many: 3: must have at most 2 items"],
        );
        check(
            json!({"size": 1, "port": true}),
            &[
                "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
            ],
        );
        check(json!({"size": 1, "maybe": null, "port": "http"}), &[]);
    }
}
