//! A policy that is written: its expressions compile, or it is refused.

use api::{object::ObjectExt as _, status::FieldError};
use serde_json::Value;

use super::compile::{ANNOTATION, CONDITION, CONFIGURATION, Expression, MESSAGE, PATCH, environment};
use crate::cel::{Environment, Type};

/// What is wrong with the expressions of a policy. An update that leaves them as they were keeps them.
pub(crate) fn violations(policy: &Value, old: Option<&Value>) -> Vec<FieldError> {
    if old.is_some_and(|old| old.get("spec") == policy.get("spec")) {
        return Vec::new();
    }
    let has_params = policy.at("/spec/paramKind").is_some_and(Value::is_object);
    let mut full = environment(has_params, true);
    let mut plain = environment(has_params, false);
    let mut errors = Vec::new();
    for (index, variable) in policy.list_at("/spec/variables").iter().enumerate() {
        let ty = check(&full, variable, "expression", &[], &format!("spec.variables[{index}]"), &mut errors);
        full.compose(variable.str_at("/name"), &ty);
        plain.compose(variable.str_at("/name"), &ty);
    }
    let mut each = |list: &str, environment: &Environment, field: &str, types: &[&str]| {
        for (index, item) in policy.list_at(&format!("/spec/{list}")).iter().enumerate() {
            check(environment, item, field, types, &format!("spec.{list}[{index}]"), &mut errors);
        }
    };
    each("matchConditions", &full, "expression", CONDITION);
    each("validations", &full, "expression", CONDITION);
    each("validations", &plain, "messageExpression", MESSAGE);
    each("auditAnnotations", &full, "valueExpression", ANNOTATION);
    let patching = full.clone().with_messages();
    for (index, mutation) in policy.list_at("/spec/mutations").iter().enumerate() {
        for (field, types) in [("jsonPatch", PATCH), ("applyConfiguration", CONFIGURATION)] {
            if let Some(inner) = mutation.get(field) {
                let at = format!("spec.mutations[{index}].{field}");
                check(&patching, inner, "expression", types, &at, &mut errors);
            }
        }
    }
    errors
}

/// The type of an expression, if it has one. That an expression is missing is told elsewhere.
fn check(
    environment: &Environment,
    of: &Value,
    field: &str,
    types: &[&str],
    at: &str,
    errors: &mut Vec<FieldError>,
) -> Type {
    let source = of.get(field).and_then(Value::as_str).unwrap_or_default();
    if source.trim().is_empty() {
        return Type::Dyn;
    }
    match Expression::new(environment, source, types).program {
        Ok(program) => program.ty().clone(),
        Err(why) => {
            errors.push(FieldError::invalid(format!("{at}.{field}"), source, why));
            Type::Dyn
        }
    }
}
