//! Rules compile, look back only where there is something to look back to, and end in time.

use std::sync::Arc;

use api::{object::ObjectExt, status::FieldError};
use serde_json::Value;

use crate::{
    cel::{RULE_ESTIMATE_LIMIT, SCHEMA_ESTIMATE_LIMIT},
    crd::schema::{RuleError, compile_rule, decl_of},
};

pub(super) fn violations(schema: &Value, at: &str) -> Vec<FieldError> {
    let mut visit = Visit { errors: Vec::new(), total: 0, expensive: Vec::new() };
    visit.schema(schema, at, Some(1), true, None);
    if visit.total > SCHEMA_ESTIMATE_LIMIT {
        visit.expensive.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        for (_, place) in visit.expensive.iter().take(4) {
            let words =
                "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            visit.errors.push(FieldError::forbidden(place.as_str(), words));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        visit.errors.push(FieldError::forbidden(at, too_expensive(what, visit.total, SCHEMA_ESTIMATE_LIMIT)));
    }
    visit.errors
}

struct Visit {
    errors: Vec<FieldError>,
    total: u64,
    expensive: Vec<(u64, String)>,
}

/// How often at most a schema applies within one object, given how often the one around it does.
fn within(schema: &Value, times: Option<u64>) -> Option<u64> {
    let most = |pointer: &str| schema.i64_at(pointer).map(|n| u64::try_from(n).unwrap_or(0));
    let factor = match schema.str_at("/type") {
        "object" if schema.get("additionalProperties").is_some() => most("/maxProperties")?,
        "array" => most("/maxItems")?,
        _ => 1,
    };
    Some(times?.saturating_mul(factor))
}

/// How often at most a value of that size fits into a request.
fn fits(least_bytes: u64) -> u64 {
    3 * 1024 * 1024 / least_bytes.max(1)
}

impl Visit {
    fn schema(
        &mut self,
        schema: &Value,
        at: &str,
        times: Option<u64>,
        root: bool,
        uncorrelated: Option<&str>,
    ) {
        let inner = within(schema, times);
        if let Some(of) = schema.get("additionalProperties").filter(|of| of.is_object()) {
            self.schema(of, &format!("{at}.additionalProperties"), inner, false, uncorrelated);
        }
        let atomic = schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic");
        let below = uncorrelated.or(atomic.then_some(at));
        for (name, property) in schema.map_at("/properties").into_iter().flatten() {
            self.schema(property, &format!("{at}.properties[{name}]"), inner, false, below);
        }
        if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
            let keyed = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("map");
            let below = uncorrelated.or((!keyed).then_some(at));
            self.schema(items, &format!("{at}.items"), inner, false, below);
        }
        let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array);
        let Some(rules) = rules.filter(|rules| !rules.is_empty()) else { return };
        let Some(decl) = decl_of(schema, root) else {
            let why = format!(
                "rule declared on schema that does not support validation rules type: '{}' x-kubernetes-preserve-unknown-fields: '{}'",
                schema.str_at("/type"),
                schema.bool_at("/x-kubernetes-preserve-unknown-fields")
            );
            self.errors.push(FieldError::internal(format!("{at}.x-kubernetes-validations"), why));
            return;
        };
        let times = times.unwrap_or_else(|| fits(decl.least_bytes));
        for (index, rule) in rules.iter().enumerate() {
            let at = |field: &str| format!("{at}.x-kubernetes-validations[{index}].{field}");
            let compiled = match compile_rule(rule, schema, &Arc::clone(&decl)) {
                Ok(compiled) => compiled,
                Err(RuleError::Rule(why)) => {
                    self.errors.push(FieldError::invalid(at("rule"), rule.clone(), why));
                    continue;
                }
                Err(RuleError::Message(why)) => {
                    self.errors.push(FieldError::invalid(at("messageExpression"), rule.clone(), why));
                    continue;
                }
            };
            self.cost("estimated rule cost", at("rule"), compiled.program.estimate(), times);
            if let Some(message) = &compiled.message {
                let what = "estimated messageExpression cost";
                self.cost(what, at("messageExpression"), message.estimate(), 1);
            }
            if let (true, Some(place)) = (compiled.uses_old_self, uncorrelated) {
                let words = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {place}"
                );
                self.errors.push(FieldError::invalid(at("rule"), rule.str_at("/rule"), words));
            } else if !compiled.uses_old_self
                && let Some(given) = rule.get("optionalOldSelf")
            {
                let words = "may not be set if oldSelf is not used in rule";
                self.errors.push(FieldError::invalid(at("optionalOldSelf"), given.clone(), words));
            }
        }
    }

    fn cost(&mut self, what: &str, place: String, estimate: u64, times: u64) {
        let cost = estimate.saturating_mul(times);
        if cost > RULE_ESTIMATE_LIMIT {
            self.errors.push(FieldError::forbidden(&place, too_expensive(what, cost, RULE_ESTIMATE_LIMIT)));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= SCHEMA_ESTIMATE_LIMIT / 100 {
            self.expensive.push((cost, place));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a factor for people")]
fn too_expensive(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        factor if factor > 100.0 => "more than 100x".to_owned(),
        factor if factor < 1.5 => format!("{factor:.6}x"),
        factor => format!("{factor:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}
