//! How a definition's versions become one another: by name only, or by a webhook that can be reached.

use serde_json::Value;

use super::super::{check::Complaints, path::Path};
use crate::{names, object::ObjectExt};

const SPEC: Path<'static> = Path::root("spec");

pub(super) fn validate(definition: &Value, complaints: &mut Complaints) {
    let at = SPEC.child("conversion");
    let Some(conversion) = definition.at("/spec/conversion") else { return };
    let strategy = conversion.str_at("/strategy");
    complaints.one_of(at.child("strategy"), strategy, &["None", "Webhook"]);
    let webhook = conversion.at("/webhook/clientConfig");
    let versions = conversion.list_at("/webhook/conversionReviewVersions");
    let (config_at, versions_at) = (at.child("webhookClientConfig"), at.child("conversionReviewVersions"));
    if strategy != "Webhook" {
        let words = "should not be set when strategy is not set to Webhook";
        if webhook.is_some() {
            complaints.forbidden(config_at, words);
        }
        if !versions.is_empty() {
            complaints.forbidden(versions_at, words);
        }
        return;
    }
    match webhook {
        None => complaints.required(config_at, "required when strategy is set to Webhook"),
        Some(config) => client_config(config, config_at, complaints),
    }
    if versions.is_empty() {
        complaints.required(versions_at, "");
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        let name = version.as_str().unwrap_or_default();
        if versions.iter().take(index).any(|earlier| earlier == version) {
            complaints.invalid(versions_at.index(index), name, "duplicate version");
        } else {
            complaints.each(versions_at.index(index), name, names::dns1035_label(name));
        }
    }
    if !versions.iter().any(|version| matches!(version.as_str(), Some("v1" | "v1beta1"))) {
        complaints.invalid(versions_at, versions.to_vec(), "must include at least one of v1, v1beta1");
    }
}

/// Where a webhook is: a URL or a service, and who signs for it.
fn client_config(config: &Value, at: Path<'_>, complaints: &mut Complaints) {
    match (config.get("url").and_then(Value::as_str), config.get("service")) {
        (Some(_), Some(_)) | (None, None) => {
            complaints.required(at, "exactly one of url or service is required");
        }
        (Some(url), None) => webhook_url(url, at.child("url"), complaints),
        (None, Some(service)) => {
            let at = at.child("service");
            for field in ["name", "namespace"] {
                if service.str_at(&format!("/{field}")).is_empty() {
                    complaints.required(at.child(field), &format!("service {field} is required"));
                }
            }
            if let Some(port) = service.i64_at("/port")
                && !(1..=65535).contains(&port)
            {
                let words = "port is not valid: must be between 1 and 65535, inclusive";
                complaints.invalid(at.child("port"), port, words);
            }
            if let Some(path) =
                service.get("path").and_then(Value::as_str).filter(|path| !path.starts_with('/'))
            {
                complaints.invalid(at.child("path"), path, "must start with a '/'");
            }
        }
    }
    let bundle = config.str_at("/caBundle");
    if !bundle.is_empty() {
        let pem = crate::object::unbase64(bundle).and_then(|bytes| String::from_utf8(bytes).ok());
        if !pem.is_some_and(|pem| pem.contains("-----BEGIN CERTIFICATE-----")) {
            let words = "unable to load root certificates: unable to parse bytes as PEM block";
            complaints.invalid(at.child("caBundle"), bundle, words);
        }
    }
}

fn webhook_url(url: &str, at: Path<'_>, complaints: &mut Complaints) {
    let form = "desired format: https://host[:port]/path";
    let Some((scheme, rest)) = url.split_once("://") else {
        let words = format!("'https' is the only allowed URL scheme; {form}");
        return complaints.invalid(at, url, words);
    };
    if scheme != "https" {
        complaints.invalid(at, scheme, format!("'https' is the only allowed URL scheme; {form}"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        complaints.invalid(at, authority, format!("host must be specified; {form}"));
    }
    if let Some((user, _)) = authority.split_once('@') {
        complaints.invalid(at, user, "user information is not permitted in the URL");
    }
    if let Some((_, fragment)) = rest.split_once('#') {
        complaints.invalid(at, fragment, "fragments are not permitted in the URL");
    }
    if let Some((_, query)) = rest.split('#').next().and_then(|rest| rest.split_once('?')) {
        complaints.invalid(at, query, "query parameters are not permitted in the URL");
    }
}
