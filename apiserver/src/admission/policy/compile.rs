//! A policy's expressions, compiled, and their evaluation within a budget.

use api::object::ObjectExt as _;
use serde_json::Value as Json;

use super::{super::matching::Criteria, request};
use crate::cel::{self, Composed, Composition, Environment, Program, Type, Value};

/// What expressions of each place may be: their types as upstream prints them.
pub(super) const CONDITION: &[&str] = &["bool"];
pub(super) const MESSAGE: &[&str] = &["string"];
pub(super) const ANNOTATION: &[&str] = &["string", "null_type"];
pub(super) const PATCH: &[&str] = &["list(JSONPatch)"];
pub(super) const CONFIGURATION: &[&str] = &["Object"];

/// An expression, and what became of it.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) source: String,
    pub(super) program: Result<Program, String>,
}

impl Expression {
    /// Compiles what must be of one of some types; `[]` is any.
    pub(super) fn new(environment: &Environment, source: &str, types: &[&str]) -> Self {
        let compiled = environment.compile(source).map_err(|why| format!("compilation failed: {why}"));
        let program = compiled.and_then(|program| {
            let ty = match program.ty() {
                Type::Null => "null_type".to_owned(),
                ty => ty.to_string(),
            };
            match types {
                [] => Ok(program),
                types if types.contains(&ty.as_str()) => Ok(program),
                [one] => Err(format!("must evaluate to {one} but got {ty}")),
                many => Err(format!("must evaluate to one of [{}] but got {ty}", many.join(" "))),
            }
        });
        Self { source: source.to_owned(), program }
    }

    /// Its value, or why it has none.
    ///
    /// # Errors
    /// Nothing is left of the budget.
    pub(super) fn evaluate<'a>(
        &'a self,
        among: &Composition<'a>,
        budget: &mut u64,
    ) -> Result<Result<Value<'a>, String>, OutOfBudget> {
        let program = match &self.program {
            Ok(program) => program,
            Err(why) => return Ok(Err(format!("compilation error: {why}"))),
        };
        let (found, cost) = program.evaluate_within(among);
        let all = cost.saturating_add(among.take_cost());
        *budget = budget.checked_sub(all).ok_or(OutOfBudget)?;
        Ok(found.map_err(|error| format!("expression '{}' resulted in error: {error}", self.source)))
    }
}

/// All expressions together have cost too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("validation failed due to running out of cost budget, no further validation rules will be run")]
pub(super) struct OutOfBudget;

/// One of the `validations`.
#[derive(Debug)]
pub(super) struct Validation {
    pub(super) expression: Expression,
    /// What makes the message.
    pub(super) words: Option<Expression>,
    /// The message as it stands.
    pub(super) message: String,
    pub(super) reason: String,
}

/// One of the `mutations`.
#[derive(Debug)]
pub(super) struct Mutation {
    pub(super) expression: Expression,
    pub(super) is_json_patch: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Compiled {
    /// Which requests the policy means.
    pub(super) criteria: Criteria,
    pub(super) variables: Vec<Composed>,
    pub(super) conditions: Vec<Expression>,
    pub(super) validations: Vec<Validation>,
    /// By their keys.
    pub(super) annotations: Vec<(String, Expression)>,
    pub(super) mutations: Vec<Mutation>,
}

/// What the expressions of a policy may name, before its variables. `object` and `params`: their types,
/// where they are known.
pub(super) fn environment(has_params: bool, has_authorizer: bool) -> Environment {
    let environment = Environment::default()
        .with_type("object", Type::Dyn)
        .with_type("oldObject", Type::Dyn)
        .with("namespaceObject", request::namespace_decl())
        .with("request", request::request_decl())
        .with_variables();
    let environment = if has_params { environment.with_type("params", Type::Dyn) } else { environment };
    if has_authorizer { environment.with_authorizer() } else { environment }
}

impl Compiled {
    /// Whatever does not compile is an error when it is needed.
    pub(super) fn new(policy: &Json) -> Self {
        let has_params = policy.at("/spec/paramKind").is_some_and(Json::is_object);
        let mut full = environment(has_params, true);
        let mut plain = environment(has_params, false);
        let mut variables = Vec::new();
        for variable in policy.list_at("/spec/variables") {
            let name = variable.str_at("/name");
            let expression = Expression::new(&full, variable.str_at("/expression"), &[]);
            let ty = expression.program.as_ref().map_or(Type::Dyn, |program| program.ty().clone());
            full.compose(name, &ty);
            plain.compose(name, &ty);
            variables.push((name.to_owned(), expression.program));
        }
        let conditions = policy.list_at("/spec/matchConditions").iter();
        let conditions =
            conditions.map(|c| Expression::new(&full, c.str_at("/expression"), CONDITION)).collect();
        let validation = |validation: &Json| Validation {
            expression: Expression::new(&full, validation.str_at("/expression"), CONDITION),
            words: match validation.str_at("/messageExpression") {
                "" => None,
                source => Some(Expression::new(&plain, source, MESSAGE)),
            },
            message: validation.str_at("/message").trim().to_owned(),
            reason: validation.str_at("/reason").to_owned(),
        };
        let annotation = |annotation: &Json| {
            let source = annotation.str_at("/valueExpression");
            (annotation.str_at("/key").to_owned(), Expression::new(&full, source, ANNOTATION))
        };
        let patching = full.clone().with_messages();
        let mutation = |mutation: &Json| {
            let is_json_patch = mutation.str_at("/patchType") == "JSONPatch";
            let (source, types) = if is_json_patch {
                (mutation.str_at("/jsonPatch/expression"), PATCH)
            } else {
                (mutation.str_at("/applyConfiguration/expression"), CONFIGURATION)
            };
            Mutation { expression: Expression::new(&patching, source, types), is_json_patch }
        };
        Self {
            criteria: Criteria::of_policy(policy.at("/spec/matchConstraints").unwrap_or(&Json::Null)),
            conditions,
            validations: policy.list_at("/spec/validations").iter().map(validation).collect(),
            annotations: policy.list_at("/spec/auditAnnotations").iter().map(annotation).collect(),
            mutations: policy.list_at("/spec/mutations").iter().map(mutation).collect(),
            variables,
        }
    }

    /// Whether all match conditions hold. One that does not decides, whatever is wrong with the others.
    ///
    /// # Errors
    /// What is wrong with them, where none says no.
    pub(super) fn applies(&self, variables: cel::Variables<'_>) -> Result<bool, String> {
        let among = Composition::new(variables, &self.variables);
        let mut budget = cel::MATCH_CONDITIONS_BUDGET;
        let mut errors = Vec::new();
        for condition in &self.conditions {
            match condition.evaluate(&among, &mut budget).map_err(|error| error.to_string())? {
                Ok(Value::Bool(false)) => return Ok(false),
                Ok(_) => {}
                Err(why) => errors.push(why),
            }
        }
        match errors.as_slice() {
            [] => Ok(true),
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }
}
