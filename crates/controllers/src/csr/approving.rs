//! csrapproving: approves the kubelet client certificates that RBAC allows to be approved.

use std::time::Duration;

use api::object::ObjectExt as _;
use client::{Resource, Rest, WorkQueue};
use pki::csr::Csr;
use serde_json::{Value, json};
use world::{Host, mutant, rfc3339};

use super::{CSRS, rules};
use crate::{context::Context, objects::bytes, start::start};

/// Of all CSR loops: 200 ms doubling to 1000 s.
pub(super) fn queue(c: &Context) -> WorkQueue {
    WorkQueue::new(&c.host, c.options.queue(Duration::from_millis(200), Duration::from_secs(1000)))
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let (informer, rest, queue) = (c.informer(CSRS), c.rest("certificate-controller"), queue(c));
    let (host, all) = (c.host.clone(), informer.clone());
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        all.on(move |change| feed.add(change.key()));
    };
    let workers = c.options.chronoplane_concurrent_csr_syncs;
    start(&c.host, [informer.clone()], queue, workers, follow, move |key| {
        let (host, rest, informer) = (host.clone(), rest.clone(), informer.clone());
        async move {
            match informer.get_key(&key) {
                Some(csr) => consider(&host, &rest, &csr).await,
                None => Ok(()),
            }
        }
    });
}

/// Recognisers in order: subresource to ask RBAC about, whether only the node itself may, words.
const RECOGNISERS: &[(&str, bool, &str)] = &[
    ("selfnodeclient", true, "Auto approving self kubelet client certificate after SubjectAccessReview."),
    ("nodeclient", false, "Auto approving kubelet client certificate after SubjectAccessReview."),
];

async fn consider(host: &Host, rest: &Rest, csr: &Value) -> Result<(), String> {
    let settled =
        csr.list_at("/status/conditions").iter().any(|c| matches!(c.str_at("/type"), "Approved" | "Denied"));
    if settled || !csr.str_at("/status/certificate").is_empty() {
        return Ok(());
    }
    let request = bytes(csr, "/spec/request");
    let parsed = Csr::parse(&request).map_err(|e| format!("unable to parse csr {:?}: {e}", csr.name()))?;
    let usages: Vec<&str> = csr.list_at("/spec/usages").iter().filter_map(Value::as_str).collect();
    let shaped = csr.str_at("/spec/signerName") == rules::KUBELET_CLIENT
        && rules::validate(rules::KUBELET_CLIENT, &parsed, &usages).is_ok();
    let mut tried = Vec::new();
    for (subresource, only_self, words) in RECOGNISERS {
        if !shaped || (*only_self && csr.str_at("/spec/username") != parsed.common_name()) {
            continue;
        }
        tried.push(*subresource);
        if may(rest, csr, subresource).await? || mutant("approve-anyone") {
            return approve(host, rest, csr, words).await;
        }
    }
    if tried.is_empty() {
        return Ok(());
    }
    Err(format!(
        "recognized csr {:?} as [{}] but subject access review was not approved",
        csr.name(),
        tried.join(" ")
    ))
}

async fn may(rest: &Rest, csr: &Value, subresource: &str) -> Result<bool, String> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "extra": csr.pointer("/spec/extra").cloned().unwrap_or_else(|| json!({})),
            "groups": csr.pointer("/spec/groups").cloned().unwrap_or_else(|| json!([])),
            "resourceAttributes": {
                "group": "certificates.k8s.io",
                "resource": "certificatesigningrequests",
                "subresource": subresource,
                "verb": "create",
                "version": "*",
            },
            "uid": csr.str_at("/spec/uid"),
            "user": csr.str_at("/spec/username"),
        },
    });
    let reviews = Resource::new("authorization.k8s.io", "v1", "subjectaccessreviews");
    let answer = rest.create(&reviews, None, &review).await.map_err(|e| e.to_string())?;
    Ok(answer.pointer("/status/allowed").and_then(Value::as_bool) == Some(true))
}

async fn approve(host: &Host, rest: &Rest, csr: &Value, words: &str) -> Result<(), String> {
    let now = rfc3339(host.clock().wall());
    let mut approved = csr.clone();
    let mut conditions: Vec<Value> = csr.list_at("/status/conditions").to_vec();
    conditions.push(json!({
        "lastTransitionTime": now,
        "lastUpdateTime": now,
        "message": words,
        "reason": "AutoApproved",
        "status": "True",
        "type": "Approved",
    }));
    approved["status"]["conditions"] = conditions.into();
    let name = csr.name();
    rest.update_sub(&CSRS, None, name, "approval", &approved)
        .await
        .map_err(|e| format!("error updating approval for csr: {e}"))?;
    host.record("csr", vec![("name", name.to_owned()), ("state", "approved".into())]);
    Ok(())
}
