//! Evaluation within a budget.

use std::collections::BTreeMap;

use super::{
    Value,
    ast::{BindKind, Expr, Fold, FoldKind, Literal, Node, Select},
    check::type_name,
    composition::Composition,
    cost, library,
    message::Made,
    session::{Patterns, Session},
    table::Table,
    text::Text,
    value::Items,
};

/// Variables by their names.
pub type Variables<'a> = BTreeMap<&'static str, Value<'a>>;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// `no such key: a`, `division by zero`, …
    #[error("{0}")]
    Failed(String),
    /// It went on for too long.
    #[error("operation cancelled: actual cost limit exceeded")]
    TooExpensive,
}

impl EvalError {
    pub(super) fn overload() -> EvalError {
        EvalError::Failed("no such overload".to_owned())
    }

    pub(super) fn failed(words: impl Into<String>) -> EvalError {
        EvalError::Failed(words.into())
    }
}

pub(super) type Found<'a> = Result<Value<'a>, EvalError>;

/// The value of an expression, and what finding it cost.
pub(super) fn evaluate<'a>(
    expr: &'a Expr,
    patterns: &Patterns,
    variables: &Variables<'a>,
    composition: Option<&Composition<'a>>,
    limit: u64,
) -> (Found<'a>, u64) {
    let session = Session::new(patterns, limit);
    let found = Run { variables, composition, scopes: Vec::new(), session: &session }.expr(expr);
    (found, session.spent())
}

struct Run<'v, 'a> {
    variables: &'v Variables<'a>,
    composition: Option<&'v Composition<'a>>,
    scopes: Vec<(&'a str, Value<'a>)>,
    session: &'v Session<'v>,
}

