//! A structural schema at work: it prunes, fills in defaults, and validates in upstream's words.
//!
//! ```text
//! object ─▶ prune ─▶ defaults ─▶ check: types, bounds, formats ─▶ embedded, lists ─▶ rules (CEL)
//! ```
//! What an update leaves as it was is not complained of, even if it breaks a rule that is newer than
//! the object.

mod check;
mod defaults;
mod embedded;
mod formats;
mod lists;
mod prune;
mod rules;

use api::{
    object::ObjectExt,
    status::{FieldError, FieldErrorKind},
};
use serde_json::{Map, Value};

pub(crate) use formats::is_uuid;
pub(super) use prune::surplus;
pub(super) use rules::{RuleError, compile_rule, decl_of, field_path};

/// The schema of one version.
pub(super) struct Schema {
    source: Value,
    check: check::Check,
    rules: Option<rules::Rules>,
}

/// What validation found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<FieldError>,
    /// Complaints about what an update did not touch.
    pub(super) warnings: Vec<String>,
}

/// What an object is, as opposed to what its kind says: the schema has no say in it.
const IDENTITY: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// How upstream names the whole object.
pub(super) const WHOLE: &str = "<nil>";

impl Schema {
    pub(super) fn new(source: Value) -> Self {
        let check = check::Check::new(&source);
        let rules = rules::Rules::of_object(&source);
        Self { source, check, rules }
    }

    /// Violations of a value by a schema that is part of another; the value stands at `path`.
    pub(super) fn part(schema: &Value, value: &Value, path: &str) -> Vec<FieldError> {
        let mut errors = check::Check::new(schema).part(schema, value, path);
        let mut more = Findings { errors: lists::violations(schema, value), warnings: Vec::new() };
        if let Some(rules) = rules::Rules::of_part(schema).filter(|_| errors.is_empty()) {
            rules.validate(value, None, &mut more);
        }
        errors.extend(more.errors.into_iter().map(|mut error| {
            error.field = match error.field.as_str() {
                WHOLE => path.to_owned(),
                inner if inner.starts_with('[') => format!("{path}{inner}"),
                inner => child(path, inner),
            };
            error
        }));
        errors
    }

    /// As the definition has it.
    pub(super) fn source(&self) -> &Value {
        &self.source
    }

    /// Drops what the schema does not know; its paths.
    pub(super) fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::object(&self.source, object)
    }

    /// Takes out nulls that stand for nothing, and fills in defaults.
    pub(super) fn default(&self, object: &mut Value) {
        defaults::fill(&self.source, object);
    }

    /// All violations of a new object, or of what a change of an old one brings.
    pub(super) fn validate(&self, object: &Value, old: Option<&Value>) -> Findings {
        let mut errors = self.check.object(&self.source, object, old);
        embedded::validate(&self.source, object, &mut errors);
        let already = old.is_some_and(|old| !lists::violations(&self.source, old).is_empty());
        if !already {
            errors.extend(lists::violations(&self.source, object));
        }
        let mut findings = Findings { errors, warnings: Vec::new() };
        if let Some(rules) = &self.rules {
            if findings.errors.iter().any(blocks_rules) {
                let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
                findings.errors.push(FieldError::invalid(WHOLE, Value::Null, why));
            } else {
                rules.validate(object, old, &mut findings);
            }
        }
        findings
    }
}

/// Rules may rely on types, bounds and what is required.
fn blocks_rules(error: &FieldError) -> bool {
    use FieldErrorKind::{Required, TooLong, TooMany, TypeInvalid};
    matches!(error.kind, Required | TooLong | TooMany | TypeInvalid)
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// `additionalProperties` as a schema.
fn additional(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|of| of.is_object())
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn is_embedded(schema: &Value) -> bool {
    schema.bool_at("/x-kubernetes-embedded-resource")
}

/// The value of an older list that an element of a newer one goes on from: the same keys in a list
/// that is a map, nothing in any other.
fn partner<'o>(schema: &Value, old: &'o [Value], element: &Value) -> Option<&'o Value> {
    if schema.str_at("/x-kubernetes-list-type") != "map" {
        return None;
    }
    let keys = schema.list_at("/x-kubernetes-list-map-keys");
    let same =
        |other: &&Value| keys.iter().filter_map(Value::as_str).all(|key| other.get(key) == element.get(key));
    old.iter().find(same)
}

#[cfg(test)]
mod tests;
