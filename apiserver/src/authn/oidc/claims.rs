//! From what a token says to a user.

use std::collections::BTreeMap;

use api::object::json_type;
use serde_json::{Map, Value};

use super::config::{ClaimOrExpression, JwtConfig};
use crate::identity::User;

type Claims = Map<String, Value>;

/// The user that the claims name.
///
/// # Errors
/// A claim that is missing or is something else than it should be, or a rule that is not met.
pub(super) fn user(config: &JwtConfig, claims: &Claims) -> Result<User, String> {
    let document = Value::Object(claims.clone());
    let user = User {
        name: name(config, claims, &document)?,
        groups: groups(config, claims, &document)?,
        uid: uid(config, claims, &document)?,
        extra: extra(config, &document)?,
    };
    for (claim, wanted) in &config.required_claims {
        let Some(held) = claims.get(claim) else {
            return Err(format!("oidc: required claim {claim} not present in ID token"));
        };
        let held = text(held).map_err(|why| format!("oidc: parse claim {claim}: {why}"))?;
        if held != wanted {
            return Err(format!(
                "oidc: required claim {claim} value does not match. Got = {held}, want = {wanted}"
            ));
        }
    }
    for rule in &config.claim_rules {
        rule.check("claims", &document)
            .map_err(|why| format!("oidc: error evaluating claim validation expression: {why}"))?;
    }
    if !config.user_rules.is_empty() {
        let document = serde_json::json!({
            "username": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra,
        });
        for rule in &config.user_rules {
            rule.check("user", &document)
                .map_err(|why| format!("oidc: error evaluating user info validation rule: {why}"))?;
        }
    }
    Ok(user)
}

fn name(config: &JwtConfig, claims: &Claims, document: &Value) -> Result<String, String> {
    let (claim, prefix) = match &config.username {
        ClaimOrExpression::Expression(expression) => {
            let found = expression.text("claims", document);
            let found =
                found.and_then(|t| t.ok_or("username claim expression must return a string".to_owned()));
            let name =
                found.map_err(|why| format!("oidc: error evaluating username claim expression: {why}"))?;
            if name.is_empty() {
                return Err("oidc: empty username via CEL expression is not allowed".to_owned());
            }
            return Ok(name);
        }
        ClaimOrExpression::Claim { claim, prefix } => (claim, prefix),
        ClaimOrExpression::None => return Ok(String::new()),
    };
    let held = claims
        .get(claim)
        .ok_or("claim not present".to_owned())
        .and_then(|value| text(value).map(str::to_owned));
    let name = held.map_err(|why| format!("oidc: parse username claims {claim:?}: {why}"))?;
    // An address that nobody confirmed could be anybody's.
    if claim == "email" {
        match claims.get("email_verified") {
            None | Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Err("oidc: email not verified".to_owned()),
            Some(other) => {
                let why = format!("json: cannot unmarshal {} into Go value of type bool", json_type(other));
                return Err(format!("oidc: parse 'email_verified' claim: {why}"));
            }
        }
    }
    Ok(format!("{prefix}{name}"))
}

fn groups(config: &JwtConfig, claims: &Claims, document: &Value) -> Result<Vec<String>, String> {
    match &config.groups {
        ClaimOrExpression::None => Ok(Vec::new()),
        ClaimOrExpression::Claim { claim, prefix } => {
            let Some(held) = claims.get(claim) else { return Ok(Vec::new()) };
            // A single name stands for a list of one.
            let names = match held {
                Value::Array(list) => list.iter().map(text).collect::<Result<Vec<_>, _>>(),
                one => text(one).map(|name| vec![name]),
            };
            let names = names.map_err(|why| format!("oidc: parse groups claim {claim:?}: {why}"))?;
            Ok(names.into_iter().map(|name| format!("{prefix}{name}")).collect())
        }
        ClaimOrExpression::Expression(expression) => expression
            .texts("claims", document)
            .map_err(|why| format!("oidc: error evaluating group claim expression: {why}")),
    }
}

fn uid(config: &JwtConfig, claims: &Claims, document: &Value) -> Result<String, String> {
    match &config.uid {
        ClaimOrExpression::None => Ok(String::new()),
        ClaimOrExpression::Claim { claim, .. } => {
            let held = claims.get(claim).ok_or("claim not present".to_owned());
            let held = held.and_then(|value| text(value).map(str::to_owned));
            held.map_err(|why| format!("oidc: parse uid claim {claim:?}: {why}"))
        }
        ClaimOrExpression::Expression(expression) => {
            let found = expression.text("claims", document);
            let found = found.and_then(|t| t.ok_or("uid claim expression must return a string".to_owned()));
            found.map_err(|why| format!("oidc: error evaluating uid claim expression: {why}"))
        }
    }
}

fn extra(config: &JwtConfig, document: &Value) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut extra = BTreeMap::new();
    for (key, expression) in &config.extra {
        let values = expression.texts("claims", document);
        let values = values.map_err(|why| {
            format!("oidc: error evaluating extra claim expression: {}: {why}", expression.source())
        })?;
        if !values.is_empty() {
            extra.insert(key.clone(), values);
        }
    }
    Ok(extra)
}

fn text(value: &Value) -> Result<&str, String> {
    let wrong = || format!("json: cannot unmarshal {} into Go value of type string", json_type(value));
    value.as_str().ok_or_else(wrong)
}
