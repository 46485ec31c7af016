//! What the file must say, with upstream's complaints, all of them at once.

use std::{path::Path, time::Duration};

use api::{
    duration::{self, DurationError},
    names,
    object::ObjectExt as _,
    status::FieldError,
};
use serde_json::Value;
use world::{Disk, FileKind};

use super::{Configuration, Entry, WebhookEntry};
use crate::authz::{
    Decision, Mode,
    rbac::aggregate,
    webhook::{Conditions, ReviewVersion},
};

const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);
const AUTHORIZED: Duration = Duration::from_secs(300);
const UNAUTHORIZED: Duration = Duration::from_secs(30);
const IN_CLUSTER: &str = "InClusterConfig";
const BY_FILE: &str = "KubeConfigFile";

/// The configuration, or everything that is wrong with it.
pub(super) fn configuration(disk: &Disk, file: &Value) -> Result<Configuration, String> {
    let mut errors = Vec::new();
    let listed = file.list_at("/authorizers");
    if listed.is_empty() {
        errors.push(FieldError::required("authorizers", "at least one authorization mode must be defined"));
    }
    let mut authorizers: Vec<Entry> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut modes: Vec<Mode> = Vec::new();
    for (number, listed) in listed.iter().enumerate() {
        let at = format!("authorizers[{number}]");
        let Some(mode) = mode(&at, listed, &mut modes, &mut errors) else { continue };
        let name = listed.str_at("/name");
        check_name(&at, name, &names, &mut errors);
        names.push(name);
        let given = listed.at("/webhook").filter(|webhook| !webhook.is_null());
        let webhook = match (mode, given) {
            (Mode::Webhook, Some(given)) => webhook(disk, &at, given, &mut errors),
            (Mode::Webhook, None) => {
                errors.push(FieldError::required(format!("{at}.webhook"), "required when type=Webhook"));
                None
            }
            (_, Some(_)) => {
                let why = "may only be specified when type=Webhook";
                errors.push(FieldError::invalid(format!("{at}.webhook"), "non-null", why));
                None
            }
            (_, None) => None,
        };
        authorizers.push(Entry { mode, name: name.to_owned(), webhook });
    }
    if errors.is_empty() {
        return Ok(Configuration { authorizers });
    }
    let mut texts: Vec<String> = Vec::new();
    for error in errors {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    Err(aggregate(&texts))
}

fn mode(at: &str, listed: &Value, seen: &mut Vec<Mode>, errors: &mut Vec<FieldError>) -> Option<Mode> {
    let (field, name) = (format!("{at}.type"), listed.str_at("/type"));
    if name.is_empty() {
        errors.push(FieldError::required(field, ""));
        return None;
    }
    let Some(mode) = Mode::parse(name) else {
        errors.push(FieldError::not_supported(field, name, &Mode::ALL.map(|(name, _)| name)));
        return None;
    };
    if mode != Mode::Webhook && seen.contains(&mode) {
        errors.push(FieldError::duplicate(field, name));
        return None;
    }
    seen.push(mode);
    Some(mode)
}

fn check_name(at: &str, name: &str, seen: &[&str], errors: &mut Vec<FieldError>) {
    let field = format!("{at}.name");
    if name.is_empty() {
        errors.push(FieldError::required(field, ""));
    } else if seen.contains(&name) {
        errors.push(FieldError::duplicate(field, name));
    } else {
        let wrong = names::dns1123_subdomain(name);
        if !wrong.is_empty() {
            let why = format!("authorizer name is invalid: {}", wrong.join(", "));
            errors.push(FieldError::invalid(field, name, why));
        }
    }
}

/// A duration as it is written: none, zero, below zero, or some time.
enum Time {
    None,
    Negative,
    Some(Duration),
}

fn time(given: &Value, at: &str, name: &str, errors: &mut Vec<FieldError>) -> Time {
    let text = given.str_at(&format!("/{name}"));
    if text.is_empty() {
        return Time::None;
    }
    match duration::parse(text) {
        Ok(Duration::ZERO) => Time::None,
        Ok(some) => Time::Some(some),
        Err(DurationError::Negative { .. }) => Time::Negative,
        Err(why) => {
            errors.push(FieldError::invalid(format!("{at}.{name}"), text, why.to_string()));
            Time::None
        }
    }
}

/// How long answers are kept; zero when they are not to be kept at all.
fn life(
    given: &Value,
    at: &str,
    name: &str,
    kept: &str,
    default: Duration,
    errors: &mut Vec<FieldError>,
) -> Duration {
    let some = match time(given, at, name, errors) {
        Time::None => default,
        Time::Some(some) => some,
        Time::Negative => {
            let text = given.str_at(&format!("/{name}"));
            errors.push(FieldError::invalid(format!("{at}.{name}"), text, "must be > 0s"));
            default
        }
    };
    let is_kept = given.at(&format!("/{kept}")).and_then(Value::as_bool).unwrap_or(true);
    if is_kept { some } else { Duration::ZERO }
}

/// One word of several, which must be given.
fn word<T: Copy>(
    given: &Value,
    at: &str,
    name: &str,
    known: &[(&str, T)],
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    let (field, word) = (format!("{at}.{name}"), given.str_at(&format!("/{}", name.replace('.', "/"))));
    if word.is_empty() {
        errors.push(FieldError::required(field, ""));
        return None;
    }
    let found = known.iter().find(|(known, _)| *known == word).map(|(_, value)| *value);
    if found.is_none() {
        let known: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
        errors.push(FieldError::not_supported(field, word, &known));
    }
    found
}

fn webhook(disk: &Disk, at: &str, given: &Value, errors: &mut Vec<FieldError>) -> Option<WebhookEntry> {
    let timeout = match time(given, at, "timeout", errors) {
        Time::Some(some) if some <= LONGEST_TIMEOUT => Some(some),
        Time::None => {
            errors.push(FieldError::required(format!("{at}.timeout"), ""));
            None
        }
        Time::Some(_) | Time::Negative => {
            let text = given.str_at("/timeout");
            errors.push(FieldError::invalid(format!("{at}.timeout"), text, "must be > 0s and <= 30s"));
            None
        }
    };
    let authorized = life(given, at, "authorizedTTL", "cacheAuthorizedRequests", AUTHORIZED, errors);
    let unauthorized = life(given, at, "unauthorizedTTL", "cacheUnauthorizedRequests", UNAUTHORIZED, errors);
    let versions = [("v1", ReviewVersion::V1), ("v1beta1", ReviewVersion::V1beta1)];
    let version = word(given, at, "subjectAccessReviewVersion", &versions, errors);
    let rules = given.list_at("/matchConditions");
    let form = given.str_at("/matchConditionSubjectAccessReviewVersion");
    let field = format!("{at}.matchConditionSubjectAccessReviewVersion");
    match form {
        "" if !rules.is_empty() => {
            errors.push(FieldError::required(field, "required if match conditions are specified"));
        }
        "" | "v1" => {}
        other => errors.push(FieldError::not_supported(field, other, &["v1"])),
    }
    let policies = [("NoOpinion", Decision::NoOpinion), ("Deny", Decision::Deny)];
    let on_error = word(given, at, "failurePolicy", &policies, errors);
    let by_file = word(given, at, "connectionInfo.type", &[(IN_CLUSTER, false), (BY_FILE, true)], errors);
    let kubeconfig = given.str_at("/connectionInfo/kubeConfigFile");
    let field = format!("{at}.connectionInfo.kubeConfigFile");
    match by_file {
        Some(true) => check_file(disk, field, kubeconfig, errors),
        Some(false) if !kubeconfig.is_empty() => {
            errors.push(FieldError::invalid(field, kubeconfig, "can only be set when type=KubeConfigFile"));
        }
        Some(false) => {
            let why = "an apiserver has no in-cluster configuration: name a kubeconfig file with type=KubeConfigFile";
            errors.push(FieldError::invalid(format!("{at}.connectionInfo.type"), IN_CLUSTER, why));
        }
        None => {}
    }
    let conditions: Vec<&str> = rules.iter().map(|rule| rule.str_at("/expression")).collect();
    Conditions::parse(&format!("{at}.matchConditions"), &conditions, errors);
    Some(WebhookEntry {
        kubeconfig: kubeconfig.into(),
        timeout: timeout?,
        authorized,
        unauthorized,
        version: version?,
        on_error: on_error?,
        conditions: conditions.into_iter().map(str::to_owned).collect(),
    })
}

fn check_file(disk: &Disk, field: String, path: &str, errors: &mut Vec<FieldError>) {
    if path.is_empty() {
        errors.push(FieldError::required(field, ""));
    } else if !Path::new(path).is_absolute() {
        errors.push(FieldError::invalid(field, path, "must be an absolute path"));
    } else {
        match disk.stat(path) {
            None => {
                let why = format!("error loading file: stat {path}: no such file or directory");
                errors.push(FieldError::invalid(field, path, why));
            }
            Some(stat) if stat.kind == FileKind::Dir => {
                errors.push(FieldError::invalid(field, path, "must be a regular file"));
            }
            Some(_) => {}
        }
    }
}
