//! `matchConditions`: expressions that must all hold for a webhook to be asked.

use std::sync::Arc;

use api::{
    object::ObjectExt as _,
    status::{GroupResource, Status},
};
use serde_json::Value;

use super::super::Review;
use crate::cel::{self, Decl, Environment, Program, Type, Variables};

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

    /// One that is false decides; where one has no value, the failure policy does.
    pub(super) fn check(&self, object: Option<&Value>, old: Option<&Value>, request: &Value) -> Verdict {
        let mut variables = Variables::new();
        variables.insert("object", read(object));
        variables.insert("oldObject", read(old));
        variables.insert("request", cel::Value::dynamic(request));
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

fn compile(expression: &str) -> Result<Program, String> {
    let any = Arc::new(Decl::dynamic());
    let environment =
        Environment::default().with("object", &any).with("oldObject", &any).with("request", &any);
    let program = environment.compile(expression).map_err(|why| format!("compilation failed: {why}"))?;
    if !matches!(program.ty(), Type::Bool | Type::Dyn) {
        return Err("must evaluate to bool".to_owned());
    }
    Ok(program)
}
