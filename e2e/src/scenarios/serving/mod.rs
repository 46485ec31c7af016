//! Stories about certificates that are requested: kubelets' for serving, and whatever else a signer of the
//! cluster signs.
//!
//! What they share: a request is made, somebody approves it, and its certificate is used. Most of a telling's
//! time goes into the making of its two or three clusters.

mod csr_before_step;
mod leaf_outlives_ca;
mod serving_csr_unapproved;
mod short_cert_backdated;

use std::{sync::Arc, time::Duration};

use api::object::{ObjectExt as _, base64, unbase64};
use chronoplane::cluster::CONTROL_PLANE;
use client::{ListParams, Resource, Rest};
use pki::{
    Certificate, CertifiedKey, KeyAlgorithm, PrivateKey,
    csr::Csr,
    kubeconfig::{Kubeconfig, User},
};
use serde_json::{Value, json};

use crate::{
    catalogue::Family,
    scenarios::{Ground, raw},
    story::{StoryError, Teller},
};

/// See the module.
pub(crate) const FAMILY: Family = Family {
    title: "Serving certificates and CSRs",
    entries: &[
        serving_csr_unapproved::ENTRY,
        csr_before_step::ENTRY,
        short_cert_backdated::ENTRY,
        leaf_outlives_ca::ENTRY,
    ],
};

const CSRS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
const MINUTE: Duration = Duration::from_secs(60);
/// For controllers to act on what they watch.
const MOMENT: Duration = Duration::from_secs(1);

/// Requests to a signer (the last part of its name), oldest first.
async fn requests(stage: &Ground, signer: &str) -> Result<Vec<Arc<Value>>, StoryError> {
    let list = stage.admin().list(&CSRS, None, &ListParams::default()).await.map_err(StoryError::new)?;
    let ours = |csr: &Arc<Value>| csr.str_at("/spec/signerName").ends_with(signer);
    let mut found: Vec<Arc<Value>> = list.items.into_iter().filter(ours).collect();
    found.sort_by_key(|csr| csr.resource_version().parse::<u64>().unwrap_or_default());
    Ok(found)
}

/// How `kubectl get csr` shows a request: `Pending`, `Approved`, `Approved,Issued`.
fn condition(csr: &Value) -> String {
    let conditions = csr.list_at("/status/conditions").iter().map(|c| c.str_at("/type"));
    let issued = Some("Issued").filter(|_| !csr.str_at("/status/certificate").is_empty());
    let words: Vec<&str> = conditions.chain(issued).collect();
    if words.is_empty() { "Pending".into() } else { words.join(",") }
}

/// `kubectl certificate approve`.
async fn approve(stage: &Ground, csr: &str) -> Result<(), StoryError> {
    let approval = json!([{
        "message": "This CSR was approved by kubectl certificate approve.",
        "reason": "KubectlApprove",
        "status": "True",
        "type": "Approved",
    }]);
    let change = |csr: &mut Value| csr["status"]["conditions"] = approval.clone();
    let changed = stage.admin().modify(&CSRS, None, csr, Some("approval"), change).await;
    changed.map(drop).map_err(StoryError::new)
}

/// A request for a user's client certificate, approved at once, and its state a moment later.
async fn certify(stage: &Ground, user: &str) -> Result<(PrivateKey, Value), StoryError> {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(StoryError::new)?;
    let request = Csr::create(&key, user, &[], &[], &[]).map_err(StoryError::new)?;
    let csr = json!({
        "metadata": {"name": user},
        "spec": {
            "request": base64(request.as_bytes()),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    });
    let admin = stage.admin();
    admin.create(&CSRS, None, &csr).await.map_err(StoryError::new)?;
    approve(stage, user).await?;
    let over = async || {
        let csr = admin.get(&CSRS, None, user).await.ok()?;
        let log = stage.log(CONTROL_PLANE, "kube-controller-manager", "retry");
        (issued(&csr).is_some() || log.iter().any(|line| line.contains("refusing to sign"))).then_some(())
    };
    stage.give(MOMENT, over).await;
    Ok((key, admin.get(&CSRS, None, user).await.map_err(StoryError::new)?))
}

/// The certificate that a request came to, if it did.
fn issued(csr: &Value) -> Option<Certificate> {
    let pem = unbase64(csr.str_at("/status/certificate"))?;
    Certificate::parse_pem(&pem).ok()?.into_iter().next()
}

/// The certificate that a request came to.
///
/// # Errors
/// None, and what the controller manager said last.
fn signed(stage: &Ground, csr: &Value) -> Result<Certificate, StoryError> {
    let last = || stage.log(CONTROL_PLANE, "kube-controller-manager", "retry").pop().unwrap_or_default();
    issued(csr).ok_or_else(|| StoryError(format!("{} was not signed: {}", csr.name(), last())))
}

/// A client on the workstation that shows that certificate.
fn as_user(stage: &Ground, key: PrivateKey, certificate: &Certificate) -> Result<Rest, StoryError> {
    let pair = CertifiedKey::new(vec![certificate.clone()], key).map_err(StoryError::new)?;
    let mut config: Kubeconfig = stage.kubeconfig().clone();
    for named in &mut config.users {
        named.user = User::with_certificate(&pair);
    }
    let host = stage.workstation();
    Rest::from_kubeconfig(&host, &config, stage.settings.profile.go(), "kubectl").map_err(StoryError::new)
}

/// Who the server takes that client for: 403 with the user's name, or 401.
async fn recognized(rest: &Rest) -> (u16, String) {
    let (code, said) = raw(rest, "/api/v1/nodes").await;
    let status: Value = serde_json::from_str(&said).unwrap_or_default();
    (code, status.get("message").and_then(Value::as_str).unwrap_or(&said).to_owned())
}

/// What the apiserver logged last about somebody whom it could not authenticate.
fn refusal(stage: &Ground) -> String {
    stage.log(CONTROL_PLANE, "kube-apiserver", "authentication").pop().unwrap_or_default()
}

/// The last words of a story.
fn advice(teller: &Teller, lines: &[&str]) {
    teller.say("\nIn a real cluster:");
    lines.iter().for_each(|line| teller.say(format!("  {line}")));
}
