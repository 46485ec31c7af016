//! An expression that was checked, ready to be evaluated.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Decl, EvalError, Type, Value, Variables,
    ast::{self, Expr, Node},
    check::{self, Known},
    cost, eval,
};

/// The variables of an expression, with their types.
#[derive(Debug, Default, Clone)]
pub struct Environment {
    variables: BTreeMap<String, Known>,
}

impl Environment {
    /// With a variable whose values follow a schema.
    #[must_use]
    pub fn with(mut self, name: &str, decl: &Arc<Decl>) -> Self {
        self.variables.insert(name.to_owned(), Known::from(decl));
        self
    }

    /// With a variable that may be absent.
    #[must_use]
    pub fn with_optional(mut self, name: &str, decl: &Arc<Decl>) -> Self {
        let known = Known { ty: Type::optional(decl.ty()), decl: Some(decl.clone()) };
        self.variables.insert(name.to_owned(), known);
        self
    }

    /// Reads and checks an expression.
    ///
    /// # Errors
    /// Every complaint, as upstream prints them.
    pub fn compile(&self, source: &str) -> Result<Program, String> {
        let (expr, count) = ast::parse(source)?;
        let types = check::check(&expr, count, &self.variables)
            .map_err(|mut complaints| ast::shown(source, &mut complaints))?;
        let ty = types.get(expr.id).map_or(Type::Dyn, |known| known.ty.clone());
        Ok(Program { estimate: cost::estimate(&expr, &types), ty, expr })
    }
}

/// See the module.
#[derive(Debug)]
pub struct Program {
    expr: Expr,
    ty: Type,
    estimate: u64,
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
        eval::evaluate(&self.expr, variables)
    }
}

fn uses(expr: &Expr, variable: &str) -> bool {
    let within = |expr: &Expr| uses(expr, variable);
    match &expr.node {
        Node::Literal(_) => false,
        Node::Ident(name) => name == variable,
        Node::Select { operand, .. } => within(operand),
        Node::Call { target, args, .. } => target.as_deref().is_some_and(within) || args.iter().any(within),
        Node::List(elements) => elements.iter().any(|e| within(&e.value)),
        Node::Map(entries) => entries.iter().any(|e| within(&e.key) || within(&e.value)),
        Node::Fold(fold) => within(&fold.range) || fold.predicate.iter().chain(&fold.transform).any(within),
        Node::Bind(bind) => within(&bind.value) || within(&bind.body),
    }
}
