//! `x-kubernetes-validations`: the rules of a schema, compiled once and asked of every object.

use std::{collections::BTreeMap, sync::Arc};

use api::{
    object::ObjectExt,
    status::{FieldError, FieldErrorKind},
};
use serde_json::Value;

use super::{Findings, WHOLE, additional, child, is_embedded, partner, properties};
use crate::cel::{self, Decl, Environment, EvalError, Program, Type, Variables};

/// How messages name the type of what a rule stands at.
const SELF_TYPE: &str = "selfType";
/// Longer messages give way to the rule's other one.
const LONGEST_MESSAGE: usize = 5 * 1024;

/// One rule, compiled.
#[derive(Debug)]
pub(in crate::crd) struct Rule {
    pub(in crate::crd) program: Program,
    pub(in crate::crd) message: Option<Program>,
    pub(in crate::crd) uses_old_self: bool,
    optional_old_self: bool,
    field_path: String,
    source: Value,
}

/// What is wrong with a rule, and where in it.
#[derive(Debug)]
pub(in crate::crd) enum RuleError {
    /// With the expression that decides.
    Rule(String),
    /// With the expression that explains.
    Message(String),
}

/// Compiles a rule that stands at a schema.
pub(in crate::crd) fn compile_rule(
    source: &Value,
    schema: &Value,
    decl: &Arc<Decl>,
) -> Result<Rule, RuleError> {
    let environment = Environment::default().with("self", decl);
    let optional_old_self = source.bool_at("/optionalOldSelf");
    let environment = if optional_old_self {
        environment.with_optional("oldSelf", decl)
    } else {
        environment.with("oldSelf", decl)
    };
    let program = environment
        .compile(source.str_at("/rule").trim())
        .map_err(|why| RuleError::Rule(format!("compilation failed: {why}")))?;
    if !matches!(program.ty(), Type::Bool) {
        return Err(RuleError::Rule("cel expression must evaluate to a bool".to_owned()));
    }
    let message = match source.str_at("/messageExpression").trim() {
        "" => None,
        expression => {
            let message = environment
                .compile(expression)
                .map_err(|why| RuleError::Message(format!("messageExpression compilation failed: {why}")))?;
            if !matches!(message.ty(), Type::String) {
                let words = "messageExpression must evaluate to a string";
                return Err(RuleError::Message(words.to_owned()));
            }
            Some(message)
        }
    };
    Ok(Rule {
        uses_old_self: program.uses("oldSelf"),
        program,
        message,
        optional_old_self,
        field_path: field_path(schema, source.str_at("/fieldPath").trim()).unwrap_or_default(),
        source: source.clone(),
    })
}

/// `.spec['a']` as `spec.a`, if the schema has such a field.
pub(in crate::crd) fn field_path(schema: &Value, path: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut at = schema;
    let mut rest = path;
    while !rest.is_empty() {
        let name;
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (head, tail) = after.split_at(end);
            if head.is_empty() {
                return Err("unexpected end of JSON path".to_owned());
            }
            (name, rest) = (head, tail);
        } else if let Some(after) = rest.strip_prefix("['") {
            let Some((head, tail)) = after.split_once("']") else {
                return Err("unexpected end of JSON path".to_owned());
            };
            (name, rest) = (head, tail);
        } else {
            return Err(format!("expected [ or . but got: {rest}"));
        }
        match (properties(at), additional(at)) {
            (Some(fields), _) => {
                at = fields.get(name).ok_or("does not refer to a valid field")?;
                out = child(&out, name);
            }
            (None, Some(of)) => {
                at = of;
                out = format!("{out}[{name}]");
            }
            (None, None) => return Err("does not refer to a valid field".to_owned()),
        }
    }
    Ok(out)
}

/// The type that rules at a schema see, if they can see one.
pub(in crate::crd) fn decl_of(schema: &Value, root: bool) -> Option<Arc<Decl>> {
    Decl::new(schema, root || is_embedded(schema), SELF_TYPE).map(Arc::new)
}

/// All rules of a schema.
#[derive(Debug)]
pub(super) struct Rules {
    root: Node,
}

/// The rules at one schema and below it.
#[derive(Debug)]
struct Node {
    schema: Value,
    decl: Option<Arc<Decl>>,
    rules: Vec<Result<Rule, String>>,
    properties: BTreeMap<String, Node>,
    additional: Option<Box<Node>>,
    items: Option<Box<Node>>,
}

