//! `matchConditions`: expressions that must all hold for a webhook to be asked.

use std::sync::Arc;

use api::{
    names,
    object::ObjectExt as _,
    status::{FieldError, GroupResource, Status},
};
use serde_json::Value;

use super::super::Review;
use crate::cel::{self, Access, Asker, Decl, Environment, Program, Type, Variables};

/// What all conditions of one webhook may cost together.
const BUDGET: u64 = 2_500_000;

/// One webhook's conditions, compiled.
#[derive(Debug)]
pub(super) struct Conditions {
    all: Vec<Condition>,
    ignores_failure: bool,
}

#[derive(Debug)]
struct Condition {
    expression: String,
    program: Result<Program, String>,
}

/// What the conditions say of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Ask the webhook.
    Matches,
    /// Do not.
    Excluded {
        /// How many of them have no value.
        errors: usize,
    },
    /// Nobody knows, and that is a refusal.
    Fails {
        /// What is wrong with them.
        why: String,
        /// How many of them have no value.
        errors: usize,
    },
}

impl Conditions {
    pub(super) fn new(conditions: &[Value], ignores_failure: bool) -> Self {
        let all = conditions.iter().map(|condition| {
            let expression = condition.str_at("/expression").trim().to_owned();
            Condition { program: compile(&expression), expression }
        });
        Self { all: all.collect(), ignores_failure }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// One that is false decides; where one has no value, the failure policy does. `asker` answers what the user may
    /// do.
    pub(super) fn check(
        &self,
        object: Option<&Value>,
        old: Option<&Value>,
        request: &Value,
        asker: &dyn Asker,
    ) -> Verdict {
        let mut variables = Variables::new();
        variables.insert("object", read(object));
        variables.insert("oldObject", read(old));
        variables.insert("request", cel::Value::dynamic(request));
        variables.insert("authorizer", Access::value(asker));
        let mut budget = BUDGET;
        let mut wrong = Vec::new();
        for condition in &self.all {
            match condition.evaluate(&variables, &mut budget) {
                Ok(true) => {}
                Ok(false) => return Verdict::Excluded { errors: wrong.len() },
                Err(why) => wrong.push(why),
            }
        }
        let errors = wrong.len();
        match wrong.as_mut_slice() {
            [] => Verdict::Matches,
            _ if self.ignores_failure => Verdict::Excluded { errors },
            [one] => Verdict::Fails { why: std::mem::take(one), errors },
            many => Verdict::Fails { why: format!("[{}]", many.join(", ")), errors },
        }
    }
}

fn read(json: Option<&Value>) -> cel::Value<'_> {
    json.map_or(cel::Value::Null, cel::Value::dynamic)
}

/// 403 for conditions without a value.
pub(super) fn unknown(review: &Review<'_>, why: &str) -> Status {
    let resource = GroupResource { group: review.group, resource: review.resource };
    Status::forbidden(resource, review.object_name(), why)
}

impl Condition {
    fn evaluate(&self, variables: &Variables<'_>, budget: &mut u64) -> Result<bool, String> {
        let program = self.program.as_ref().map_err(|why| format!("compilation error: {why}"))?;
        let (found, cost) = program.evaluate(variables);
        if cost > *budget {
            *budget = 0;
            let words = "validation failed due to running out of cost budget, no further validation rules will be run";
            return Err(words.to_owned());
        }
        *budget -= cost;
        match found {
            Ok(cel::Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err("cel expression evaluates to a non-bool type".to_owned()),
            Err(why) => Err(format!("expression '{}' resulted in error: {why}", self.expression)),
        }
    }
}

/// More conditions than a webhook may have.
const MOST: usize = 64;

/// What is wrong with the conditions of a configuration's webhooks; those that stand there already are not
/// looked at again.
pub(in super::super) fn validate(configuration: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, webhook) in configuration.list_at("/webhooks").iter().enumerate() {
        let conditions = webhook.list_at("/matchConditions");
        let at = format!("webhooks[{index}].matchConditions");
        let before = old.map(|old| old.list_at("/webhooks")).unwrap_or_default();
        let before = before.iter().find(|b| b.str_at("/name") == webhook.str_at("/name"));
        if before.is_some_and(|before| before.list_at("/matchConditions") == conditions) {
            continue;
        }
        if conditions.len() > MOST {
            errors.push(FieldError::too_many(at.as_str(), conditions.len(), MOST));
        }
        for (index, condition) in conditions.iter().enumerate() {
            let (name, expression) = (condition.str_at("/name"), condition.str_at("/expression").trim());
            let at = format!("{at}[{index}]");
            if expression.is_empty() {
                errors.push(FieldError::required(format!("{at}.expression"), ""));
            } else if let Err(why) = compile(expression) {
                errors.push(FieldError::invalid(format!("{at}.expression"), expression, why));
            }
            if name.is_empty() {
                errors.push(FieldError::required(format!("{at}.name"), ""));
            } else {
                let field = || format!("{at}.name");
                let wrong = names::qualified_name(name).into_iter();
                errors.extend(wrong.map(|why| FieldError::invalid(field(), name, why)));
                if conditions.iter().take(index).any(|other| other.str_at("/name") == name) {
                    errors.push(FieldError::duplicate(field(), name));
                }
            }
        }
    }
    errors
}

fn compile(expression: &str) -> Result<Program, String> {
    let any = Arc::new(Decl::dynamic());
    let environment =
        Environment::default().with("object", &any).with("oldObject", &any).with("request", &any);
    let program = environment
        .with_authorizer()
        .compile(expression)
        .map_err(|why| format!("compilation failed: {why}"))?;
    if !matches!(program.ty(), Type::Bool | Type::Dyn) {
        return Err("must evaluate to bool".to_owned());
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_looked_at_when_they_are_written() {
        let configuration = |conditions: Value| json!({"webhooks": [{"name": "a.example.com", "matchConditions": conditions}]});
        let check = |conditions: Value, expected: &[&str]| {
            let found = validate(&configuration(conditions.clone()), None);
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
            assert_eq!(validate(&configuration(conditions.clone()), Some(&configuration(conditions))), []);
        };
        check(json!([{"name": "ok", "expression": "object.metadata.name == request.name"}]), &[]);
        let asks =
            "!authorizer.group('').resource('configmaps').namespace('ns').check('breakglass').allowed()";
        check(json!([{"name": "asks", "expression": asks}]), &[]);
        check(
            json!([{"name": "", "expression": " "}, {"name": "b", "expression": "1"}, {"name": "b", "expression": "true"}]),
            &[
                "webhooks[0].matchConditions[0].expression: Required value",
                "webhooks[0].matchConditions[0].name: Required value",
                "webhooks[0].matchConditions[1].expression: Invalid value: \"1\": must evaluate to bool",
                "webhooks[0].matchConditions[2].name: Duplicate value: \"b\"",
            ],
        );
        check(
            json!([{"name": "x", "expression": "nobody.a"}]),
            &[
                "webhooks[0].matchConditions[0].expression: Invalid value: \"nobody.a\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'nobody' (in container '')\n | nobody.a\n | ^",
            ],
        );
        let many: Vec<Value> =
            (0..65).map(|n| json!({"name": format!("n{n}"), "expression": "true"})).collect();
        check(many.into(), &["webhooks[0].matchConditions: Too many: 65: must have at most 64 items"]);
    }
}
