//! What is believed of an issuer, however it was told, and what `--oidc-*` tell.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    expressions::Expression,
    validate::{Found, issuer_url},
};
use crate::options::Oidc;

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(super) String);

/// One issuer, its rules compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtConfig {
    /// Who it is.
    pub issuer: Issuer,
    /// Algorithms that tokens may be signed with.
    pub signing_algs: Vec<String>,
    pub(super) required_claims: BTreeMap<String, String>,
    pub(super) claim_rules: Vec<Expression>,
    pub(super) user_rules: Vec<Expression>,
    pub(super) username: ClaimOrExpression,
    pub(super) groups: ClaimOrExpression,
    pub(super) uid: ClaimOrExpression,
    pub(super) extra: Vec<(String, Expression)>,
}

/// An issuer of tokens.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issuer {
    /// What tokens must name as `iss`, and where discovery begins.
    #[serde(default)]
    pub url: String,
    /// Where discovery begins instead.
    #[serde(default, rename = "discoveryURL")]
    pub discovery_url: Option<String>,
    /// PEM of who signed the issuer's certificate.
    #[serde(default)]
    pub certificate_authority: Option<String>,
    /// One of them must be in the token.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// `MatchAny`.
    #[serde(default)]
    pub audience_match_policy: String,
    /// Connections go straight here, whichever way is named.
    #[serde(default)]
    pub egress_selector_type: String,
}

/// Where a part of the user comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ClaimOrExpression {
    None,
    Claim { claim: String, prefix: String },
    Expression(Expression),
}

impl JwtConfig {
    /// What the flags say; `ca` is the content of `--oidc-ca-file`. The issuer must be none of `disallowed`.
    ///
    /// # Errors
    /// The issuer's URL is none that could be believed.
    pub fn from_flags(flags: &Oidc, ca: Option<String>, disallowed: &[String]) -> Result<Self, ConfigError> {
        let mut found = Found::default();
        issuer_url(&flags.issuer_url, "issuer.url", disallowed, &mut found);
        found.outcome()?;
        let prefix = match flags.username_prefix.as_str() {
            "-" => String::new(),
            "" if flags.username_claim != "email" => format!("{}#", flags.issuer_url),
            prefix => prefix.to_owned(),
        };
        let groups = match flags.groups_claim.as_str() {
            "" => ClaimOrExpression::None,
            claim => {
                ClaimOrExpression::Claim { claim: claim.to_owned(), prefix: flags.groups_prefix.clone() }
            }
        };
        Ok(Self {
            issuer: Issuer {
                url: flags.issuer_url.clone(),
                certificate_authority: ca,
                audiences: vec![flags.client_id.clone()],
                ..Issuer::default()
            },
            signing_algs: flags.signing_algs.clone(),
            required_claims: flags.required_claims.clone(),
            claim_rules: Vec::new(),
            user_rules: Vec::new(),
            username: ClaimOrExpression::Claim { claim: flags.username_claim.clone(), prefix },
            groups,
            uid: ClaimOrExpression::None,
            extra: Vec::new(),
        })
    }
}