impl Node {
    /// `None` where there are no rules.
    fn new(schema: &Value, root: bool) -> Option<Node> {
        let below = |schema: &Value| Node::new(schema, false);
        let fields: BTreeMap<String, Node> = properties(schema)
            .into_iter()
            .flatten()
            .filter_map(|(name, inner)| Some((name.clone(), below(inner)?)))
            .collect();
        let additional = additional(schema).and_then(below).map(Box::new);
        let items = schema.get("items").and_then(below).map(Box::new);
        let sources = schema.list_at("/x-kubernetes-validations");
        if fields.is_empty() && additional.is_none() && items.is_none() && sources.is_empty() {
            return None;
        }
        let decl = if sources.is_empty() { None } else { decl_of(schema, root) };
        let rules = decl.iter().flat_map(|decl| {
            sources.iter().map(move |source| {
                compile_rule(source, schema, decl).map_err(|error| match error {
                    RuleError::Rule(why) | RuleError::Message(why) => why,
                })
            })
        });
        let rules = rules.collect();
        let mut own = serde_json::Map::new();
        let kept = ["type", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"];
        for key in kept {
            if let Some(value) = schema.get(key) {
                own.insert(key.to_owned(), value.clone());
            }
        }
        Some(Node { schema: Value::Object(own), decl, rules, properties: fields, additional, items })
    }
}

impl Node {
    fn forget_broken(&mut self) {
        self.rules.retain(Result::is_ok);
        let inner = self.properties.values_mut();
        inner.for_each(Node::forget_broken);
        self.additional.iter_mut().chain(&mut self.items).for_each(|node| node.forget_broken());
    }
}

/// Where an object's part stood before a change.
#[derive(Clone, Copy)]
struct Before<'o> {
    /// The part that it goes on from.
    old: Option<&'o Value>,
    /// Whether the nearest part that goes on from an older one is as it was.
    unchanged: bool,
}

impl Rules {
    pub(super) fn of_object(schema: &Value) -> Option<Rules> {
        Node::new(schema, true).map(|root| Rules { root })
    }

    /// The rules of a part that compile: of the others somebody else tells.
    pub(super) fn of_part(schema: &Value) -> Option<Rules> {
        let mut root = Node::new(schema, false)?;
        root.forget_broken();
        Some(Rules { root })
    }

    pub(super) fn validate(&self, object: &Value, old: Option<&Value>, findings: &mut Findings) {
        let before = Before { old, unchanged: old == Some(object) };
        Run { budget: cel::OBJECT_BUDGET, findings }.node(&self.root, object, before, "");
    }
}

struct Run<'f> {
    budget: u64,
    findings: &'f mut Findings,
}

