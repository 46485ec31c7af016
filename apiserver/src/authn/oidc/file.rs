//! The file of `--authentication-config`, as it is written: versions v1alpha1 to v1 of one kind, which differ in
//! nothing that is read here.

use std::collections::BTreeSet;

use api::status::FieldError;
use serde::Deserialize;

use super::{
    config::{ConfigError, Issuer, JwtConfig},
    validate::{Found, compile},
};

/// More issuers than these are refused.
const MOST_ISSUERS: usize = 64;
const GROUP: &str = "apiserver.config.k8s.io";

/// The file.
#[derive(Debug)]
pub struct AuthenticationConfig {
    /// Issuers in order.
    pub jwt: Vec<JwtConfig>,
    /// Who may be anonymous; `None` where the file says nothing.
    pub anonymous: Option<AnonymousConfig>,
}

/// Who may ask without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnonymousConfig {
    /// Whether anybody may.
    #[serde(default)]
    pub enabled: bool,
    /// Where; empty for everywhere.
    #[serde(default)]
    pub conditions: Vec<AnonymousCondition>,
}

impl AnonymousConfig {
    /// Everywhere or nowhere.
    pub fn everywhere(enabled: bool) -> Self {
        Self { enabled, conditions: Vec::new() }
    }

    pub(crate) fn allows(&self, path: &str) -> bool {
        self.enabled && (self.conditions.is_empty() || self.conditions.iter().any(|c| c.path == path))
    }
}

/// A path that is open to those without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnonymousCondition {
    /// The whole path.
    #[serde(default)]
    pub path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    jwt: Vec<Jwt>,
    #[serde(default)]
    anonymous: Option<AnonymousConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Jwt {
    #[serde(default)]
    pub(super) issuer: Issuer,
    #[serde(default)]
    pub(super) claim_validation_rules: Vec<ClaimRule>,
    #[serde(default)]
    pub(super) claim_mappings: Mappings,
    #[serde(default)]
    pub(super) user_validation_rules: Vec<UserRule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ClaimRule {
    #[serde(default)]
    pub(super) claim: String,
    #[serde(default)]
    pub(super) required_value: String,
    #[serde(default)]
    pub(super) expression: String,
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserRule {
    #[serde(default)]
    pub(super) expression: String,
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mappings {
    #[serde(default)]
    pub(super) username: Mapping,
    #[serde(default)]
    pub(super) groups: Mapping,
    #[serde(default)]
    pub(super) uid: Mapping,
    #[serde(default)]
    pub(super) extra: Vec<Extra>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    #[serde(default)]
    pub(super) claim: String,
    #[serde(default)]
    pub(super) prefix: Option<String>,
    #[serde(default)]
    pub(super) expression: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Extra {
    #[serde(default)]
    pub(super) key: String,
    #[serde(default)]
    pub(super) value_expression: String,
}

impl AuthenticationConfig {
    /// Reads the file. No issuer may be one of `disallowed`, which are those of service accounts.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(content: &[u8], disallowed: &[String]) -> Result<Self, ConfigError> {
        if content.is_empty() {
            return Err(ConfigError("empty config data".to_owned()));
        }
        let malformed = |why: String| ConfigError(format!("strict decoding error: {why}"));
        let text = std::str::from_utf8(content).map_err(|e| malformed(e.to_string()))?;
        let file: File = serde_saphyr::from_str(text).map_err(|e| malformed(e.to_string()))?;
        let version = file.api_version.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix('/'));
        if file.kind != "AuthenticationConfiguration"
            || !version.is_some_and(|v| ["v1", "v1beta1", "v1alpha1"].contains(&v))
        {
            return Err(ConfigError(format!(
                "no kind {:?} is registered for version {:?}: write apiVersion: {GROUP}/v1 and kind: AuthenticationConfiguration",
                file.kind, file.api_version
            )));
        }
        let mut found = Found::default();
        if file.jwt.len() > MOST_ISSUERS {
            found.add(FieldError::too_many("jwt", file.jwt.len(), MOST_ISSUERS));
        }
        let (mut urls, mut discoveries) = (BTreeSet::new(), BTreeSet::new());
        let mut jwt = Vec::new();
        for (i, one) in file.jwt.into_iter().enumerate() {
            let at = format!("jwt[{i}]");
            if !urls.insert(one.issuer.url.clone()) {
                found.add(FieldError::duplicate(format!("{at}.issuer.url"), one.issuer.url.clone()));
            }
            if let Some(discovery) = &one.issuer.discovery_url
                && !discoveries.insert(discovery.clone())
            {
                found.add(FieldError::duplicate(format!("{at}.issuer.discoveryURL"), discovery.clone()));
            }
            jwt.push(compile(one, &at, disallowed, &mut found));
        }
        if let Some(anonymous) = &file.anonymous
            && !anonymous.enabled
            && !anonymous.conditions.is_empty()
        {
            let why = "enabled should be set to true when conditions are defined";
            found.add(FieldError::invalid("anonymous.conditions", "", why));
        }
        found.outcome()?;
        Ok(Self { jwt, anonymous: file.anonymous })
    }

    /// The same, if it says of anonymous requests what the file said at start.
    ///
    /// # Errors
    /// It says something else.
    pub(super) fn with_anonymous(self, at_start: Option<&AnonymousConfig>) -> Result<Self, ConfigError> {
        let mut found = Found::default();
        if self.anonymous.as_ref() != at_start {
            found.add(FieldError::forbidden("anonymous", "changed from initial configuration file"));
        }
        found.outcome().map(|()| self)
    }
}
