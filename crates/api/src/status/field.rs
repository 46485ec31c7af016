//! Complaints about single fields, and how upstream spells them.

use serde_json::Value;

use super::Cause;

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// It is missing.
    Required,
    /// Its value is malformed.
    Invalid,
    /// Its JSON type is wrong.
    TypeInvalid,
    /// Its value is not among the known ones.
    NotSupported,
    /// It may not be set here and now.
    Forbidden,
    /// Its value is there already.
    Duplicate,
    /// It refers to something that does not exist.
    NotFound,
    /// It is too long.
    TooLong,
    /// It has too many items.
    TooMany,
    /// It could not be judged.
    Internal,
}

impl FieldErrorKind {
    /// How the kind opens the sentence.
    pub fn words(self) -> &'static str {
        match self {
            FieldErrorKind::Required => "Required value",
            FieldErrorKind::Invalid | FieldErrorKind::TypeInvalid => "Invalid value",
            FieldErrorKind::NotSupported => "Unsupported value",
            FieldErrorKind::Forbidden => "Forbidden",
            FieldErrorKind::Duplicate => "Duplicate value",
            FieldErrorKind::NotFound => "Not found",
            FieldErrorKind::TooLong => "Too long",
            FieldErrorKind::TooMany => "Too many",
            FieldErrorKind::Internal => "Internal error",
        }
    }

    /// The `reason` of the cause.
    pub fn reason(self) -> &'static str {
        match self {
            FieldErrorKind::Required => "FieldValueRequired",
            FieldErrorKind::Invalid => "FieldValueInvalid",
            FieldErrorKind::TypeInvalid => "FieldValueTypeInvalid",
            FieldErrorKind::NotSupported => "FieldValueNotSupported",
            FieldErrorKind::Forbidden => "FieldValueForbidden",
            FieldErrorKind::Duplicate => "FieldValueDuplicate",
            FieldErrorKind::NotFound => "FieldValueNotFound",
            FieldErrorKind::TooLong => "FieldValueTooLong",
            FieldErrorKind::TooMany => "FieldValueTooMany",
            FieldErrorKind::Internal => "InternalError",
        }
    }
}

/// One complaint.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// What is wrong.
    pub kind: FieldErrorKind,
    /// Where: `spec.containers[0].name`.
    pub field: String,
    /// The value that is wrong; `None` where upstream does not show it.
    pub value: Option<Value>,
    /// Why, possibly empty.
    pub detail: String,
}

impl FieldError {
    fn new(
        kind: FieldErrorKind,
        field: impl Into<String>,
        value: Option<Value>,
        detail: String,
    ) -> FieldError {
        FieldError { kind, field: field.into(), value, detail }
    }

