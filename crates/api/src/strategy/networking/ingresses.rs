//! Ingresses and their classes.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    super::{Strategy, check::Complaints, fill::fill_text, path::Path},
    GROUP, SPEC, segment,
};
use crate::{names, object::ObjectExt};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const CONTROLLER_MAX: usize = 250;
const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];
const NO_ADDRESS: &str = "must be a DNS name, not an IP address";
/// Characters of a path after a controller's domain, as upstream's expression has them.
const PATH_CHARACTERS: &str = "/-._~%!$&'()*+,;=:";

pub(super) const INGRESS: Strategy = Strategy {
    create: |_, ingress, _| ingress.set_at("/status", json!({"loadBalancer": {}})),
    validate: validate_ingress,
    validate_update: |new, _, subresource, complaints| {
        if subresource == "status" {
            validate_status(new, complaints);
        }
    },
    ..Strategy::of(GROUP, "Ingress")
};

pub(super) const CLASS: Strategy = Strategy {
    default: |class| {
        if class.map_at("/spec/parameters").is_some() {
            fill_text(class, "/spec/parameters/scope", "Cluster");
        }
    },
    validate: validate_class,
    validate_update: |new, old, _, complaints| {
        complaints.immutable(SPEC.child("controller"), new, old, "/spec/controller");
    },
    ..Strategy::of(GROUP, "IngressClass")
};

fn validate_ingress(ingress: &Value, complaints: &mut Complaints) {
    let rules = ingress.list_at("/spec/rules");
    let backend = ingress.at("/spec/defaultBackend");
    if rules.is_empty() && backend.is_none() {
        complaints.invalid(SPEC, rules.to_vec(), "either `defaultBackend` or `rules` must be specified");
    }
    if let Some(backend) = backend {
        validate_backend(backend, SPEC.child("defaultBackend"), complaints);
    }
    let list = SPEC.child("rules");
    for (index, rule) in rules.iter().enumerate() {
        validate_rule(rule, list.index(index), complaints);
    }
    let list = SPEC.child("tls");
    for (index, tls) in ingress.list_at("/spec/tls").iter().enumerate() {
        let at = list.index(index);
        let hosts = at.child("hosts");
        for (index, name) in tls.list_at("/hosts").iter().enumerate() {
            host(name.as_str().unwrap_or_default(), hosts.index(index), complaints);
        }
        complaints.optional_name(at.child("secretName"), tls.str_at("/secretName"), names::dns1123_subdomain);
    }
    if let Some(class) = ingress.at("/spec/ingressClassName").and_then(Value::as_str) {
        complaints.each(SPEC.child("ingressClassName"), class, names::dns1123_subdomain(class));
        // Only a new ingress is asked to be of one mind; old ones may have been written by two tools.
        let annotation = ingress.annotation(CLASS_ANNOTATION);
        if ingress.resource_version().is_empty() && annotation.is_some_and(|given| given != class) {
            let at = Path::root("annotations");
            let detail = "must match `ingressClassName` when both are specified";
            complaints.invalid(at.child(CLASS_ANNOTATION), annotation.unwrap_or_default(), detail);
        }
    }
}

fn host(host: &str, at: Path<'_>, complaints: &mut Complaints) {
    if host.contains('*') {
        complaints.each(at, host, names::wildcard_subdomain(host));
    } else {
        complaints.each(at, host, names::dns1123_subdomain(host));
    }
}

fn validate_rule(rule: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let name = rule.str_at("/host");
    if !name.is_empty() {
        if name.parse::<IpAddr>().is_ok() {
            complaints.invalid(at.child("host"), name, NO_ADDRESS);
        }
        host(name, at.child("host"), complaints);
    }
    if rule.map_at("/http").is_none() {
        return;
    }
    let http = at.child("http");
    let list = http.child("paths");
    let paths = rule.list_at("/http/paths");
    if paths.is_empty() {
        complaints.required(list, "");
    }
    for (index, path) in paths.iter().enumerate() {
        validate_path(path, list.index(index), complaints);
    }
}

