//! Waiting until a certificate signing request is approved and issued, or refused (client-go
//! `util/certificate/csr`: WaitForCertificate).

use std::time::Duration;

use api::object::{ObjectExt as _, unbase64};
use client::{List, ListParams, Resource, Rest, WatchParams};
use serde_json::Value;
use world::Host;

use super::request::{Submitted, V1, V1BETA1};

/// Between two tries to see the request at all.
const RETRY: Duration = Duration::from_secs(1);

/// How a request ended without a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WaitError {
    #[error("timed out waiting for the condition")]
    TimedOut,
    #[error(
        "cannot watch on the certificate signing request: certificate signing request is denied, reason: {reason}, message: {message}"
    )]
    Denied { reason: String, message: String },
    #[error(
        "cannot watch on the certificate signing request: certificate signing request failed, reason: {reason}, message: {message}"
    )]
    Failed { reason: String, message: String },
    #[error("cannot watch on the certificate signing request: csr {0:?} was deleted")]
    Deleted(String),
    #[error("cannot watch on the certificate signing request: csr {0:?} changed UIDs")]
    ChangedUid(String),
    #[error("invalid certificate data: {0}")]
    Data(String),
}

/// The issued certificate as PEM, within `limit`.
pub(crate) async fn issued(
    host: &Host,
    rest: &Rest,
    request: &Submitted,
    limit: Duration,
) -> Result<Vec<u8>, WaitError> {
    let waited = host.clock().timeout(limit, until_decided(host, rest, request)).await;
    waited.unwrap_or(Err(WaitError::TimedOut))
}

async fn until_decided(host: &Host, rest: &Rest, request: &Submitted) -> Result<Vec<u8>, WaitError> {
    let selector = Some(format!("metadata.name={}", request.name));
    loop {
        let (api, list) = listed(host, rest, &selector).await;
        let Some(csr) = list.items.first() else { return Err(WaitError::Deleted(request.name.clone())) };
        if let Some(decided) = decision(host, csr, request) {
            return decided;
        }
        let params = WatchParams {
            field_selector: selector.clone(),
            resource_version: Some(list.resource_version.clone()),
            ..WatchParams::default()
        };
        if let Ok(mut watch) = rest.watch(api, None, &params).await {
            while let Some(Ok(event)) = watch.next().await {
                if event.kind == client::EventKind::Deleted {
                    return Err(WaitError::Deleted(request.name.clone()));
                }
                if let Some(decided) = decision(host, &event.object, request) {
                    return decided;
                }
            }
        }
        host.clock().sleep(RETRY).await;
    }
}

/// The request as the server has it now, in the version that it speaks.
async fn listed(host: &Host, rest: &Rest, selector: &Option<String>) -> (&'static Resource, List) {
    let params = ListParams { field_selector: selector.clone(), ..ListParams::default() };
    loop {
        for api in [&V1, &V1BETA1] {
            match rest.list(api, None, &params).await {
                Ok(list) => return (api, list),
                Err(e) => {
                    tracing::info!("error fetching {} certificate signing request: {e}", api.version);
                }
            }
        }
        host.clock().sleep(RETRY).await;
    }
}

/// What a request has come to; `None` while it is open. A certificate without approval is not taken.
fn decision(host: &Host, csr: &Value, request: &Submitted) -> Option<Result<Vec<u8>, WaitError>> {
    if csr.uid() != request.uid {
        return Some(Err(WaitError::ChangedUid(request.name.clone())));
    }
    let mut approved = false;
    for condition in csr.list_at("/status/conditions") {
        let text = |at: &str| condition.str_at(at).to_owned();
        let (reason, message) = (text("/reason"), text("/message"));
        match condition.str_at("/type") {
            "Denied" => return Some(Err(WaitError::Denied { reason, message })),
            "Failed" => return Some(Err(WaitError::Failed { reason, message })),
            "Approved" => approved = true,
            _ => {}
        }
    }
    let certificate = csr.str_at("/status/certificate");
    if !approved {
        return None;
    }
    if certificate.is_empty() {
        tracing::info!(csr = request.name, "Certificate signing request is approved, waiting to be issued");
        return None;
    }
    tracing::info!(csr = request.name, "Certificate signing request is issued");
    host.record("csr", vec![("name", request.name.clone()), ("state", "issued".into())]);
    Some(unbase64(certificate).ok_or_else(|| WaitError::Data("it is not base64".into())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use world::sim;

    use super::*;

    fn check(csr: Value, expect: Option<Result<&str, &str>>) {
        let got = sim::run(sim::Config::default(), async |sim: sim::Sim| {
            let request = Submitted { name: "csr-a".into(), uid: "u".into() };
            decision(&sim.host("n1"), &csr, &request)
        });
        let got = got
            .expect("a runtime")
            .map(|r| r.map(|b| String::from_utf8(b).expect("text")).map_err(|e| e.to_string()));
        let got = got.as_ref().map(|r| r.as_ref().map(String::as_str).map_err(String::as_str));
        assert_eq!(got, expect, "{csr}");
    }

    fn with(status: Value) -> Value {
        json!({"metadata": {"name": "csr-a", "uid": "u"}, "status": status})
    }

    #[test]
    fn approval_and_certificate_are_both_needed() {
        let approved = json!([{"type": "Approved", "status": "True"}]);
        check(with(json!({})), None);
        check(with(json!({"conditions": approved})), None);
        check(with(json!({"certificate": "cGVt"})), None);
        check(with(json!({"conditions": approved, "certificate": "cGVt"})), Some(Ok("pem")));
    }

    #[test]
    fn refusals_end_the_wait() {
        let condition =
            |kind: &str| with(json!({"conditions": [{"type": kind, "reason": "R", "message": "M"}]}));
        let words = "cannot watch on the certificate signing request: certificate signing request";
        check(condition("Denied"), Some(Err(&format!("{words} is denied, reason: R, message: M"))));
        check(condition("Failed"), Some(Err(&format!("{words} failed, reason: R, message: M"))));
        check(
            json!({"metadata": {"name": "csr-a", "uid": "v"}}),
            Some(Err("cannot watch on the certificate signing request: csr \"csr-a\" changed UIDs")),
        );
    }
}