impl Run<'_> {
    /// Whether there is budget left.
    fn node(&mut self, node: &Node, value: &Value, before: Before<'_>, path: &str) -> bool {
        if value.is_null() {
            return true;
        }
        if !self.rules(node, value, before, path) {
            return false;
        }
        match value {
            Value::Object(map) => {
                let granular = node.schema.str_at("/x-kubernetes-map-type") != "atomic";
                map.iter().all(|(key, inner)| {
                    let (of, path) = match (node.properties.get(key), &node.additional) {
                        (Some(of), _) => (of, child(path, key)),
                        (None, Some(of)) => (of.as_ref(), format!("{path}[{key}]")),
                        (None, None) => return true,
                    };
                    let old = before.old.filter(|_| granular).and_then(|old| old.get(key));
                    self.node(of, inner, follow(old, inner, before), &path)
                })
            }
            Value::Array(list) => {
                let Some(of) = &node.items else { return true };
                let older = before.old.and_then(Value::as_array);
                list.iter().enumerate().all(|(index, inner)| {
                    let old = older.and_then(|older| partner(&node.schema, older, inner));
                    let mut next = follow(old, inner, before);
                    // An element of a set that was there before is as it was.
                    if node.schema.str_at("/x-kubernetes-list-type") == "set" {
                        next.unchanged = older.is_some_and(|older| older.contains(inner));
                    }
                    self.node(of, inner, next, &format!("{path}[{index}]"))
                })
            }
            _ => true,
        }
    }

    fn complain(&mut self, error: FieldError) {
        self.findings.errors.push(error);
    }

    fn rules(&mut self, node: &Node, value: &Value, before: Before<'_>, path: &str) -> bool {
        let path = if path.is_empty() { WHOLE } else { path };
        let kind = node.schema.str_at("/type").to_owned();
        let Some(decl) = &node.decl else { return true };
        for rule in &node.rules {
            let rule = match rule {
                Ok(rule) => rule,
                Err(why) => {
                    let words = format!("rule compile error: {why}");
                    self.complain(FieldError::invalid(path, kind.as_str(), words));
                    continue;
                }
            };
            // A change can only be judged where there was something before.
            if rule.uses_old_self && before.old.is_none() && !rule.optional_old_self {
                continue;
            }
            let mut variables = Variables::new();
            variables.insert("self", cel::Value::read(value, decl));
            let old = before.old.map(|old| cel::Value::read(old, decl));
            match (rule.optional_old_self, old) {
                (true, old) => {
                    variables.insert("oldSelf", cel::Value::Optional(old.map(Arc::new)));
                }
                (false, Some(old)) => {
                    variables.insert("oldSelf", old);
                }
                (false, None) => {}
            }
            let (found, cost) = rule.program.evaluate(&variables);
            if cost > self.budget {
                let words = "validation failed due to running out of cost budget, no further validation rules will be run";
                self.complain(FieldError::invalid(path, kind.as_str(), words));
                return false;
            }
            self.budget -= cost;
            let shown = shown(&rule.source);
            match found {
                Ok(cel::Value::Bool(true)) => {}
                Ok(_) => {
                    if !self.broken(rule, &variables, value, &kind, before, path) {
                        return false;
                    }
                }
                Err(EvalError::TooExpensive) => {
                    let words = format!(
                        "'{}': no further validation rules will be run due to call cost exceeds limit for rule: {shown}",
                        EvalError::TooExpensive
                    );
                    self.complain(FieldError::invalid(path, kind.as_str(), words));
                    return false;
                }
                Err(EvalError::Failed(why)) if why.starts_with("no such overload") => {
                    let words = format!(
                        "'{why}': call arguments did not match a supported operator, function or macro signature for rule: {shown}"
                    );
                    self.complain(FieldError::invalid(path, kind.as_str(), words));
                }
                Err(EvalError::Failed(why)) => {
                    let words = format!("{why} evaluating rule: {shown}");
                    self.complain(FieldError::invalid(path, kind.as_str(), words));
                }
            }
        }
        true
    }

    /// Tells of a rule that does not hold; whether there is budget left.
    fn broken(
        &mut self,
        rule: &Rule,
        variables: &Variables<'_>,
        value: &Value,
        kind: &str,
        before: Before<'_>,
        path: &str,
    ) -> bool {
        let at = match (rule.field_path.as_str(), path) {
            ("", path) => path.to_owned(),
            (inner, WHOLE) => inner.to_owned(),
            (inner, path) => format!("{path}.{inner}"),
        };
        let mut detail = None;
        let mut go_on = true;
        let mut error = None;
        if let Some(message) = &rule.message {
            let (found, cost) = message.evaluate(variables);
            if cost > self.budget {
                let words = "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run";
                error = Some(FieldError::invalid(at.as_str(), kind, words));
                go_on = false;
            } else {
                self.budget -= cost;
                match found {
                    Ok(cel::Value::String(text)) => {
                        let text = text.trim();
                        let fine = !text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n');
                        detail = fine.then(|| text.to_owned());
                    }
                    Err(EvalError::TooExpensive) => {
                        let words = format!(
                            "no further validation rules will be run due to call cost exceeds limit for messageExpression: {:?}",
                            rule.source.str_at("/messageExpression")
                        );
                        error = Some(FieldError::invalid(at.as_str(), kind, words));
                        go_on = false;
                    }
                    _ => {}
                }
            }
        }
        let detail = detail.unwrap_or_else(|| match rule.source.str_at("/message").trim() {
            "" => format!("failed rule: {}", rule.source.str_at("/rule").trim()),
            message => message.to_owned(),
        });
        let shown = (!matches!(kind, "object" | "array")).then(|| value.clone());
        let error = error.unwrap_or_else(|| match rule.source.str_at("/reason") {
            "FieldValueForbidden" => FieldError::forbidden(at, detail),
            "FieldValueRequired" => FieldError::required(at, detail),
            "FieldValueDuplicate" => {
                FieldError { kind: FieldErrorKind::Duplicate, field: at, value: shown, detail: String::new() }
            }
            _ => FieldError { kind: FieldErrorKind::Invalid, field: at, value: shown, detail },
        });
        if before.unchanged && !rule.uses_old_self {
            self.findings.warnings.push(error.to_string());
        } else {
            self.complain(error);
        }
        go_on
    }
}

/// Where a part goes on from.
fn follow<'o>(old: Option<&'o Value>, value: &Value, parent: Before<'o>) -> Before<'o> {
    match old {
        Some(old) => Before { old: Some(old), unchanged: old == value },
        None => Before { old: None, unchanged: parent.unchanged },
    }
}

/// How messages name a rule: by its own message if it has one.
fn shown(source: &Value) -> &str {
    match source.str_at("/message").trim() {
        "" => source.str_at("/rule").trim(),
        message => message,
    }
}