    /// The field is missing.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError::new(FieldErrorKind::Required, field, None, detail.into())
    }

    /// The value is malformed.
    pub fn invalid(
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> FieldError {
        FieldError::new(FieldErrorKind::Invalid, field, Some(value.into()), detail.into())
    }

    /// The value has the wrong JSON type.
    pub fn type_invalid(
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> FieldError {
        FieldError::new(FieldErrorKind::TypeInvalid, field, Some(value.into()), detail.into())
    }

    /// The value may not be changed.
    pub fn immutable(field: impl Into<String>, value: impl Into<Value>) -> FieldError {
        FieldError::invalid(field, value, "field is immutable")
    }

    /// The value is not among `supported`.
    pub fn not_supported(
        field: impl Into<String>,
        value: impl Into<Value>,
        supported: &[&str],
    ) -> FieldError {
        let list: Vec<String> = supported.iter().map(|s| quoted(s)).collect();
        let detail =
            if list.is_empty() { String::new() } else { format!("supported values: {}", list.join(", ")) };
        FieldError::new(FieldErrorKind::NotSupported, field, Some(value.into()), detail)
    }

    /// The field may not be set here and now.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError::new(FieldErrorKind::Forbidden, field, None, detail.into())
    }

    /// The value is there already.
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> FieldError {
        FieldError::new(FieldErrorKind::Duplicate, field, Some(value.into()), String::new())
    }

    /// The value refers to something that does not exist.
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> FieldError {
        FieldError::new(FieldErrorKind::NotFound, field, Some(value.into()), String::new())
    }

    /// The value is longer than `limit` bytes.
    pub fn too_long(field: impl Into<String>, limit: usize) -> FieldError {
        FieldError::new(FieldErrorKind::TooLong, field, None, format!("may not be more than {limit} bytes"))
    }

    /// There are `actual` items where at most `limit` may be.
    pub fn too_many(field: impl Into<String>, actual: usize, limit: usize) -> FieldError {
        let detail = format!("must have at most {limit} items");
        FieldError::new(FieldErrorKind::TooMany, field, Some(actual.into()), detail)
    }

    /// The field could not be judged.
    pub fn internal(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError::new(FieldErrorKind::Internal, field, None, detail.into())
    }

    /// The complaint without the field: `Invalid value: "x": why`.
    pub fn body(&self) -> String {
        let mut out = self.kind.words().to_owned();
        if let Some(value) = &self.value {
            out.push_str(": ");
            out.push_str(&shown(value));
        }
        if !self.detail.is_empty() {
            out.push_str(": ");
            out.push_str(&self.detail);
        }
        out
    }

    pub(super) fn into_cause(self) -> Cause {
        Cause { reason: self.kind.reason().into(), message: self.body(), field: self.field }
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// All complaints in one sentence, each once; several stand in brackets.
pub(crate) fn aggregate(errors: &[FieldError]) -> Option<String> {
    let mut messages: Vec<String> = Vec::with_capacity(errors.len());
    for error in errors {
        let message = error.to_string();
        if !messages.contains(&message) {
            messages.push(message);
        }
    }
    match messages.len() {
        0 => None,
        1 => messages.pop(),
        _ => Some(format!("[{}]", messages.join(", "))),
    }
}

/// Text as Go's `%q` writes it.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Null => quoted("null"),
        Value::Number(number) => match number.as_f64() {
            // Go prints a whole float without its fraction.
            Some(float) if number.is_f64() => float.to_string(),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words() {
        let rows = [
            (FieldError::required("a", ""), "a: Required value"),
            (FieldError::required("a", "why"), "a: Required value: why"),
            (FieldError::invalid("a", "x\"y\n", "why"), r#"a: Invalid value: "x\"y\n": why"#),
            (FieldError::invalid("a", 3, ""), "a: Invalid value: 3"),
            (FieldError::invalid("a", 2.0, ""), "a: Invalid value: 2"),
            (FieldError::invalid("a", 2.5, ""), "a: Invalid value: 2.5"),
            (FieldError::invalid("a", true, ""), "a: Invalid value: true"),
            (FieldError::invalid("a", json!(null), ""), r#"a: Invalid value: "null""#),
            (FieldError::invalid("a", json!([""]), "why"), r#"a: Invalid value: [""]: why"#),
            (FieldError::immutable("a", json!({"b": 1})), r#"a: Invalid value: {"b":1}: field is immutable"#),
            (
                FieldError::not_supported("a", "x", &["b", "c"]),
                r#"a: Unsupported value: "x": supported values: "b", "c""#,
            ),
            (FieldError::forbidden("a", "why"), "a: Forbidden: why"),
            (FieldError::duplicate("a[1]", "x"), r#"a[1]: Duplicate value: "x""#),
            (FieldError::not_found("a", "x"), r#"a: Not found: "x""#),
            (FieldError::too_long("a", 10), "a: Too long: may not be more than 10 bytes"),
            (FieldError::too_many("a", 5, 3), "a: Too many: 5: must have at most 3 items"),
            (FieldError::internal("a", "why"), "a: Internal error: why"),
        ];
        for (error, words) in rows {
            assert_eq!(error.to_string(), words);
        }
    }
}
