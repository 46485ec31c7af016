//! A bootstrap token as a configuration asks for it (`bootstrapTokens` of InitConfiguration).

use std::time::Duration;

use api::duration;
use pki::token::{BootstrapToken, TokenSecret, is_group};
use serde_json::{Value, json};
use world::{Wall, rfc3339};

use crate::{
    certs::after,
    config::parse_duration,
    documents::{ConfigError, texts},
    paths::{NODE_TOKEN_GROUP, TOKEN_TTL},
};

/// What a token may be used for, in the order in which upstream names them.
pub(crate) const USAGES: &[&str] = &["signing", "authentication"];

/// A token to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSpec {
    /// The token; a random one when absent.
    pub token: Option<BootstrapToken>,
    /// For people.
    pub description: String,
    /// How long it lives; zero for ever. `expires` wins.
    pub ttl: Duration,
    /// Until when it lives.
    pub expires: Option<Wall>,
    /// `signing`, `authentication` or both.
    pub usages: Vec<String>,
    /// Extra groups of who authenticates with it.
    pub groups: Vec<String>,
}

impl Default for TokenSpec {
    fn default() -> Self {
        Self {
            token: None,
            description: String::new(),
            ttl: TOKEN_TTL,
            expires: None,
            usages: USAGES.iter().map(|usage| (*usage).to_owned()).collect(),
            groups: vec![NODE_TOKEN_GROUP.to_owned()],
        }
    }
}

impl TokenSpec {
    /// Reads the `n`th entry of the list.
    pub(crate) fn read(n: usize, value: &Value) -> Result<Self, ConfigError> {
        let at = |field: &str| format!("bootstrapTokens[{n}].{field}");
        let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
        let mut spec = Self::default();
        if let Some(token) = text("token") {
            let token = token.parse().map_err(|e| ConfigError::invalid(at("token"), format!("{e}")))?;
            spec.token = Some(token);
        }
        if let Some(words) = text("description") {
            spec.description = words.to_owned();
        }
        match (text("ttl"), text("expires")) {
            (Some(_), Some(_)) => {
                return Err(ConfigError::invalid(at("ttl"), "ttl and expires are mutually exclusive"));
            }
            (Some(ttl), None) => spec.ttl = parse_duration(&at("ttl"), ttl)?,
            (None, Some(expires)) => {
                let expires = expires.parse().map_err(|_| {
                    ConfigError::invalid(at("expires"), format!("{expires:?} is not an RFC 3339 date"))
                })?;
                spec.expires = Some(expires);
            }
            (None, None) => {}
        }
        if value.get("usages").is_some_and(Value::is_array) {
            spec.usages = texts(value.get("usages"));
        }
        if value.get("groups").is_some_and(Value::is_array) {
            spec.groups = texts(value.get("groups"));
        }
        check_usages(&at("usages"), &spec.usages)?;
        check_groups(&at("groups"), &spec.groups, &spec.usages)?;
        Ok(spec)
    }

    /// The entry as every version writes it.
    pub(crate) fn to_value(&self) -> Value {
        let mut entry = json!({"groups": self.groups, "usages": self.usages});
        if let Some(token) = &self.token {
            entry["token"] = token.reveal().into();
        }
        match self.expires {
            Some(at) => entry["expires"] = rfc3339(at).into(),
            None => entry["ttl"] = duration::format(self.ttl).into(),
        }
        if !self.description.is_empty() {
            entry["description"] = self.description.clone().into();
        }
        entry
    }

    /// The Secret of a token that is decided, made at an instant.
    pub(crate) fn secret(&self, now: Wall) -> Option<TokenSecret> {
        let allows = |usage: &str| self.usages.iter().any(|u| u == usage);
        Some(TokenSecret {
            token: self.token.clone()?,
            description: self.description.clone(),
            expiration: self.expires.or((!self.ttl.is_zero()).then(|| after(now, self.ttl))),
            signing: allows("signing"),
            authentication: allows("authentication"),
            groups: self.groups.clone(),
        })
    }
}

/// Refuses what no token may be used for.
pub(crate) fn check_usages(field: &str, usages: &[String]) -> Result<(), ConfigError> {
    let unknown: Vec<&str> = usages.iter().map(String::as_str).filter(|u| !USAGES.contains(u)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Refused(format!(
        "{field}: Invalid value: {}: invalid bootstrap token usage string: {}, valid usage options: {}",
        Value::from(usages.to_vec()),
        unknown.join(","),
        USAGES.join(",")
    )))
}

/// Refuses groups that no token may bring.
pub(crate) fn check_groups(field: &str, groups: &[String], usages: &[String]) -> Result<(), ConfigError> {
    let refuse = |why: String| {
        Err(ConfigError::Refused(format!("{field}: Invalid value: {}: {why}", Value::from(groups.to_vec()))))
    };
    if !groups.is_empty() && !usages.iter().any(|u| u == "authentication") {
        return refuse(
            "token groups cannot be specified unless --usages includes \"authentication\"".to_owned(),
        );
    }
    match groups.iter().find(|group| !is_group(group)) {
        None => Ok(()),
        Some(bad) => refuse(format!(
            "bootstrap group {bad:?} is invalid (must match \\Asystem:bootstrappers:[a-z0-9:-]{{0,255}}[a-z0-9]\\z)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usages_and_groups_are_checked_in_kubeadms_words() {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let all = own(USAGES);
        check_usages("bootstrapTokens[0].usages", &all).expect("fine");
        let e =
            check_usages("bootstrapTokens[0].usages", &own(&["signing", "cooking"])).expect_err("unknown");
        assert_eq!(
            e.to_string(),
            "bootstrapTokens[0].usages: Invalid value: [\"signing\",\"cooking\"]: invalid bootstrap token usage string: \
             cooking, valid usage options: signing,authentication"
        );
        check_groups("bootstrapTokens[0].groups", &own(&[NODE_TOKEN_GROUP]), &all).expect("fine");
        let e =
            check_groups("bootstrapTokens[0].groups", &own(&["system:masters"]), &all).expect_err("refused");
        assert!(e.to_string().contains("bootstrap group \"system:masters\" is invalid (must match"), "{e}");
        check_groups("bootstrapTokens[0].groups", &own(&[NODE_TOKEN_GROUP]), &own(&["signing"]))
            .expect_err("groups are of who authenticates");
    }
}
