//! An expression that was checked, ready to be evaluated.

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;

use super::{
    Decl, EvalError, PER_CALL_LIMIT, Type, Value, Variables,
    ast::{Expr, Literal, Node},
    check::{self, Known},
    composition::Composition,
    cost, eval,
    library::AUTHORIZER,
    parse,
    session::{self, Patterns},
};

/// What an expression may name, with its types.
#[derive(Debug, Default, Clone)]
pub struct Environment {
    pub(super) variables: BTreeMap<String, Known>,
    /// What may be selected from `variables`, where there is such a thing.
    pub(super) composed: Option<BTreeMap<String, Type>>,
    /// Whether objects of named types can be made.
    pub(super) messages: bool,
}

impl Environment {
    /// With a variable whose values follow a schema.
    #[must_use]
    pub fn with(mut self, name: &str, decl: &Arc<Decl>) -> Self {
        self.variables.insert(name.to_owned(), Known::from(decl));
        self
    }

    /// With a variable of a type.
    #[must_use]
    pub fn with_type(mut self, name: &str, ty: Type) -> Self {
        self.variables.insert(name.to_owned(), Known::from(ty));
        self
    }

    /// With a variable that may be absent.
    #[must_use]
    pub fn with_optional(mut self, name: &str, decl: &Arc<Decl>) -> Self {
        let known = Known { ty: Type::optional(decl.ty()), decl: Some(decl.clone()) };
        self.variables.insert(name.to_owned(), known);
        self
    }

    /// With `authorizer`, who is asked what the user may do.
    #[must_use]
    pub fn with_authorizer(self) -> Self {
        self.with_type("authorizer", Type::Opaque(AUTHORIZER))
    }

    /// With `Object{…}` and `JSONPatch{…}`.
    #[must_use]
    pub fn with_messages(mut self) -> Self {
        self.messages = true;
        self
    }

    /// With `variables`, of which none is known yet.
    #[must_use]
    pub fn with_variables(mut self) -> Self {
        self.composed = Some(BTreeMap::new());
        self
    }

    /// Another one of the `variables`: later expressions may name it.
    pub fn compose(&mut self, name: &str, ty: &Type) {
        if let Some(composed) = &mut self.composed {
            composed.insert(name.to_owned(), ty.composed());
        }
    }

    /// Reads and checks an expression.
    ///
    /// # Errors
    /// Every complaint, as upstream prints them.
    pub fn compile(&self, source: &str) -> Result<Program, String> {
        let (expr, count) = parse::parse(source)?;
        let types = check::check(&expr, count, self)
            .map_err(|mut complaints| parse::shown(source, &mut complaints))?;
        let ty = types.get(expr.id).map_or(Type::Dyn, |known| known.ty.clone());
        let mut patterns = Patterns::new();
        literal_patterns(&expr, &mut patterns)?;
        Ok(Program { estimate: cost::estimate(&expr, &types), ty, expr, patterns })
    }
}

/// See the module.
#[derive(Debug)]
pub struct Program {
    expr: Expr,
    ty: Type,
    estimate: u64,
    /// Regular expressions that stand in it as such.
    patterns: Patterns,
}

impl Program {
    /// Type of its value.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// What an evaluation may cost at worst.
    pub fn estimate(&self) -> u64 {
        self.estimate
    }

    /// Whether a variable occurs in it.
    pub fn uses(&self, variable: &str) -> bool {
        uses(&self.expr, variable)
    }

    /// Its value, and what finding it cost.
    pub fn evaluate<'a>(&'a self, variables: &Variables<'a>) -> (Result<Value<'a>, EvalError>, u64) {
        eval::evaluate(&self.expr, &self.patterns, variables, None, PER_CALL_LIMIT)
    }

    /// The same within another limit.
    #[cfg(test)]
    pub(super) fn evaluate_up_to<'a>(
        &'a self,
        limit: u64,
        variables: &Variables<'a>,
    ) -> (Result<Value<'a>, EvalError>, u64) {
        eval::evaluate(&self.expr, &self.patterns, variables, None, limit)
    }

    /// The same among variables that are expressions themselves.
    pub fn evaluate_within<'a>(
        &'a self,
        composition: &Composition<'a>,
    ) -> (Result<Value<'a>, EvalError>, u64) {
        eval::evaluate(&self.expr, &self.patterns, &composition.variables, Some(composition), PER_CALL_LIMIT)
    }
}

fn uses(expr: &Expr, variable: &str) -> bool {
    matches!(&expr.node, Node::Ident(name) if name == variable)
        || parts(expr).into_iter().any(|part| uses(part, variable))
}

/// Compiles the patterns of an expression that are known beforehand.
fn literal_patterns(expr: &Expr, found: &mut Patterns) -> Result<(), String> {
    if let Node::Call { name, target, args } = &expr.node
        && matches!(name.as_str(), "matches" | "find" | "findAll")
    {
        let pattern = if target.is_some() { args.first() } else { args.get(1) };
        if let Some(Expr { node: Node::Literal(Literal::String(text)), .. }) = pattern {
            let regex = Regex::new(text)
                .map_err(|_| format!("program instantiation failed: {}", session::unreadable(text)))?;
            found.insert(text.clone(), regex);
        }
    }
    parts(expr).into_iter().try_for_each(|part| literal_patterns(part, found))
}

/// What an expression is made of.
fn parts(expr: &Expr) -> Vec<&Expr> {
    match &expr.node {
        Node::Literal(_) | Node::Ident(_) => Vec::new(),
        Node::Select { operand, .. } => vec![operand],
        Node::Call { target, args, .. } => target.as_deref().into_iter().chain(args).collect(),
        Node::List(elements) => elements.iter().map(|e| &e.value).collect(),
        Node::Map(entries) => entries.iter().flat_map(|e| [&e.key, &e.value]).collect(),
        Node::Message(message) => message.fields.iter().map(|f| &f.value).collect(),
        Node::Fold(fold) => [&fold.range].into_iter().chain(&fold.predicate).chain(&fold.transform).collect(),
        Node::Bind(bind) => vec![&bind.value, &bind.body],
    }
}
