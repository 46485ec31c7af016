//! Gives every expression its type, or says in upstream's words why it has none.

mod names;

use std::sync::Arc;

use super::{
    Decl, Environment, Type,
    ast::{Bind, BindKind, Expr, Fold, FoldKind, Literal, Node, Select},
    decl::DeclKind,
    message::JSON_PATCH,
    parse::Complaint,
    signatures::overloads,
    types::Bindings,
};

/// What is known of an expression.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) ty: Type,
    /// Where it comes from the object: its schema.
    pub(super) decl: Option<Arc<Decl>>,
}

impl From<Type> for Known {
    fn from(ty: Type) -> Self {
        Known { ty, decl: None }
    }
}

impl From<&Arc<Decl>> for Known {
    fn from(decl: &Arc<Decl>) -> Self {
        Known { ty: decl.ty(), decl: Some(decl.clone()) }
    }
}

/// Types of all expressions, by their ids.
pub(super) type Types = Vec<Known>;

/// The types of an expression and its parts.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn check(expr: &Expr, count: usize, environment: &Environment) -> Result<Types, Vec<Complaint>> {
    let mut checker = Checker {
        types: vec![Known::from(Type::Error); count],
        scopes: Vec::new(),
        environment,
        complaints: Vec::new(),
    };
    checker.expr(expr);
    if checker.complaints.is_empty() { Ok(checker.types) } else { Err(checker.complaints) }
}

struct Checker<'v> {
    types: Types,
    scopes: Vec<(String, Known)>,
    environment: &'v Environment,
    complaints: Vec<Complaint>,
}

/// A name that stands for a type.
pub(super) fn type_name(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "int"
            | "uint"
            | "double"
            | "string"
            | "bytes"
            | "list"
            | "map"
            | "null_type"
            | "type"
            | "optional_type"
    )
}