impl<'a> Run<'_, 'a> {
    fn spend(&self, cost: u64) -> Result<(), EvalError> {
        self.session.spend(cost)
    }

    /// Bytes lie in an object as text, and are read anew each time.
    fn read(&self, value: Value<'a>) -> Found<'a> {
        if let Value::Bytes(bytes) = &value {
            self.session.walk_bytes(bytes.len())?;
        }
        Ok(value)
    }

    fn expr(&mut self, expr: &'a Expr) -> Found<'a> {
        match &expr.node {
            Node::Literal(literal) => Ok(match literal {
                Literal::Null => Value::Null,
                Literal::Bool(b) => Value::Bool(*b),
                Literal::Int(i) => Value::Int(*i),
                Literal::Uint(u) => Value::Uint(*u),
                Literal::Double(d) => Value::Double(*d),
                Literal::String(s) => Value::String(Text::Lent(s)),
                Literal::Bytes(b) => Value::Bytes(b.clone()),
            }),
            Node::Ident(name) => {
                self.spend(1)?;
                self.ident(name)
            }
            Node::Select { operand, field, how } => {
                if let (Node::Ident(name), Some(composition)) = (&operand.node, self.composition)
                    && name == "variables"
                    && !self.scopes.iter().any(|(var, _)| var == name)
                {
                    self.spend(2)?;
                    return match how {
                        Select::Test => Ok(Value::Bool(composition.has(field))),
                        Select::Plain => composition.get(field),
                        Select::Optional => composition.get(field).map(Value::some),
                    };
                }
                let of = self.expr(operand)?;
                self.spend(1)?;
                let found = select(&of, field, *how)?;
                self.read(found)
            }
            Node::List(elements) => {
                self.spend(cost::LIST)?;
                let mut list = Vec::with_capacity(elements.len());
                for element in elements {
                    let value = self.expr(&element.value)?;
                    list.extend(if element.optional { given(value)? } else { Some(value) });
                }
                Ok(Value::list(list))
            }
            Node::Map(entries) => {
                self.spend(cost::MAP)?;
                let mut map = Table::default();
                for entry in entries {
                    let key = self.expr(&entry.key)?;
                    let value = self.expr(&entry.value)?;
                    if let Some(value) = if entry.optional { given(value)? } else { Some(value) } {
                        map.insert(key, value)?;
                    }
                }
                Ok(Value::Map(map.into()))
            }
            Node::Message(message) => {
                self.spend(cost::MESSAGE)?;
                let mut fields = Vec::with_capacity(message.fields.len());
                for field in &message.fields {
                    let value = self.expr(&field.value)?;
                    let value = if field.optional { given(value)? } else { Some(value) };
                    fields.extend(value.map(|value| (field.name.as_str(), value)));
                }
                Ok(Value::Message(Made { name: &message.name, fields }.into()))
            }
            Node::Call { name, target, args } => self.call(name, target.as_deref(), args),
            Node::Fold(fold) => self.fold(fold),
            Node::Bind(bind) => {
                self.spend(cost::LIST)?;
                let value = self.expr(&bind.value)?;
                let held = match (bind.kind, value) {
                    (BindKind::Bind, value) => value,
                    (_, Value::Optional(None)) => return Ok(Value::Optional(None)),
                    (_, Value::Optional(Some(value))) => Value::clone(&value),
                    _ => return Err(EvalError::overload()),
                };
                self.scopes.push((&bind.var, held));
                let body = self.expr(&bind.body);
                self.scopes.pop();
                if bind.kind == BindKind::OptMap { body.map(Value::some) } else { body }
            }
        }
    }

    fn ident(&self, name: &str) -> Found<'a> {
        if let Some((_, value)) = self.scopes.iter().rev().find(|(var, _)| *var == name) {
            return Ok(value.clone());
        }
        if let Some(value) = self.variables.get(name) {
            return Ok(value.clone());
        }
        if type_name(name) {
            return Ok(Value::Type(library::type_constant(name)));
        }
        Err(EvalError::failed(format!("no such attribute(s): {name}")))
    }

    fn call(&mut self, name: &'a str, target: Option<&'a Expr>, args: &'a [Expr]) -> Found<'a> {
        match (name, args) {
            ("_&&_", [a, b]) => return self.logical(a, b, false),
            ("_||_", [a, b]) => return self.logical(a, b, true),
            ("_?_:_", [condition, yes, no]) => {
                return match self.expr(condition)? {
                    Value::Bool(true) => self.expr(yes),
                    Value::Bool(false) => self.expr(no),
                    _ => Err(EvalError::overload()),
                };
            }
            // What an optional stands in for is looked at only if it must.
            ("or" | "orValue", [other]) if target.is_some() => {
                let Some(target) = target else { return Err(EvalError::overload()) };
                let held = self.expr(target)?;
                self.spend(1)?;
                return match held {
                    Value::Optional(Some(value)) if name == "orValue" => Ok(Value::clone(&value)),
                    held @ Value::Optional(Some(_)) => Ok(held),
                    Value::Optional(None) => self.expr(other),
                    _ => Err(EvalError::overload()),
                };
            }
            _ => {}
        }
        let mut values = Vec::with_capacity(args.len() + 1);
        for expr in target.into_iter().chain(args) {
            values.push(self.expr(expr)?);
        }
        self.session.prepay(cost::price(name, &values))?;
        library::call(name, &values, self.session)
    }

    /// One side decides, whatever is wrong with the other.
    fn logical(&mut self, a: &'a Expr, b: &'a Expr, decides: bool) -> Found<'a> {
        let first = self.expr(a);
        match first {
            Ok(Value::Bool(x)) if x == decides => return Ok(Value::Bool(decides)),
            Err(EvalError::TooExpensive) => return first,
            _ => {}
        }
        match (first, self.expr(b)) {
            (_, Ok(Value::Bool(y))) if y == decides => Ok(Value::Bool(decides)),
            (_, Err(EvalError::TooExpensive)) => Err(EvalError::TooExpensive),
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            (Ok(Value::Bool(_)), Ok(Value::Bool(_))) => Ok(Value::Bool(!decides)),
            _ => Err(EvalError::overload()),
        }
    }

    fn fold(&mut self, fold: &'a Fold) -> Found<'a> {
        let range = self.expr(&fold.range)?;
        let (start, step, end) = cost::overhead(fold.kind);
        self.spend(start.saturating_add(end))?;
        let pairs: Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_> = match range.items() {
            Some(Items::Made(list)) => {
                Box::new(list.iter().cloned().enumerate().map(|(i, v)| (Value::size(i), v)))
            }
            Some(Items::Read(list, decl)) => {
                Box::new(list.iter().enumerate().map(|(i, json)| (Value::size(i), Value::read(json, decl))))
            }
            None => range.entries().ok_or_else(EvalError::overload)?,
        };
        let is_map = range.items().is_none();
        let mut state = Folding::default();
        for (key, value) in pairs {
            self.spend(step)?;
            let value = self.read(value)?;
            let single = if is_map { &key } else { &value };
            let (element, depth) = (single.clone(), self.scopes.len());
            match &fold.value_var {
                Some(second) => {
                    self.scopes.push((&fold.var, key.clone()));
                    self.scopes.push((second, value));
                }
                None => self.scopes.push((&fold.var, element.clone())),
            }
            let more = self.step(fold, &mut state, key, element);
            self.scopes.truncate(depth);
            if !more? {
                break;
            }
        }
        state.end(fold.kind, self.session)
    }

    /// Whether to go on.
    fn step(
        &mut self,
        fold: &'a Fold,
        state: &mut Folding<'a>,
        key: Value<'a>,
        element: Value<'a>,
    ) -> Result<bool, EvalError> {
        let verdict = match &fold.predicate {
            None => Ok(true),
            Some(predicate) => match self.expr(predicate) {
                Ok(Value::Bool(b)) => Ok(b),
                Ok(_) => Err(EvalError::overload()),
                Err(error) => Err(error),
            },
        };
        match (fold.kind, verdict) {
            (_, Err(EvalError::TooExpensive)) => return Err(EvalError::TooExpensive),
            (FoldKind::All, Ok(false)) | (FoldKind::Exists, Ok(true)) => {
                state.decided = true;
                return Ok(false);
            }
            // Another element may decide yet.
            (FoldKind::All | FoldKind::Exists, Err(error)) => {
                state.error.get_or_insert(error);
                return Ok(true);
            }
            (_, Err(error)) => return Err(error),
            (FoldKind::All | FoldKind::Exists, _) | (_, Ok(false)) => return Ok(true),
            (FoldKind::ExistsOne, Ok(true)) => {
                state.count += 1;
                return Ok(true);
            }
            (_, Ok(true)) => {}
        }
        let made = match &fold.transform {
            Some(transform) => self.expr(transform)?,
            None => element.clone(),
        };
        match fold.kind {
            FoldKind::TransformMap => state.map.insert(key, made)?,
            FoldKind::TransformMapEntry => {
                for (key, value) in made.entries().ok_or_else(EvalError::overload)? {
                    self.session.walk(1)?;
                    state.map.insert(key, value)?;
                }
            }
            FoldKind::SortBy => state.sorted.push((made, element)),
            _ => state.list.push(made),
        }
        Ok(true)
    }
}

/// What a loop has gathered.
#[derive(Default)]
struct Folding<'a> {
    decided: bool,
    error: Option<EvalError>,
    count: usize,
    list: Vec<Value<'a>>,
    map: Table<'a>,
    /// Elements by what they are sorted by.
    sorted: Vec<(Value<'a>, Value<'a>)>,
}