fn validate_path(path: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let text = path.str_at("/path");
    let Some(kind) = path.at("/pathType").and_then(Value::as_str) else {
        return complaints.required(at.child("pathType"), "pathType must be specified");
    };
    let absolute = text.starts_with('/');
    match kind {
        "Exact" | "Prefix" => {
            let at = at.child("path");
            if !absolute {
                complaints.invalid(at, text, "must be an absolute path");
            }
            for sequence in ["//", "/./", "/../", "%2f", "%2F"] {
                if text.contains(sequence) {
                    complaints.invalid(at, text, format!("must not contain '{sequence}'"));
                }
            }
            for suffix in ["/..", "/."] {
                if text.ends_with(suffix) {
                    complaints.invalid(at, text, format!("cannot end with '{suffix}'"));
                }
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !absolute {
                complaints.invalid(at.child("path"), text, "must be an absolute path");
            }
        }
        other => complaints.not_supported(at.child("pathType"), other, PATH_TYPES),
    }
    validate_backend(path.at("/backend").unwrap_or(&Value::Null), at.child("backend"), complaints);
}

fn validate_backend(backend: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let resource = backend.get("resource").filter(|resource| resource.is_object());
    let service = backend.get("service").filter(|service| service.is_object());
    match (resource, service) {
        (Some(_), Some(_)) => complaints.invalid(at, "", "cannot set both resource and service backends"),
        (Some(resource), None) => {
            let at = at.child("resource");
            complaints.optional_name(
                at.child("apiGroup"),
                resource.str_at("/apiGroup"),
                names::dns1123_subdomain,
            );
            complaints.name(at.child("kind"), resource.str_at("/kind"), segment);
            complaints.name(at.child("name"), resource.str_at("/name"), segment);
        }
        (None, Some(service)) => {
            let own = at.child("service");
            complaints.name(own.child("name"), service.str_at("/name"), names::dns1035_label);
            let (name, number) = (service.str_at("/port/name"), service.i64_at("/port/number").unwrap_or(0));
            let port = own.child("port");
            match (name.is_empty(), number) {
                (true, 0) => complaints.required(at, "port name or number is required"),
                (true, number) => complaints.port(port.child("number"), number),
                (false, 0) => complaints.each(port.child("name"), name, names::port_name(name)),
                (false, _) => complaints.invalid(at, "", "cannot set both port name & port number"),
            }
        }
        (None, None) => complaints.invalid(at, "", "resource or service backend is required"),
    }
}

fn validate_status(ingress: &Value, complaints: &mut Complaints) {
    let list = Path::root("status.loadBalancer.ingress");
    for (index, point) in ingress.list_at("/status/loadBalancer/ingress").iter().enumerate() {
        let at = list.index(index);
        let (ip, name) = (point.str_at("/ip"), point.str_at("/hostname"));
        if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
            complaints.each(at.child("ip"), ip, names::ip_address(ip));
        }
        complaints.optional_name(at.child("hostname"), name, names::dns1123_subdomain);
        if name.parse::<IpAddr>().is_ok() {
            complaints.invalid(at.child("hostname"), name, NO_ADDRESS);
        }
    }
}

fn validate_class(class: &Value, complaints: &mut Complaints) {
    let (at, controller) = (SPEC.child("controller"), class.str_at("/spec/controller"));
    if controller.is_empty() {
        complaints.required(at, "");
    } else {
        if controller.len() > CONTROLLER_MAX {
            complaints.too_long(at, CONTROLLER_MAX);
        }
        domain_path(controller, at, complaints);
    }
    let Some(parameters) = class.at("/spec/parameters").filter(|parameters| parameters.is_object()) else {
        return;
    };
    let at = SPEC.child("parameters");
    complaints.optional_name(at.child("apiGroup"), parameters.str_at("/apiGroup"), names::dns1123_subdomain);
    complaints.name(at.child("kind"), parameters.str_at("/kind"), segment);
    complaints.name(at.child("name"), parameters.str_at("/name"), segment);
    let namespace = parameters.at("/namespace").and_then(Value::as_str);
    match (parameters.str_at("/scope"), namespace) {
        ("Namespace", None) => {
            complaints.required(at.child("namespace"), "`parameters.scope` is set to 'Namespace'");
        }
        ("Namespace", Some(name)) => complaints.each(at.child("namespace"), name, names::dns1123_label(name)),
        ("Cluster", Some(_)) => {
            complaints.forbidden(at.child("namespace"), "`parameters.scope` is set to 'Cluster'");
        }
        ("Cluster", None) => {}
        (other, _) => complaints.not_supported(at.child("scope"), other, &["Cluster", "Namespace"]),
    }
}

/// `acme.io/foo`
fn domain_path(text: &str, at: Path<'_>, complaints: &mut Complaints) {
    let Some((domain, path)) = text.split_once('/').filter(|(a, b)| !a.is_empty() && !b.is_empty()) else {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        return complaints.invalid(at, text, detail);
    };
    complaints.each(at, domain, names::dns1123_subdomain(domain));
    if !path.chars().all(|c| c.is_ascii_alphanumeric() || PATH_CHARACTERS.contains(c)) {
        let detail = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        complaints.invalid(at, path, detail);
    }
}
