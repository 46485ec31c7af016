//! What earlier releases were born with: the tables are the newest release's, and here is what it had not yet.
//!
//! Known is what people meet: discovery, who is anonymous, who am I, aggregation, the signers' approvers. The roles of
//! controllers and of the scheduler are the newest ones in every release, for so are the loops here that need them.

use api::object::ObjectExt as _;
use serde_json::{Value, json};

/// Roles that came later, with the first minor that has them.
const SINCE: &[(&str, u16)] = &[
    ("system:aggregate-to-admin", AGGREGATION),
    ("system:aggregate-to-edit", AGGREGATION),
    ("system:aggregate-to-view", AGGREGATION),
    ("system:public-info-viewer", PUBLIC_INFO),
    ("system:certificates.k8s.io:legacy-unknown-approver", 18),
    ("system:certificates.k8s.io:kubelet-serving-approver", 18),
    ("system:certificates.k8s.io:kube-apiserver-client-approver", 18),
    ("system:certificates.k8s.io:kube-apiserver-client-kubelet-approver", 18),
    // Not looked up to the minor.
    ("system:monitoring", 20),
    ("system:service-account-issuer-discovery", 20),
];

/// `admin`, `edit` and `view` are sums of others from here on, and hold their rules themselves before.
const AGGREGATION: u16 = 9;
/// Who is anonymous sees the version and the health from here on, and all of discovery before.
const PUBLIC_INFO: u16 = 14;
/// `/livez` and `/readyz`.
const LIVEZ: u16 = 16;
/// `/metrics/slis`.
const SLIS: u16 = 26;
/// `selfsubjectreviews` is for everybody.
const WHO_AM_I: u16 = 28;

/// Whether a release is born with the role, and the binding of its name.
pub(super) fn has(minor: u16, role: &str) -> bool {
    SINCE.iter().all(|(name, since)| *name != role || minor >= *since)
}

/// The cluster role as a release has it, if it does.
pub(super) fn cluster_role(minor: u16, role: &Value) -> Option<Value> {
    if !has(minor, role.name()) {
        return None;
    }
    let mut role = role.clone();
    if minor < AGGREGATION {
        role.remove_at("/aggregationRule");
        if let Some(labels) = role.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.retain(|label, _| !label.contains("/aggregate-to-"));
        }
    }
    let name = role.name().to_owned();
    let rules = role.get_mut("rules").and_then(Value::as_array_mut)?;
    if name == "system:basic-user" && minor < WHO_AM_I {
        rules.retain(|rule| rule["resources"] != json!(["selfsubjectreviews"]));
    }
    for urls in
        rules.iter_mut().filter_map(|rule| rule.get_mut("nonResourceURLs")).filter_map(Value::as_array_mut)
    {
        urls.retain(|url| {
            let url = url.as_str().unwrap_or_default();
            let is_of = |paths: &[&str]| paths.iter().any(|path| url.starts_with(path));
            !(minor < LIVEZ && is_of(&["/livez", "/readyz"]) || minor < SLIS && url == "/metrics/slis")
        });
        if name == "system:discovery" && minor < PUBLIC_INFO {
            urls.extend(
                ["/swagger-2.0.0.pb-v1", "/swagger.json", "/swaggerapi", "/swaggerapi/*"].map(Value::from),
            );
            urls.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
    }
    Some(role)
}

/// The cluster role binding as a release has it, if it does.
pub(super) fn cluster_role_binding(minor: u16, mut binding: Value) -> Option<Value> {
    if !has(minor, binding.str_at("/roleRef/name")) {
        return None;
    }
    let everybodys = matches!(binding.name(), "system:basic-user" | "system:discovery");
    if minor < PUBLIC_INFO
        && everybodys
        && let Some(subjects) = binding.get_mut("subjects").and_then(Value::as_array_mut)
        && let Some(mut anonymous) = subjects.first().cloned()
    {
        anonymous["name"] = "system:unauthenticated".into();
        subjects.push(anonymous);
    }
    Some(binding)
}
