//! Rules and mappings in CEL: over `claims`, whatever a token says, and over `user`, what became of it.

use std::sync::{Arc, LazyLock};

use serde_json::{Value as Json, json};

use crate::cel::{Decl, Environment, Program, Type, Value, Variables};

static CLAIMS: LazyLock<Arc<Decl>> = LazyLock::new(|| {
    declared(&json!({"type": "object", "additionalProperties": {"x-kubernetes-int-or-string": true}}))
});
static USER: LazyLock<Arc<Decl>> = LazyLock::new(|| {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    declared(&json!({"type": "object", "properties": {
        "username": {"type": "string"},
        "uid": {"type": "string"},
        "groups": texts,
        "extra": {"type": "object", "additionalProperties": texts},
    }}))
});

fn declared(schema: &Json) -> Arc<Decl> {
    Arc::new(Decl::new(schema, false, "kubernetes.UserInfo").unwrap_or_else(Decl::dynamic))
}

/// An expression that was checked.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    source: String,
    message: String,
    program: Arc<Program>,
}

/// Two that are written alike.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, &self.message) == (&other.source, &other.message)
    }
}

const MUST_BE_TEXTS: &str = "expression must return a string or a list of strings";

impl Expression {
    /// Checks an expression over `variable`, `claims` or `user`, which must have one of the types `wanted`.
    pub(super) fn new(variable: &str, source: &str, message: &str, wanted: &[&str]) -> Result<Self, String> {
        let decl = if variable == "user" { &*USER } else { &*CLAIMS };
        let program = Environment::default().with(variable, decl).compile(source);
        let program = program.map_err(|why| format!("compilation failed: {why}"))?;
        let found = kind(program.ty());
        if found != "dyn" && !wanted.contains(&found) {
            return Err(match wanted {
                [one] => format!("must evaluate to {one}"),
                several => format!("must evaluate to one of [{}]", several.join(" ")),
            });
        }
        Ok(Self { source: source.to_owned(), message: message.to_owned(), program: Arc::new(program) })
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    fn value<'a>(&'a self, variable: &'static str, document: &'a Json) -> Result<Value<'a>, String> {
        let decl: &'a Decl = if variable == "user" { &USER } else { &CLAIMS };
        let variables = Variables::from([(variable, Value::read(document, decl))]);
        let evaluation = |why: String| format!("expression '{}' resulted in error: {why}", self.source);
        self.program.evaluate(&variables).0.map_err(|e| evaluation(e.to_string()))
    }

    /// A string; `None` for anything else.
    pub(super) fn text(&self, variable: &'static str, document: &Json) -> Result<Option<String>, String> {
        Ok(match self.value(variable, document)? {
            Value::String(text) => Some(text.to_string()),
            _ => None,
        })
    }

    /// Strings without the empty ones; nothing for null.
    pub(super) fn texts(&self, variable: &'static str, document: &Json) -> Result<Vec<String>, String> {
        let found: Vec<String> = match self.value(variable, document)? {
            Value::Null => Vec::new(),
            Value::String(text) => vec![text.to_string()],
            Value::List(list) => {
                let text = |value: &Value<'_>| match value {
                    Value::String(text) => Ok(text.to_string()),
                    _ => Err(MUST_BE_TEXTS.to_owned()),
                };
                list.iter().map(text).collect::<Result<_, _>>()?
            }
            Value::Items(list, _) => {
                let text = |value: &Json| value.as_str().map(str::to_owned).ok_or(MUST_BE_TEXTS.to_owned());
                list.iter().map(text).collect::<Result<_, _>>()?
            }
            _ => return Err(MUST_BE_TEXTS.to_owned()),
        };
        Ok(found.into_iter().filter(|text| !text.is_empty()).collect())
    }

    /// Whether a rule is met.
    pub(super) fn check(&self, variable: &'static str, document: &Json) -> Result<(), String> {
        match self.value(variable, document)? {
            Value::Bool(true) => Ok(()),
            Value::Bool(false) => {
                Err(format!("validation expression '{}' failed: {}", self.source, self.message))
            }
            _ => Err("validation expression must return a boolean".to_owned()),
        }
    }
}

fn kind(ty: &Type) -> &'static str {
    match ty {
        Type::Dyn => "dyn",
        Type::Bool => "bool",
        Type::String => "string",
        Type::List(_) => "list",
        Type::Null => "null_type",
        _ => "other",
    }
}
