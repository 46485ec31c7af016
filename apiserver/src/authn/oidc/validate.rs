//! What is wrong with a configuration, in upstream's words, and what becomes of one that is right.

use std::collections::{BTreeMap, BTreeSet};

use api::status::FieldError;
use pki::Roots;
use regex::Regex;

use super::{
    config::{ClaimOrExpression, ConfigError, Issuer, JwtConfig},
    expressions::Expression,
    file::{ClaimRule, Extra, Jwt, Mapping, UserRule},
};
use crate::authz::rbac::aggregate;

/// What rustls' library can verify of what upstream takes.
const ALL_ALGS: [&str; 8] = ["ES256", "ES384", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];

/// What is wrong.
#[derive(Default)]
pub(super) struct Found(Vec<String>);

impl Found {
    pub(super) fn add(&mut self, error: FieldError) {
        self.0.push(error.to_string());
    }

    fn invalid(&mut self, at: String, value: &str, why: impl Into<String>) {
        self.add(FieldError::invalid(at, value, why));
    }

    pub(super) fn outcome(self) -> Result<(), ConfigError> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigError(aggregate(&self.0))) }
    }
}

/// Checks one issuer's part of the file. The issuer must be none of `disallowed`.
pub(super) fn compile(jwt: Jwt, at: &str, disallowed: &[String], found: &mut Found) -> JwtConfig {
    issuer(&jwt.issuer, &format!("{at}.issuer"), disallowed, found);
    let (required_claims, claim_rules) = claim_rules(&jwt.claim_validation_rules, at, found);
    let mappings = &jwt.claim_mappings;
    let under = |part: &str| format!("{at}.claimMappings.{part}");
    if mappings.username.claim.is_empty() && mappings.username.expression.is_empty() {
        found.add(FieldError::required(under("username"), "claim or expression is required"));
    }
    let username = mapping(&mappings.username, &under("username"), &["string"], true, found);
    let groups = mapping(&mappings.groups, &under("groups"), TEXTS, true, found);
    let uid = mapping(&mappings.uid, &under("uid"), &["string"], false, found);
    let extra = extra(&mappings.extra, &under("extra"), found);
    let sources = claim_rules.iter().chain(extra.iter().map(|(_, e)| e)).map(Expression::source);
    let name = mappings.username.expression.as_str();
    if reads(name, "email") && !sources.chain([name]).any(|source| reads(source, "email_verified")) {
        found.invalid(under("username.expression"), name, UNVERIFIED_EMAIL);
    }
    let user_rules = user_rules(&jwt.user_validation_rules, at, found);
    JwtConfig {
        issuer: jwt.issuer,
        signing_algs: ALL_ALGS.map(str::to_owned).to_vec(),
        required_claims,
        claim_rules,
        user_rules,
        username,
        groups,
        uid,
        extra,
    }
}

const TEXTS: &[&str] = &["string", "list", "null_type"];
const UNVERIFIED_EMAIL: &str = "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression";

/// Whether an expression looks at `claims.<claim>`.
fn reads(source: &str, claim: &str) -> bool {
    let pattern = format!(r"\bclaims\s*\.\s*\??\s*{claim}\b");
    Regex::new(&pattern).is_ok_and(|pattern| pattern.is_match(source))
}

