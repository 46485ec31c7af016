//! Types, bounds, patterns, enumerations and junctors, in the words of upstream's OpenAPI validator.

use std::collections::BTreeMap;

use api::{object::ObjectExt, status::FieldError};
use regex::Regex;
use serde_json::{Map, Value};

use super::{IDENTITY, WHOLE, additional, child, formats, partner, properties};

/// A schema's patterns, ready to be asked.
pub(super) struct Check {
    patterns: BTreeMap<String, Regex>,
}

impl Check {
    pub(super) fn new(schema: &Value) -> Self {
        let mut patterns = BTreeMap::new();
        collect_patterns(schema, &mut patterns);
        Self { patterns }
    }

    /// Violations of a whole object.
    pub(super) fn object(&self, schema: &Value, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.value(schema, object, old, "", &mut errors);
        errors
    }

    /// Violations of a part of an object that stands at `path`.
    pub(super) fn part(&self, schema: &Value, value: &Value, path: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.value(schema, value, None, path, &mut errors);
        errors
    }

    fn value(
        &self,
        schema: &Value,
        value: &Value,
        old: Option<&Value>,
        path: &str,
        errors: &mut Vec<FieldError>,
    ) {
        // What was so before is not this change's fault.
        if old == Some(value) || value.is_null() && schema.bool_at("/nullable") {
            return;
        }
        if !of_type(schema, value) {
            let found = type_name(value);
            let wanted = match schema.str_at("/type") {
                "" => "integer,string",
                wanted => wanted,
            };
            let words = format!("{path} in body must be of type {wanted}: \"{found}\"");
            errors.push(FieldError::type_invalid(path_or_whole(path), found, words));
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
            Value::Object(map) => self.fields(schema, map, old, path, errors),
            Value::Array(list) => self.list(schema, list, old, path, errors),
            Value::String(text) => self.text(schema, text, path, errors),
            Value::Number(_) => number(schema, value, path, errors),
            _ => {}
        }
        self.junctors(schema, value, path, errors);
    }

    fn fields(
        &self,
        schema: &Value,
        map: &Map<String, Value>,
        old: Option<&Value>,
        path: &str,
        errors: &mut Vec<FieldError>,
    ) {
        let count = map.len();
        if let Some(least) = limit(schema, "/minProperties").filter(|least| count < *least) {
            let words = format!("{path} in body should have at least {least} properties");
            errors.push(FieldError::invalid(path, count, words));
        }
        if let Some(most) = limit(schema, "/maxProperties").filter(|most| count > *most) {
            errors.push(FieldError::too_many(path, count, most));
        }
        for name in schema.list_at("/required").iter().filter_map(Value::as_str) {
            if !map.contains_key(name) {
                errors.push(FieldError::required(child(path, name), ""));
            }
        }
        for (key, inner) in map {
            let Some(schema) = properties(schema).and_then(|p| p.get(key)).or_else(|| additional(schema))
            else {
                continue;
            };
            let path = child(path, key);
            let old = old.and_then(|old| old.get(key));
            // What metadata is is settled elsewhere; a schema may narrow the name.
            if IDENTITY.contains(&path.as_str()) {
                for (name, schema) in properties(schema).into_iter().flatten() {
                    if let Some(inner) = inner.get(name) {
                        let old = old.and_then(|old| old.get(name));
                        self.value(schema, inner, old, &child(&path, name), errors);
                    }
                }
                continue;
            }
            self.value(schema, inner, old, &path, errors);
        }
    }

    fn list(
        &self,
        schema: &Value,
        list: &[Value],
        old: Option<&Value>,
        path: &str,
        errors: &mut Vec<FieldError>,
    ) {
        let count = list.len();
        if let Some(least) = limit(schema, "/minItems").filter(|least| count < *least) {
            let words = format!("{path} in body should have at least {least} items");
            errors.push(FieldError::invalid(path, count, words));
        }
        if let Some(most) = limit(schema, "/maxItems").filter(|most| count > *most) {
            errors.push(FieldError::too_many(path, count, most));
        }
        let Some(items) = schema.get("items") else { return };
        let old = old.and_then(Value::as_array);
        for (index, inner) in list.iter().enumerate() {
            let old = old.and_then(|old| partner(schema, old, inner));
            self.value(items, inner, old, &format!("{path}[{index}]"), errors);
        }
    }

