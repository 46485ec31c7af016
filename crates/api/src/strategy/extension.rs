//! What extends the API server: API services and webhooks.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Strategy,
    check::Complaints,
    fill::{each, fill, fill_text},
    path::Path,
};
use crate::{kinds::Kind, names, object::ObjectExt};

const SPEC: Path<'static> = Path::root("spec");

pub(super) static STRATEGIES: &[Strategy] = &[
    Strategy {
        default: |service| {
            if service.map_at("/spec/service").is_some() {
                fill(service, "/spec/service/port", 443);
            }
        },
        create: create_service,
        validate: validate_service,
        ..Strategy::of("apiregistration.k8s.io", "APIService")
    },
    Strategy {
        default: |webhooks| {
            default_webhooks(webhooks);
            each(webhooks, "/webhooks")
                .for_each(|webhook| fill_text(webhook, "/reinvocationPolicy", "Never"));
        },
        validate: validate_webhooks,
        ..Strategy::of("admissionregistration.k8s.io", "MutatingWebhookConfiguration")
    },
    Strategy {
        default: default_webhooks,
        validate: validate_webhooks,
        ..Strategy::of("admissionregistration.k8s.io", "ValidatingWebhookConfiguration")
    },
];

/// A local API is there as soon as it is registered.
fn create_service(_kind: &Kind, service: &mut Value, now: Timestamp) {
    service.set_at("/status", json!({}));
    if service.map_at("/spec/service").is_none() {
        let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let condition = json!({"type": "Available", "status": "True", "lastTransitionTime": now, "reason": "Local",
            "message": "Local APIServices are always available"});
        service.set_at("/status/conditions", json!([condition]));
    }
}

fn validate_service(service: &Value, complaints: &mut Complaints) {
    let (group, version) = (service.str_at("/spec/group"), service.str_at("/spec/version"));
    if group.is_empty() && version != "v1" {
        complaints
            .required(SPEC.child("group"), "only v1 may have an empty group and it better be legacy kube");
    }
    complaints.optional_name(SPEC.child("group"), group, names::dns1123_subdomain);
    if version.is_empty() {
        complaints.required(SPEC.child("version"), "");
    } else {
        complaints.each(SPEC.child("version"), version, names::dns1035_label(version));
    }
    let wanted = format!("{version}.{group}");
    if service.name() != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {}", crate::status::quoted(&wanted));
        complaints.invalid(Path::root("metadata.name"), service.name(), detail);
    }
    for (field, bound) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let value = service.i64_at(&format!("/spec/{field}")).unwrap_or(0);
        if value <= 0 || value > bound {
            complaints.invalid(SPEC.child(field), value, format!("must be positive and less than {bound}"));
        }
    }
    let local = service.map_at("/spec/service").is_none();
    let ca = service.str_at("/spec/caBundle");
    let insecure = service.bool_at("/spec/insecureSkipTLSVerify");
    if local {
        if !ca.is_empty() {
            complaints.invalid(
                SPEC.child("caBundle"),
                format!("{} bytes", ca.len()),
                "local APIServices may not have a caBundle",
            );
        }
        if insecure {
            complaints.invalid(
                SPEC.child("insecureSkipTLSVerify"),
                true,
                "local APIServices may not have insecureSkipTLSVerify",
            );
        }
        return;
    }
    let at = SPEC.child("service");
    for field in ["namespace", "name"] {
        if service.str_at(&format!("/spec/service/{field}")).is_empty() {
            complaints.required(at.child(field), "");
        }
    }
    complaints.port(at.child("port"), service.i64_at("/spec/service/port").unwrap_or(0));
    if insecure && !ca.is_empty() {
        complaints.invalid(
            SPEC.child("insecureSkipTLSVerify"),
            true,
            "may not be true if caBundle is present",
        );
    }
}

fn default_webhooks(webhooks: &mut Value) {
    for webhook in each(webhooks, "/webhooks") {
        fill_text(webhook, "/failurePolicy", "Fail");
        fill_text(webhook, "/matchPolicy", "Equivalent");
        fill(webhook, "/namespaceSelector", json!({}));
        fill(webhook, "/objectSelector", json!({}));
        fill(webhook, "/timeoutSeconds", 10);
        if webhook.map_at("/clientConfig/service").is_some() {
            fill(webhook, "/clientConfig/service/port", 443);
        }
        each(webhook, "/rules").for_each(|rule| fill_text(rule, "/scope", "*"));
    }
}