impl Checker<'_> {
    fn complain(&mut self, at: usize, message: String) -> Known {
        self.complaints.push(Complaint { at, message });
        Type::Error.into()
    }

    fn expr(&mut self, expr: &Expr) -> Known {
        let known = match &expr.node {
            Node::Literal(literal) => Known::from(match literal {
                Literal::Null => Type::Null,
                Literal::Bool(_) => Type::Bool,
                Literal::Int(_) => Type::Int,
                Literal::Uint(_) => Type::Uint,
                Literal::Double(_) => Type::Double,
                Literal::String(_) => Type::String,
                Literal::Bytes(_) => Type::Bytes,
            }),
            Node::Ident(name) => self.ident(expr, name),
            Node::Select { operand, field, how } => match self.qualified(expr, operand, field, *how) {
                Some(known) => known,
                None => {
                    let operand = self.expr(operand);
                    self.select(expr, &operand, field, *how)
                }
            },
            Node::Message(message) => self.message(expr, message),
            Node::Call { name, target, args } => self.call(expr, name, target.as_deref(), args),
            Node::List(elements) => {
                let mut of: Option<Type> = None;
                for element in elements {
                    let mut known = self.expr(&element.value).ty;
                    if element.optional {
                        known = self.unwrapped(&element.value, known);
                    }
                    of = Some(self.joined(&element.value, of, known));
                }
                Type::list(of.unwrap_or(Type::Dyn)).into()
            }
            Node::Map(entries) => {
                let (mut keys, mut values) = (None, None);
                for entry in entries {
                    let key = self.expr(&entry.key).ty;
                    // Keys are compared by what they are: only plain ones can be.
                    if matches!(key, Type::List(_) | Type::Map(..) | Type::Optional(_) | Type::Object(_)) {
                        self.complain(entry.key.at, format!("unsupported key type: {key}"));
                    }
                    keys = Some(self.joined(&entry.key, keys, key));
                    let mut value = self.expr(&entry.value).ty;
                    if entry.optional {
                        value = self.unwrapped(&entry.value, value);
                    }
                    values = Some(self.joined(&entry.value, values, value));
                }
                Type::map(keys.unwrap_or(Type::Dyn), values.unwrap_or(Type::Dyn)).into()
            }
            Node::Fold(fold) => self.fold(fold),
            Node::Bind(bind) => self.bind(bind),
        };
        if let Some(place) = self.types.get_mut(expr.id) {
            *place = known.clone();
        }
        known
    }

    fn unwrapped(&mut self, at: &Expr, ty: Type) -> Type {
        match ty {
            Type::Optional(of) => Type::clone(&of),
            Type::Dyn | Type::Error => ty,
            other => {
                let words = format!("expected type 'optional_type(dyn)' but found '{other}'");
                self.complain(at.at, words).ty
            }
        }
    }

    /// All elements of a literal are of one type.
    fn joined(&mut self, at: &Expr, before: Option<Type>, now: Type) -> Type {
        let Some(before) = before else { return now };
        if Bindings::default().accepts(&before, &now) {
            return if matches!(before, Type::Null) { now } else { before };
        }
        self.complain(at.at, format!("expected type '{before}' but found '{now}'")).ty
    }

    fn ident(&mut self, expr: &Expr, name: &str) -> Known {
        if let Some((_, known)) = self.scopes.iter().rev().find(|(var, _)| var == name) {
            return known.clone();
        }
        if let Some(known) = self.environment.variables.get(name) {
            return known.clone();
        }
        if type_name(name) {
            return Type::Meta.into();
        }
        self.complain(expr.at, format!("undeclared reference to '{name}' (in container '')"))
    }

    fn select(&mut self, expr: &Expr, operand: &Known, field: &str, how: Select) -> Known {
        let (inner, was_optional) = match &operand.ty {
            Type::Optional(of) => (Type::clone(of), true),
            other => (other.clone(), false),
        };
        let found = match &inner {
            Type::Dyn => Type::Dyn.into(),
            Type::Error => Type::Error.into(),
            Type::Message(name) if **name == *JSON_PATCH && field != "value" => Type::String.into(),
            Type::Message(_) => Type::Dyn.into(),
            Type::Map(_, value) => Known {
                ty: Type::clone(value),
                decl: operand.decl.as_ref().and_then(|d| d.element()).cloned(),
            },
            Type::Object(decl) => match decl.field(field) {
                Some(field) => Known::from(&field.decl),
                None => return self.complain(expr.at, format!("undefined field '{field}'")),
            },
            other => {
                return self.complain(expr.at, format!("type '{other}' does not support field selection"));
            }
        };
        match how {
            Select::Test => Type::Bool.into(),
            Select::Plain if !was_optional => found,
            Select::Plain | Select::Optional => Known { ty: Type::optional(found.ty), decl: found.decl },
        }
    }

    fn call(&mut self, expr: &Expr, name: &str, target: Option<&Expr>, args: &[Expr]) -> Known {
        let target = target.map(|target| self.expr(target));
        let args: Vec<Known> = match args {
            // What is printed need not be of one type.
            [Expr { id, node: Node::List(elements), .. }] if name == "format" => {
                elements.iter().for_each(|element| {
                    self.expr(&element.value);
                });
                let known = Known::from(Type::list(Type::Dyn));
                if let Some(place) = self.types.get_mut(*id) {
                    *place = known.clone();
                }
                vec![known]
            }
            args => args.iter().map(|arg| self.expr(arg)).collect(),
        };
        let Some(overloads) =
            overloads(name).filter(|all| all.iter().any(|o| o.target.is_some() == target.is_some()))
        else {
            return self.complain(expr.at, format!("undeclared reference to '{name}' (in container '')"));
        };
        if target.iter().chain(&args).any(|known| matches!(known.ty, Type::Error)) {
            return Type::Error.into();
        }
        // A field that may be null can be compared with it.
        if matches!(name, "_==_" | "_!=_")
            && let [a, b] = args.as_slice()
            && [(a, b), (b, a)].into_iter().any(|(null, other)| {
                matches!(null.ty, Type::Null) && other.decl.as_ref().is_some_and(|d| d.nullable)
            })
        {
            return Type::Bool.into();
        }
        let mut result: Option<Type> = None;
        for overload in overloads {
            if overload.target.is_some() != target.is_some() || overload.args.len() != args.len() {
                continue;
            }
            let mut bindings = Bindings::default();
            let fits = match (&overload.target, &target) {
                (Some(wanted), Some(given)) => bindings.accepts(wanted, &given.ty),
                _ => true,
            } && overload
                .args
                .iter()
                .zip(&args)
                .all(|(wanted, given)| bindings.accepts(wanted, &given.ty));
            if fits {
                let this = bindings.settle(&overload.result);
                result = Some(match result {
                    Some(before) if !before.same(&this) => Type::Dyn,
                    _ => this,
                });
            }
        }
        let Some(ty) = result else {
            let shown: Vec<String> = args.iter().map(|known| known.ty.to_string()).collect();
            let shown = shown.join(", ");
            let applied = match &target {
                Some(target) => format!("{}.({shown})", target.ty),
                None => format!("({shown})"),
            };
            return self.complain(
                expr.at,
                format!("found no matching overload for '{name}' applied to '{applied}'"),
            );
        };
        Known { decl: origin(name, target.as_ref(), &args), ty }
    }

    fn fold(&mut self, fold: &Fold) -> Known {
        let range = self.expr(&fold.range);
        let element = range.decl.as_ref().and_then(|d| d.element()).cloned();
        let is_list = range.decl.as_ref().is_some_and(|d| matches!(d.kind, DeclKind::List(_)));
        let (key, value): (Known, Known) = match &range.ty {
            Type::List(of) => {
                (Type::Int.into(), Known { ty: Type::clone(of), decl: element.filter(|_| is_list) })
            }
            Type::Map(key, value) => (
                Type::clone(key).into(),
                Known { ty: Type::clone(value), decl: element.filter(|_| !is_list) },
            ),
            Type::Dyn => (Type::Dyn.into(), Type::Dyn.into()),
            Type::Error => (Type::Error.into(), Type::Error.into()),
            other => {
                let words = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.complain(fold.range.at, words);
                (Type::Error.into(), Type::Error.into())
            }
        };
        let depth = self.scopes.len();
        match &fold.value_var {
            Some(second) => {
                self.scopes.push((fold.var.clone(), key.clone()));
                self.scopes.push((second.clone(), value.clone()));
            }
            None => {
                let single = if matches!(range.ty, Type::Map(..)) { key.clone() } else { value.clone() };
                self.scopes.push((fold.var.clone(), single));
            }
        }
        if let Some(predicate) = &fold.predicate {
            let found = self.expr(predicate).ty;
            if !Bindings::default().accepts(&Type::Bool, &found) {
                let words = match fold.kind {
                    FoldKind::All => {
                        format!("found no matching overload for '_&&_' applied to '(bool, {found})'")
                    }
                    FoldKind::Exists => {
                        format!("found no matching overload for '_||_' applied to '(bool, {found})'")
                    }
                    _ => format!("found no matching overload for '_?_:_' applied to '({found}, dyn, dyn)'"),
                };
                self.complain(predicate.at, words);
            }
        }
        let transformed = fold.transform.as_ref().map(|transform| self.expr(transform));
        self.scopes.truncate(depth);
        let made = transformed.map_or(Type::Dyn, |known| known.ty);
        match fold.kind {
            FoldKind::All | FoldKind::Exists | FoldKind::ExistsOne => Type::Bool.into(),
            FoldKind::Map | FoldKind::TransformList => Type::list(made).into(),
            // What is left of a list is such a list; of a map, its keys.
            FoldKind::Filter | FoldKind::SortBy => match &range.ty {
                Type::Map(key, _) => Type::list(Type::clone(key)).into(),
                Type::Dyn => Type::list(Type::Dyn).into(),
                _ => range,
            },
            FoldKind::TransformMap => Type::map(key.ty, made).into(),
            FoldKind::TransformMapEntry => match made {
                made @ Type::Map(..) => made.into(),
                _ => Type::map(Type::Dyn, Type::Dyn).into(),
            },
        }
    }

    fn bind(&mut self, bind: &Bind) -> Known {
        let value = self.expr(&bind.value);
        let held = match (bind.kind, &value.ty) {
            (BindKind::Bind, _) => value,
            (_, Type::Optional(of)) => Known { ty: Type::clone(of), decl: value.decl },
            (_, Type::Dyn) => Type::Dyn.into(),
            (_, Type::Error) => Type::Error.into(),
            (_, other) => {
                let words = format!("found no matching overload for 'hasValue' applied to '{other}.()'");
                self.complain(bind.value.at, words)
            }
        };
        self.scopes.push((bind.var.clone(), held));
        let body = self.expr(&bind.body);
        self.scopes.pop();
        match bind.kind {
            BindKind::OptMap => Type::optional(body.ty).into(),
            BindKind::Bind | BindKind::OptFlatMap => body,
        }
    }
}

/// The schema of what a call picks out of its operand.
fn origin(name: &str, target: Option<&Known>, args: &[Known]) -> Option<Arc<Decl>> {
    match (name, target, args) {
        ("_[_]" | "_[?_]", _, [of, _]) => of.decl.as_ref()?.element().cloned(),
        ("orValue" | "value" | "or", Some(of), _) => of.decl.clone(),
        _ => None,
    }
}