    fn text(&self, schema: &Value, text: &str, path: &str, errors: &mut Vec<FieldError>) {
        let length = text.chars().count();
        if let Some(most) = limit(schema, "/maxLength").filter(|most| length > *most) {
            errors.push(FieldError::too_long(path, most));
        }
        if let Some(least) = limit(schema, "/minLength").filter(|least| length < *least) {
            let words = format!("{path} in body should be at least {least} chars long");
            errors.push(FieldError::invalid(path, text, words));
        }
        let pattern = schema.str_at("/pattern");
        if self.patterns.get(pattern).is_some_and(|regex| !regex.is_match(text)) {
            errors.push(FieldError::invalid(path, text, format!("{path} in body should match '{pattern}'")));
        }
        let format = schema.str_at("/format");
        if !format.is_empty() && !formats::fits(format, text) {
            let words = format!("{path} in body must be of type {format}: {}", api::status::quoted(text));
            errors.push(FieldError::type_invalid(path, text, words));
        }
    }

    fn junctors(&self, schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        let violations = |schema: &Value| {
            let mut inner = Vec::new();
            self.value(schema, value, None, path, &mut inner);
            inner
        };
        let refuse = |words: &str, errors: &mut Vec<FieldError>| {
            errors.push(FieldError::invalid(
                WHOLE,
                "",
                format!("{} must {words}", api::status::quoted(path)),
            ));
        };
        // Of the alternatives that failed the one that came nearest is shown.
        let nearest = |alternatives: Vec<Vec<FieldError>>| alternatives.into_iter().min_by_key(Vec::len);
        let any = schema.list_at("/anyOf");
        if !any.is_empty() {
            let found: Vec<_> = any.iter().map(violations).collect();
            if !found.iter().any(Vec::is_empty) {
                refuse("validate at least one schema (anyOf)", errors);
                errors.extend(nearest(found).unwrap_or_default());
            }
        }
        let one = schema.list_at("/oneOf");
        if !one.is_empty() {
            let found: Vec<_> = one.iter().map(violations).collect();
            match found.iter().filter(|errors| errors.is_empty()).count() {
                1 => {}
                0 => {
                    refuse("validate one and only one schema (oneOf). Found none valid", errors);
                    errors.extend(nearest(found).unwrap_or_default());
                }
                many => {
                    let words =
                        format!("validate one and only one schema (oneOf). Found {many} valid alternatives");
                    refuse(&words, errors);
                }
            }
        }
        let all = schema.list_at("/allOf");
        if !all.is_empty() {
            let found: Vec<_> = all.iter().map(violations).collect();
            let passed = found.iter().filter(|errors| errors.is_empty()).count();
            if passed < all.len() {
                errors.extend(found.into_iter().flatten());
                let words = if passed == 0 { ". None validated" } else { "" };
                refuse(&format!("validate all the schemas (allOf){words}"), errors);
            }
        }
        if let Some(not) = schema.get("not").filter(|not| not.is_object())
            && violations(not).is_empty()
        {
            refuse("not validate the schema (not)", errors);
        }
    }
}

fn path_or_whole(path: &str) -> &str {
    if path.is_empty() { WHOLE } else { path }
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

fn limit(schema: &Value, pointer: &str) -> Option<usize> {
    usize::try_from(schema.i64_at(pointer)?).ok()
}

fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0)
}

fn of_type(schema: &Value, value: &Value) -> bool {
    if schema.bool_at("/x-kubernetes-int-or-string") {
        return value.is_string() || is_whole(value);
    }
    match schema.str_at("/type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => is_whole(value),
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
    if let (format @ ("int32" | "int64" | "float"), Value::Number(n)) = (schema.str_at("/format"), value)
        && !formats::in_range(format, n)
    {
        let kind = schema.str_at("/type");
        let words = format!("Checked value must be of type {kind} with format {format} in {path}");
        errors.push(FieldError::invalid(WHOLE, "", words));
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let mut refuse = |words: String| errors.push(FieldError::invalid(path, value.clone(), words));
    if let Some(factor) = bound("multipleOf").filter(|f| *f > 0.0) {
        let times = found / factor;
        if (times - times.round()).abs() > 1e-9 * times.abs().max(1.0) {
            refuse(format!("{path} in body should be a multiple of {factor}"));
        }
    }
    if let Some(most) = bound("maximum") {
        let exclusive = schema.bool_at("/exclusiveMaximum");
        if found > most || exclusive && found >= most {
            let than = if exclusive { "less than" } else { "less than or equal to" };
            refuse(format!("{path} in body should be {than} {most}"));
        }
    }
    if let Some(least) = bound("minimum") {
        let exclusive = schema.bool_at("/exclusiveMinimum");
        if found < least || exclusive && found <= least {
            let than = if exclusive { "greater than" } else { "greater than or equal to" };
            refuse(format!("{path} in body should be {than} {least}"));
        }
    }
}
