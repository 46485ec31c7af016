//! The file of `--authorization-config`, read strictly: what nobody knows is refused.

use api::object::ObjectExt as _;
use serde_json::{Value, json};

const GROUP: &str = "apiserver.config.k8s.io";
const KIND: &str = "AuthorizationConfiguration";

/// The versions of the form, with the minor in which each begins.
const VERSIONS: &[(&str, u16)] = &[("v1alpha1", 29), ("v1beta1", 30), ("v1", 32)];

/// Every field that there is, by where it is; `[]` stands for any place of a list.
const FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "authorizers",
    "authorizers[]",
    "authorizers[].type",
    "authorizers[].name",
    "authorizers[].webhook",
    "authorizers[].webhook.authorizedTTL",
    "authorizers[].webhook.cacheAuthorizedRequests",
    "authorizers[].webhook.unauthorizedTTL",
    "authorizers[].webhook.cacheUnauthorizedRequests",
    "authorizers[].webhook.timeout",
    "authorizers[].webhook.subjectAccessReviewVersion",
    "authorizers[].webhook.matchConditionSubjectAccessReviewVersion",
    "authorizers[].webhook.failurePolicy",
    "authorizers[].webhook.connectionInfo",
    "authorizers[].webhook.connectionInfo.type",
    "authorizers[].webhook.connectionInfo.kubeConfigFile",
    "authorizers[].webhook.matchConditions",
    "authorizers[].webhook.matchConditions[]",
    "authorizers[].webhook.matchConditions[].expression",
];

/// Reads YAML or JSON. An empty file is an empty configuration.
pub(super) fn read(minor: u16, content: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8 text".to_owned())?;
    if text.is_empty() {
        return Ok(json!({}));
    }
    let value: Value = serde_saphyr::from_str(text).map_err(|e| {
        format!("error converting YAML to JSON: {}", e.to_string().lines().next().unwrap_or_default())
    })?;
    if value.kind().is_empty() {
        return Err(format!("Object 'Kind' is missing in '{value}'"));
    }
    if value.api_version().is_empty() {
        return Err(format!("Object 'apiVersion' is missing in '{value}'"));
    }
    let version = value.api_version().strip_prefix(GROUP).and_then(|v| v.strip_prefix('/'));
    let known = VERSIONS.iter().any(|(known, since)| Some(*known) == version && minor >= *since);
    if value.kind() != KIND || !known {
        return Err(format!(
            "no kind {:?} is registered for version {:?} in scheme \"k8s.io/apiserver/pkg/apis/apiserver/load/load.go\"",
            value.kind(),
            value.api_version()
        ));
    }
    let mut unknown = Vec::new();
    look_through(&value, "", "", &mut unknown);
    if unknown.is_empty() {
        return Ok(value);
    }
    let unknown: Vec<String> = unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    Err(format!("strict decoding error: {}", unknown.join(", ")))
}

fn look_through(value: &Value, shown: &str, known: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let under = |at: &str| if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                let (shown, known) = (under(shown), under(known));
                if FIELDS.contains(&known.as_str()) {
                    look_through(value, &shown, &known, unknown);
                } else {
                    unknown.push(shown);
                }
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                look_through(item, &format!("{shown}[{n}]"), &format!("{known}[]"), unknown);
            }
        }
        _ => {}
    }
}
