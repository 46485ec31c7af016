//! One certificate signing request: create it, wait until it is approved and issued
//! (client-go `util/certificate/csr`).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use client::{ListParams, Resource, Rest, WatchParams};
use pki::{Certificate, CertifiedKey, KeyAlgorithm, PrivateKey, csr::Csr};
use serde_json::{Value, json};
use world::Host;

/// How long one request may stay unanswered before a new one is made.
const WAIT: Duration = Duration::from_secs(15 * 60);
const CSRS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");

/// A new key and the certificate issued for it.
pub(super) async fn obtain(host: &Host, rest: &Rest, node: &str) -> Result<CertifiedKey, String> {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(|e| e.to_string())?;
    let common_name = format!("system:node:{node}");
    let request =
        Csr::create(&key, &common_name, &["system:nodes".to_owned()], &[], &[]).map_err(|e| e.to_string())?;
    let object = json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "csr-"},
        "spec": {
            "request": STANDARD.encode(&request),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            // A key encipherment usage makes sense for RSA keys only.
            "usages": ["digital signature", "client auth"],
        },
    });
    let created = rest
        .create(&CSRS, None, &object)
        .await
        .map_err(|e| format!("cannot create certificate signing request: {e}"))?;
    let field = |at: &str| created.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, uid) = (field("/metadata/name"), field("/metadata/uid"));
    tracing::info!(csr = name, "Certificate signing request created");
    host.record("csr", vec![("name", name.clone()), ("state", "created".into()), ("cn", common_name)]);
    let pem = host.clock().timeout(WAIT, issued(host, rest, &name, &uid)).await.map_err(|_| {
        format!("certificate request was not signed: timed out waiting for the condition (csr {name:?})")
    })??;
    host.record("csr", vec![("name", name), ("state", "issued".into())]);
    let chain = Certificate::parse_pem(&pem).map_err(|e| format!("invalid certificate data: {e}"))?;
    CertifiedKey::new(chain, key).map_err(|e| format!("invalid certificate data: {e}"))
}

async fn issued(host: &Host, rest: &Rest, name: &str, uid: &str) -> Result<Vec<u8>, String> {
    let selector = Some(format!("metadata.name={name}"));
    loop {
        let params = ListParams { field_selector: selector.clone(), ..ListParams::default() };
        let Ok(list) = rest.list(&CSRS, None, &params).await else {
            host.clock().sleep(Duration::from_secs(1)).await;
            continue;
        };
        let Some(csr) = list.items.first() else { return Err(format!("csr {name:?} was deleted")) };
        if let Some(done) = outcome(csr, uid) {
            return done;
        }
        let params = WatchParams {
            field_selector: selector.clone(),
            resource_version: Some(list.resource_version.clone()),
            ..WatchParams::default()
        };
        if let Ok(mut watch) = rest.watch(&CSRS, None, &params).await {
            while let Some(Ok(event)) = watch.next().await {
                if event.kind == client::EventKind::Deleted {
                    return Err(format!("csr {name:?} was deleted"));
                }
                if let Some(done) = outcome(&event.object, uid) {
                    return done;
                }
            }
        }
        host.clock().sleep(Duration::from_secs(1)).await;
    }
}

/// What a request has come to; `None` while it is open. A certificate without approval is not taken.
fn outcome(csr: &Value, uid: &str) -> Option<Result<Vec<u8>, String>> {
    let text = |v: &Value, at: &str| v.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text(csr, "/metadata/uid") != uid {
        return Some(Err(format!("csr {:?} changed UIDs", text(csr, "/metadata/name"))));
    }
    let conditions = csr.pointer("/status/conditions").and_then(Value::as_array);
    let mut approved = false;
    for condition in conditions.into_iter().flatten() {
        let why = format!("reason: {}, message: {}", text(condition, "/reason"), text(condition, "/message"));
        match text(condition, "/type").as_str() {
            "Denied" => return Some(Err(format!("certificate signing request is denied, {why}"))),
            "Failed" => return Some(Err(format!("certificate signing request failed, {why}"))),
            "Approved" => approved = true,
            _ => {}
        }
    }
    let certificate = text(csr, "/status/certificate");
    if !approved || certificate.is_empty() {
        return None;
    }
    Some(STANDARD.decode(&certificate).map_err(|e| format!("invalid certificate data: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: Value, expect: Option<Result<&str, &str>>) {
        let csr = json!({"metadata": {"name": "csr-a", "uid": "u"}, "status": status});
        let got = outcome(&csr, "u");
        let got =
            got.as_ref().map(|r| r.as_ref().map(|b| std::str::from_utf8(b).unwrap()).map_err(String::as_str));
        assert_eq!(got, expect, "{csr}");
    }

    #[test]
    fn approval_and_certificate_are_both_needed() {
        let approved = json!([{"type": "Approved", "status": "True"}]);
        check(json!({}), None);
        check(json!({"conditions": approved}), None);
        check(json!({"certificate": "cGVt"}), None);
        check(json!({"conditions": approved, "certificate": "cGVt"}), Some(Ok("pem")));
    }

    #[test]
    fn refusals_end_the_wait() {
        let condition = |kind: &str| json!({"conditions": [{"type": kind, "reason": "R", "message": "M"}]});
        check(condition("Denied"), Some(Err("certificate signing request is denied, reason: R, message: M")));
        check(condition("Failed"), Some(Err("certificate signing request failed, reason: R, message: M")));
        let other = json!({"metadata": {"name": "csr-a", "uid": "v"}});
        assert_eq!(outcome(&other, "u"), Some(Err("csr \"csr-a\" changed UIDs".to_owned())));
    }
}
