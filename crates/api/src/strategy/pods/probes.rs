//! Probes and lifecycle hooks: exactly one handler, sensible numbers.

use serde_json::Value;

use super::super::{check::Complaints, path::Path};
use crate::object::ObjectExt;

/// A probe. Only readiness may need several successes.
pub(super) fn probe(probe: &Value, at: Path<'_>, readiness: bool, complaints: &mut Complaints) {
    handler(probe, at, &["exec", "httpGet", "tcpSocket", "grpc"], complaints);
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        complaints.non_negative(at.child(field), probe.i64_at(&format!("/{field}")));
    }
    if let Some(grace) = probe.i64_at("/terminationGracePeriodSeconds") {
        let at = at.child("terminationGracePeriodSeconds");
        if readiness {
            complaints.invalid(at, grace, "must not be set for readinessProbes");
        } else if grace <= 0 {
            complaints.invalid(at, grace, "must be greater than 0");
        }
    }
    let successes = probe.i64_at("/successThreshold").unwrap_or(1);
    if !readiness && successes != 1 {
        complaints.invalid(at.child("successThreshold"), successes, "must be 1");
    }
}

/// A `postStart` or `preStop` hook.
pub(super) fn hook(hook: &Value, at: Path<'_>, complaints: &mut Complaints) {
    handler(hook, at, &["exec", "httpGet", "tcpSocket", "sleep"], complaints);
}

fn handler(object: &Value, at: Path<'_>, kinds: &[&str], complaints: &mut Complaints) {
    let mut found = false;
    for kind in kinds {
        let Some(handler) = object.at(&format!("/{kind}")).filter(|handler| handler.is_object()) else {
            continue;
        };
        let at = at.child(kind);
        if found {
            complaints.forbidden(at, "may not specify more than 1 handler type");
            continue;
        }
        found = true;
        match *kind {
            "exec" if handler.list_at("/command").is_empty() => complaints.required(at.child("command"), ""),
            "httpGet" => {
                complaints.name(at.child("path"), handler.str_at("/path"), |_| Vec::new());
                complaints.port_or_name(at.child("port"), handler.at("/port"));
                complaints.one_of(at.child("scheme"), handler.str_at("/scheme"), &["HTTP", "HTTPS"]);
            }
            "tcpSocket" => complaints.port_or_name(at.child("port"), handler.at("/port")),
            "grpc" => complaints.port(at.child("port"), handler.i64_at("/port").unwrap_or(0)),
            _ => {}
        }
    }
    if !found {
        complaints.required(at, "must specify a handler type");
    }
}
