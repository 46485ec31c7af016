//! What the server alone knows of a new CertificateSigningRequest: who asks, and whether the request
//! is signed by the key that it carries (`pkg/registry/certificates/certificates/strategy.go`).

use api::{status::FieldError, strategy::certificates};
use pki::csr::Csr;
use serde_json::{Value, json};

use crate::identity::User;

/// Writes the requester over whatever the client claimed.
pub(super) fn stamp(csr: &mut Value, user: &User) {
    let extra = user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
    certificates::stamp_requester(csr, &user.name, &user.uid, &user.groups, &extra);
}

/// Complaints about the X.509 part; its envelope is the strategy's business.
pub(super) fn validate(csr: &Value) -> Option<FieldError> {
    let der = certificates::request_der(csr).ok()?;
    let why = Csr::from_der(&der).err()?;
    let request = csr.pointer("/spec/request").cloned().unwrap_or_default();
    Some(FieldError::invalid("spec.request", request, why.to_string()))
}