fn issuer(issuer: &Issuer, at: &str, disallowed: &[String], found: &mut Found) {
    issuer_url(&issuer.url, &format!("{at}.url"), disallowed, found);
    if let Some(discovery) = &issuer.discovery_url {
        let at = format!("{at}.discoveryURL");
        if discovery.trim_end_matches('/') == issuer.url.trim_end_matches('/') {
            found.invalid(at.clone(), discovery, "discoveryURL must be different from URL");
        }
        url(discovery, &at, found);
    }
    let audiences = format!("{at}.audiences");
    if issuer.audiences.is_empty() {
        found.add(FieldError::required(audiences.clone(), format!("at least one {audiences} is required")));
    }
    let mut seen = BTreeSet::new();
    for (i, audience) in issuer.audiences.iter().enumerate() {
        if audience.is_empty() {
            found.add(FieldError::required(format!("{audiences}[{i}]"), "audience can't be empty"));
        }
        if !seen.insert(audience) {
            found.add(FieldError::duplicate(format!("{audiences}[{i}]"), audience.clone()));
        }
    }
    let policy = issuer.audience_match_policy.as_str();
    let at_policy = format!("{at}.audienceMatchPolicy");
    match issuer.audiences.len() {
        0 => {}
        1 if matches!(policy, "" | "MatchAny") => {}
        1 => found.invalid(
            at_policy,
            policy,
            "audienceMatchPolicy must be empty or MatchAny for single audience",
        ),
        _ if policy == "MatchAny" => {}
        _ => found.invalid(at_policy, policy, "audienceMatchPolicy must be MatchAny for multiple audiences"),
    }
    if let Some(pem) = issuer.certificate_authority.as_ref().filter(|pem| !pem.is_empty())
        && !Roots::from_pem(pem.as_bytes()).is_ok_and(|roots| !roots.is_empty())
    {
        let why = "data does not contain any valid RSA or ECDSA certificates";
        found.invalid(format!("{at}.certificateAuthority"), "<omitted>", why);
    }
}

/// An issuer's URL. Those of service accounts are disallowed: their tokens have an authenticator of their own,
/// which knows what became of their accounts.
pub(super) fn issuer_url(issuer: &str, at: &str, disallowed: &[String], found: &mut Found) {
    if disallowed.iter().any(|own| own == issuer) {
        let own: BTreeSet<&str> = disallowed.iter().map(String::as_str).collect();
        let own: Vec<&str> = own.into_iter().collect();
        let why = format!("URL must not overlap with disallowed issuers: [{}]", own.join(" "));
        found.invalid(at.to_owned(), issuer, why);
    }
    url(issuer, at, found);
}

/// An issuer's URL, or one that leads to it.
fn url(url: &str, at: &str, found: &mut Found) {
    if url.is_empty() {
        return found.add(FieldError::required(at.to_owned(), "URL is required"));
    }
    let rest = url.strip_prefix("https://");
    if rest.is_none() {
        found.invalid(at.to_owned(), url, "URL scheme must be https");
    }
    let rest = rest.unwrap_or(url);
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (before, query) = before.split_once('?').unwrap_or((before, ""));
    if before.split('/').next().is_some_and(|authority| authority.contains('@')) {
        found.invalid(at.to_owned(), url, "URL must not contain a username or password");
    }
    if !query.is_empty() {
        found.invalid(at.to_owned(), url, "URL must not contain a query");
    }
    if !fragment.is_empty() {
        found.invalid(at.to_owned(), url, "URL must not contain a fragment");
    }
}

fn expression(
    variable: &str,
    source: &str,
    message: &str,
    wanted: &[&str],
    at: String,
    found: &mut Found,
) -> Option<Expression> {
    match Expression::new(variable, source, message, wanted) {
        Ok(expression) => Some(expression),
        Err(why) => {
            found.invalid(at, source, why);
            None
        }
    }
}

