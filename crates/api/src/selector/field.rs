//! Field selectors: a conjunction of comparisons with single fields.

use std::{borrow::Cow, fmt};

use serde_json::Value;

use super::SelectorError;
use crate::{kinds::Kind, object::ObjectExt, status::quoted};

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field, as the client wrote it: `status.phase`.
    pub field: String,
    /// What to compare with.
    pub value: String,
    /// `=` or `!=`.
    pub equal: bool,
}

/// A conjunction of comparisons; without any it selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Reads `a=b,c!=d`. A backslash makes `,`, `=` and itself ordinary in a value.
    pub fn parse(text: &str) -> Result<FieldSelector, SelectorError> {
        let mut parts = split(text);
        parts.sort_unstable();
        let mut requirements = Vec::new();
        for part in parts.into_iter().filter(|p| !p.is_empty()) {
            let Some((field, equal, value)) = comparison(part) else {
                return Err(SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            requirements.push(FieldRequirement { field: field.into(), value: unescape(value)?, equal });
        }
        Ok(FieldSelector { requirements })
    }

    /// Selects one object by name, as watches of a single object do.
    pub fn name(name: &str) -> FieldSelector {
        let requirement = FieldRequirement { field: "metadata.name".into(), value: name.into(), equal: true };
        FieldSelector { requirements: vec![requirement] }
    }

    /// Whether every object is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The comparisons.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// The value that a field must equal, if the selector says so.
    pub fn requirement(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|r| r.equal && r.field == field).map(|r| r.value.as_str())
    }

    /// Whether an object satisfies all comparisons. Fields that it lacks are empty text, or what the
    /// typed field would read (`false`, `0`).
    pub fn matches(&self, object: &Value) -> bool {
        self.requirements.iter().all(|r| (field_value(object, &r.field) == r.value) == r.equal)
    }

    /// Whether objects of a built-in kind can be selected by these fields.
    pub fn check(&self, kind: &Kind) -> Result<(), SelectorError> {
        for FieldRequirement { field, .. } in &self.requirements {
            if kind.selectable.is_empty() {
                if field != "metadata.name" && field != "metadata.namespace" {
                    return Err(SelectorError(format!(
                        r#"{} is not a known field selector: only "metadata.name", "metadata.namespace""#,
                        quoted(field)
                    )));
                }
            } else if !known(field, kind.selectable, kind.namespaced) {
                return Err(SelectorError(unsupported(kind, field)));
            }
        }
        Ok(())
    }

    /// The same for a custom resource with its `selectableFields`, written without the leading dot.
    pub fn check_custom<S: AsRef<str>>(
        &self,
        selectable: &[S],
        namespaced: bool,
    ) -> Result<(), SelectorError> {
        let bad = self.requirements.iter().find(|r| !known(&r.field, selectable, namespaced));
        bad.map_or(Ok(()), |r| Err(SelectorError(format!("field label not supported: {}", r.field))))
    }
}

fn known<S: AsRef<str>>(field: &str, selectable: &[S], namespaced: bool) -> bool {
    field == "metadata.name"
        || (namespaced && field == "metadata.namespace")
        || selectable.iter().any(|s| s.as_ref() == field)
}

/// Kinds with fields of their own each have their own sentence.
fn unsupported(kind: &Kind, field: &str) -> String {
    match (kind.group, kind.kind) {
        ("batch", "Job") => format!("field label {} not supported for batchv1.Job", quoted(field)),
        ("resource.k8s.io", "ResourceSlice") => {
            format!("field label not supported for {}, Kind=ResourceSlice: {field}", kind.api_version())
        }
        _ => format!("field label not supported: {field}"),
    }
}

/// Fields that are not found under their own path, or that are not empty when absent.
const TYPED: &[(&str, &str, &str, &str, &str)] = &[
    ("v1", "Pod", "spec.hostNetwork", "/spec/hostNetwork", "false"),
    // Accepted by upstream, but never filled.
    ("v1", "Pod", "status.podIPs", "/-", ""),
    ("v1", "Node", "spec.unschedulable", "/spec/unschedulable", "false"),
    ("v1", "ReplicationController", "status.replicas", "/status/replicas", "0"),
    ("apps/v1", "ReplicaSet", "status.replicas", "/status/replicas", "0"),
    ("batch/v1", "Job", "status.successful", "/status/succeeded", "0"),
];

fn field_value<'a>(object: &'a Value, field: &str) -> Cow<'a, str> {
    let typed = TYPED.iter().find(|(version, kind, name, ..)| {
        *name == field && *kind == object.kind() && *version == object.api_version()
    });
    if let Some((.., pointer, default)) = typed {
        return object.at(pointer).map_or(Cow::Borrowed(*default), text);
    }
    if field == "source" && object.kind() == "Event" {
        let component = object.str_at("/source/component");
        return if component.is_empty() { object.str_at("/reportingComponent") } else { component }.into();
    }
    let mut here = object;
    for segment in field.split('.') {
        match here.get(segment) {
            Some(next) => here = next,
            None => return Cow::Borrowed(""),
        }
    }
    text(here)
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Number(number) => Cow::Owned(number.to_string()),
        _ => Cow::Borrowed(""),
    }
}

/// The parts between commas that no backslash precedes.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Field, whether they shall be equal, value: split at the first operator.
fn comparison(part: &str) -> Option<(&str, bool, &str)> {
    let (field, value) = part.split_once('=')?;
    match field.strip_suffix('!') {
        Some(field) => Some((field, false, value)),
        None => Some((field, true, value.strip_prefix('=').unwrap_or(value))),
    }
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let sequence: String = ['\\'].into_iter().chain(other).collect();
                    return Err(SelectorError(format!(
                        "invalid field selector: invalid escape sequence: {sequence}"
                    )));
                }
            },
            // Upstream prints the character's number.
            ',' | '=' => {
                return Err(SelectorError(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(c)
                )));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

impl std::str::FromStr for FieldSelector {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        FieldSelector::parse(text)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let operator = if r.equal { "=" } else { "!=" };
            let value = r.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{}{operator}{value}", r.field)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