fn validate_webhooks(webhooks: &Value, complaints: &mut Complaints) {
    let list = Path::root("webhooks");
    let all = webhooks.list_at("/webhooks");
    complaints.unique(all, "/name", |index| list.index(index).child("name").to_string());
    for (index, webhook) in all.iter().enumerate() {
        let at = list.index(index);
        let name = webhook.str_at("/name");
        complaints.name(at.child("name"), name, names::dns1123_subdomain);
        if !name.is_empty() && name.split('.').count() < 3 {
            complaints.invalid(
                at.child("name"),
                name,
                "should be a domain with at least three segments separated by dots",
            );
        }
        let versions = webhook.list_at("/admissionReviewVersions");
        if versions.is_empty() {
            complaints.required(at.child("admissionReviewVersions"), "must specify one of v1, v1beta1");
        } else if !versions.iter().any(|version| matches!(version.as_str(), Some("v1" | "v1beta1"))) {
            let detail = "must include at least one of v1, v1beta1";
            complaints.invalid(at.child("admissionReviewVersions"), versions.to_vec(), detail);
        }
        complaints.optional_one_of(
            at.child("reinvocationPolicy"),
            webhook.str_at("/reinvocationPolicy"),
            &["IfNeeded", "Never"],
        );
        let effects = webhook.str_at("/sideEffects");
        complaints.one_of(at.child("sideEffects"), effects, &["None", "NoneOnDryRun"]);
        let policy = webhook.str_at("/failurePolicy");
        complaints.optional_one_of(at.child("failurePolicy"), policy, &["Fail", "Ignore"]);
        complaints.optional_one_of(
            at.child("matchPolicy"),
            webhook.str_at("/matchPolicy"),
            &["Equivalent", "Exact"],
        );
        if let Some(seconds) = webhook.i64_at("/timeoutSeconds")
            && !(1..=30).contains(&seconds)
        {
            let detail = "the timeout value must be between 1 and 30 seconds";
            complaints.invalid(at.child("timeoutSeconds"), seconds, detail);
        }
        let config = webhook.at("/clientConfig").unwrap_or(&Value::Null);
        if config.get("url").is_some() == config.get("service").is_some() {
            complaints.required(at.child("clientConfig"), "exactly one of url or service is required");
        } else if let Some(url) = config.get("url").and_then(Value::as_str) {
            validate_url(url, at.child("clientConfig").child("url"), complaints);
        } else if let Some(service) = config.get("service") {
            validate_webhook_service(service, at.child("clientConfig").child("service"), complaints);
        }
        complaints.label_selector(at.child("namespaceSelector"), webhook.at("/namespaceSelector"));
        complaints.label_selector(at.child("objectSelector"), webhook.at("/objectSelector"));
        validate_rules(webhook, at.child("rules"), complaints);
    }
}

/// `ValidateWebhookURL`.
fn validate_url(url: &str, at: Path<'_>, complaints: &mut Complaints) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or_default() };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if scheme != "https" {
        complaints.invalid(at, scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        complaints.invalid(at, host, format!("host must be specified{FORM}"));
    }
    for (part, what) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !part.is_empty() {
            complaints.invalid(at, part, what);
        }
    }
}

/// `ValidateWebhookService`.
fn validate_webhook_service(service: &Value, at: Path<'_>, complaints: &mut Complaints) {
    for (field, what) in
        [("name", "service name is required"), ("namespace", "service namespace is required")]
    {
        if service.str_at(&format!("/{field}")).is_empty() {
            complaints.required(at.child(field), what);
        }
    }
    let port = service.i64_at("/port").unwrap_or(443);
    let wrong = names::port_number(port);
    if !wrong.is_empty() {
        complaints.invalid(at.child("port"), port, format!("port is not valid: {}", wrong.join(",")));
    }
    let path = service.str_at("/path");
    let at = at.child("path");
    if path.is_empty() || path == "/" {
        return;
    }
    if path == "//" {
        complaints.invalid(at, path, "segment[0] may not be empty");
    }
    if !path.starts_with('/') {
        complaints.invalid(at, path, "must start with a '/'");
    }
    let inner = path.get(1..).unwrap_or_default();
    for (index, step) in inner.strip_suffix('/').unwrap_or(inner).split('/').enumerate() {
        if step.is_empty() {
            complaints.invalid(at, path, format!("segment[{index}] may not be empty"));
            continue;
        }
        for failure in names::dns1123_subdomain(step) {
            complaints.invalid(at, path, format!("segment[{index}]: {failure}"));
        }
    }
}

fn validate_rules(webhook: &Value, list: Path<'_>, complaints: &mut Complaints) {
    for (index, rule) in webhook.list_at("/rules").iter().enumerate() {
        let at = list.index(index);
        for field in ["operations", "apiGroups", "apiVersions", "resources"] {
            let values = rule.list_at(&format!("/{field}"));
            if values.is_empty() {
                complaints.required(at.child(field), "");
            } else if values.len() > 1
                && values.iter().any(|value| value.as_str() == Some("*"))
                && field != "resources"
            {
                complaints.invalid(
                    at.child(field),
                    values.to_vec(),
                    "if '*' is present, must not specify other values",
                );
            }
        }
        let operations = at.child("operations");
        for (index, operation) in rule.list_at("/operations").iter().enumerate() {
            let word = operation.as_str().unwrap_or_default();
            let known = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
            if !known.contains(&word) {
                complaints.not_supported(operations.index(index), word, &known);
            }
        }
    }
}
