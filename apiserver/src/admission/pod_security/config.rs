//! The section `PodSecurity` of the admission configuration: what counts where nothing is said, and who is
//! exempt.

use std::collections::BTreeSet;

use api::status::{FieldError, Status};
use serde::Deserialize;
use serde_json::Value;

use super::policy::{Level, LevelVersion, Policy, Version};

const GROUP: &str = "pod-security.admission.config.k8s.io/";
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];
const KIND: &str = "PodSecurityConfiguration";

/// Defaults and exemptions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) defaults: Policy,
    pub(super) usernames: BTreeSet<String>,
    pub(super) namespaces: BTreeSet<String>,
    pub(super) runtime_classes: BTreeSet<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            defaults: Policy::PRIVILEGED,
            usernames: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            runtime_classes: BTreeSet::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    kind: String,
    api_version: String,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    exemptions: Exemptions,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Defaults {
    enforce: String,
    enforce_version: String,
    audit: String,
    audit_version: String,
    warn: String,
    warn_version: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Exemptions {
    usernames: Vec<String>,
    namespaces: Vec<String>,
    runtime_classes: Vec<String>,
}

impl Config {
    /// Reads a section; unknown fields are mistakes.
    ///
    /// # Errors
    /// All that is wrong with it, in upstream's words.
    pub(super) fn read(section: &Value) -> Result<Self, String> {
        let written: Written =
            serde_json::from_value(section.clone()).map_err(|e| format!("strict decoding error: {e}"))?;
        let known = written.api_version.strip_prefix(GROUP).is_some_and(|v| VERSIONS.contains(&v));
        if written.kind != KIND || !known {
            return Err(format!(
                "no kind {:?} is registered for version {:?}: write kind {KIND} of {GROUP}{}",
                written.kind, written.api_version, VERSIONS[0]
            ));
        }
        let mut wrong = Vec::new();
        let defaults = policy(&written.defaults, &mut wrong);
        let exempt = &written.exemptions;
        let usernames = set("exemptions.usernames", &exempt.usernames, &mut wrong, |name| {
            name.is_empty().then(|| "username must not be empty".to_owned())
        });
        let namespaces = set("exemptions.namespaces", &exempt.namespaces, &mut wrong, |name| {
            api::names::NameRule::Label.check(name, false).into_iter().next()
        });
        let runtime_classes = set("exemptions.runtimeClasses", &exempt.runtime_classes, &mut wrong, |name| {
            api::names::NameRule::Subdomain.check(name, false).into_iter().next()
        });
        if wrong.is_empty() {
            return Ok(Self { defaults, usernames, namespaces, runtime_classes });
        }
        Err(joined(wrong))
    }
}

/// Complaints as one sentence, as a list of errors is written.
pub(in crate::admission) fn joined(wrong: Vec<FieldError>) -> String {
    let message = Status::invalid("", "", wrong).message;
    message.strip_prefix(" \"\" is invalid: ").map(str::to_owned).unwrap_or(message)
}

fn policy(written: &Defaults, wrong: &mut Vec<FieldError>) -> Policy {
    let mut mode = |name: &str, level: &str, version: &str| {
        let mut held = LevelVersion::PRIVILEGED;
        if !level.is_empty() {
            match Level::parse(level) {
                Ok(level) => held.level = level,
                Err(why) => wrong.push(FieldError::invalid(format!("defaults.{name}"), level, why)),
            }
        }
        if !version.is_empty() {
            match Version::parse(version) {
                Ok(version) => held.version = version,
                Err(why) => wrong.push(FieldError::invalid(format!("defaults.{name}-version"), version, why)),
            }
        }
        held
    };
    Policy {
        enforce: mode("enforce", &written.enforce, &written.enforce_version),
        warn: mode("warn", &written.warn, &written.warn_version),
        audit: mode("audit", &written.audit, &written.audit_version),
    }
}

fn set(
    field: &str,
    written: &[String],
    wrong: &mut Vec<FieldError>,
    complaint: impl Fn(&str) -> Option<String>,
) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for (at, name) in written.iter().enumerate() {
        let field = format!("{field}[{at}]");
        if let Some(why) = complaint(name) {
            wrong.push(FieldError::invalid(field, name.as_str(), why));
        } else if !held.insert(name.clone()) {
            wrong.push(FieldError::duplicate(field, name.as_str()));
        }
    }
    held
}