impl<'a> Folding<'a> {
    fn end(mut self, kind: FoldKind, session: &Session<'_>) -> Found<'a> {
        match kind {
            FoldKind::All | FoldKind::Exists if self.decided => Ok(Value::Bool(kind == FoldKind::Exists)),
            FoldKind::All | FoldKind::Exists => match self.error {
                Some(error) => Err(error),
                None => Ok(Value::Bool(kind == FoldKind::All)),
            },
            FoldKind::ExistsOne => Ok(Value::Bool(self.count == 1)),
            FoldKind::TransformMap | FoldKind::TransformMapEntry => Ok(Value::Map(self.map.into())),
            FoldKind::SortBy => {
                library::sort_by(&mut self.sorted, |(key, _)| key, session)?;
                Ok(Value::list(self.sorted.into_iter().map(|(_, element)| element).collect()))
            }
            FoldKind::Map | FoldKind::Filter | FoldKind::TransformList => Ok(Value::list(self.list)),
        }
    }
}

/// What an optional element or entry adds.
fn given(value: Value<'_>) -> Result<Option<Value<'_>>, EvalError> {
    match value {
        Value::Optional(held) => Ok(held.map(|value| Value::clone(&value))),
        _ => Err(EvalError::overload()),
    }
}

fn select<'a>(of: &Value<'a>, field: &'a str, how: Select) -> Found<'a> {
    let key = Value::String(Text::Lent(field));
    let (held, optional) = match of {
        Value::Optional(None) if how == Select::Test => return Ok(Value::Bool(false)),
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(held)) => (held.as_ref(), true),
        other => (other, false),
    };
    if let (Value::Access(access), "requestResource") = (held, field) {
        return access.request_resource().ok_or_else(EvalError::overload);
    }
    if held.entries_kind() {
        let found = held.get(&key);
        return match how {
            Select::Test => Ok(Value::Bool(found.is_some())),
            Select::Plain if !optional => {
                found.ok_or_else(|| EvalError::failed(format!("no such key: {field}")))
            }
            Select::Plain | Select::Optional => Ok(found.map_or(Value::Optional(None), Value::some)),
        };
    }
    Err(EvalError::overload())
}

impl Value<'_> {
    fn entries_kind(&self) -> bool {
        matches!(self, Value::Map(_) | Value::Fields(..) | Value::Message(_))
    }
}