fn claim_rules(
    rules: &[ClaimRule],
    at: &str,
    found: &mut Found,
) -> (BTreeMap<String, String>, Vec<Expression>) {
    let (mut required, mut compiled) = (BTreeMap::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for (i, rule) in rules.iter().enumerate() {
        let at = format!("{at}.claimValidationRules[{i}]");
        match (rule.claim.is_empty(), rule.expression.is_empty()) {
            (false, false) => found.invalid(at, &rule.claim, "claim and expression can't both be set"),
            (true, true) => found.add(FieldError::required(at, "claim or expression is required")),
            (false, true) => {
                if !rule.message.is_empty() {
                    let why = "message can't be set when claim is set";
                    found.invalid(format!("{at}.message"), &rule.message, why);
                }
                if required.insert(rule.claim.clone(), rule.required_value.clone()).is_some() {
                    found.add(FieldError::duplicate(format!("{at}.claim"), rule.claim.clone()));
                }
            }
            (true, false) => {
                if !rule.required_value.is_empty() {
                    let why = "requiredValue can't be set when expression is set";
                    found.invalid(format!("{at}.requiredValue"), &rule.required_value, why);
                }
                let at = format!("{at}.expression");
                if !seen.insert(&rule.expression) {
                    found.add(FieldError::duplicate(at, rule.expression.clone()));
                    continue;
                }
                compiled.extend(expression("claims", &rule.expression, &rule.message, &["bool"], at, found));
            }
        }
    }
    (required, compiled)
}

fn user_rules(rules: &[UserRule], at: &str, found: &mut Found) -> Vec<Expression> {
    let mut compiled = Vec::new();
    let mut seen = BTreeSet::new();
    for (i, rule) in rules.iter().enumerate() {
        let at = format!("{at}.userValidationRules[{i}].expression");
        if rule.expression.is_empty() {
            found.add(FieldError::required(at, "expression is required"));
        } else if !seen.insert(&rule.expression) {
            found.add(FieldError::duplicate(at, rule.expression.clone()));
        } else {
            compiled.extend(expression("user", &rule.expression, &rule.message, &["bool"], at, found));
        }
    }
    compiled
}

fn mapping(
    mapping: &Mapping,
    at: &str,
    wanted: &[&str],
    is_prefixed: bool,
    found: &mut Found,
) -> ClaimOrExpression {
    match (mapping.claim.is_empty(), mapping.expression.is_empty()) {
        (true, true) => ClaimOrExpression::None,
        (false, false) => {
            found.invalid(at.to_owned(), "", "claim and expression can't both be set");
            ClaimOrExpression::None
        }
        (false, true) => {
            if is_prefixed && mapping.prefix.is_none() {
                let why = "prefix is required when claim is set. It can be set to an empty string to disable prefixing";
                found.add(FieldError::required(format!("{at}.prefix"), why));
            }
            let prefix = mapping.prefix.clone().unwrap_or_default();
            ClaimOrExpression::Claim { claim: mapping.claim.clone(), prefix }
        }
        (true, false) => {
            if let Some(prefix) = &mapping.prefix {
                let why = "prefix can't be set when expression is set";
                found.invalid(format!("{at}.prefix"), prefix, why);
            }
            let at = format!("{at}.expression");
            expression("claims", &mapping.expression, "", wanted, at, found)
                .map_or(ClaimOrExpression::None, ClaimOrExpression::Expression)
        }
    }
}

fn extra(mappings: &[Extra], at: &str, found: &mut Found) -> Vec<(String, Expression)> {
    let mut compiled = Vec::new();
    let mut seen = BTreeSet::new();
    for (i, extra) in mappings.iter().enumerate() {
        let (key, at_key) = (extra.key.as_str(), format!("{at}[{i}].key"));
        match key.split_once('/') {
            None if key.is_empty() => found.add(FieldError::required(at_key.clone(), "")),
            Some((domain, path)) if !domain.is_empty() && !path.is_empty() => {}
            _ => {
                let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
                found.invalid(at_key.clone(), key, why);
            }
        }
        if key != key.to_lowercase() {
            found.invalid(at_key.clone(), key, "key must be lowercase");
        }
        let domain = key.split('/').next().unwrap_or_default();
        if ["kubernetes.io", "k8s.io"].iter().any(|d| domain == *d || domain.ends_with(&format!(".{d}"))) {
            let why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use";
            found.invalid(at_key.clone(), key, why);
        }
        if !seen.insert(key) {
            found.add(FieldError::duplicate(at_key, key.to_owned()));
            continue;
        }
        let at = format!("{at}[{i}].valueExpression");
        if extra.value_expression.is_empty() {
            found.add(FieldError::required(at, "valueExpression is required"));
            continue;
        }
        let expression = expression("claims", &extra.value_expression, "", TEXTS, at, found);
        compiled.extend(expression.map(|e| (key.to_owned(), e)));
    }
    compiled
}
