//! ServiceAccount: every pod runs as somebody, and finds that identity's token mounted.

use std::{sync::Arc, time::Duration};

use api::{object::ObjectExt as _, status::Status};
use client::{ClientError, Resource};
use serde_json::{Value, json};

use super::{Operation, Review, Tools, refusal::forbidden, small::push};
use crate::authz::pod_references::{self, MIRROR_POD};

const DEFAULT_NAME: &str = "default";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What the kubelet asks for; by this odd number the server knows a token that old clients may use
/// beyond its time.
const TOKEN_SECONDS: u64 = 60 * 60 + 7;
/// The account `default` is made by a controller a moment after its namespace.
const DEFAULT_ATTEMPTS: usize = 10;

/// Names the account, mounts its token, copies its pull secrets.
pub(super) async fn mutate(tools: &Tools, review: &mut Review<'_>) -> Result<(), Status> {
    if !is_new_pod(review) {
        return Ok(());
    }
    let is_mirror = review.new_object().is_some_and(|pod| pod.annotation(MIRROR_POD).is_some());
    if is_mirror {
        return validate_mirror(review);
    }
    if let Some(pod) = review.object.as_deref_mut()
        && pod.str_at("/spec/serviceAccountName").is_empty()
    {
        pod.set_at("/spec/serviceAccountName", DEFAULT_NAME);
    }
    let account = account_of(tools, review).await?;
    let Some(pod) = review.object.as_deref_mut() else { return Ok(()) };
    // The field of the first versions of the API, which is still written beside the new one.
    let name = pod.str_at("/spec/serviceAccountName").to_owned();
    pod.set_at("/spec/serviceAccount", name);
    if wants_token(&account, pod) {
        mount_token(pod, &tools.host.entropy().name_suffix(5));
    }
    if pod.list_at("/spec/imagePullSecrets").is_empty() {
        let secrets = account.list_at("/imagePullSecrets");
        if !secrets.is_empty() {
            let copies: Vec<Value> = secrets.iter().map(|s| json!({ "name": s.str_at("/name") })).collect();
            pod.set_at("/spec/imagePullSecrets", copies);
        }
    }
    Ok(())
}

/// Refuses a pod without an account, or with one that does not exist.
pub(super) async fn validate(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    if !is_new_pod(review) {
        return Ok(());
    }
    let Some(pod) = review.new_object() else { return Ok(()) };
    if pod.annotation(MIRROR_POD).is_some() {
        return validate_mirror(review);
    }
    if pod.str_at("/spec/serviceAccountName").is_empty() {
        let why = format!("no service account specified for pod {}/{}", review.namespace, pod.name());
        return Err(forbidden(review, why));
    }
    account_of(tools, review).await.map(|_| ())
}

fn is_new_pod(review: &Review<'_>) -> bool {
    review.operation == Operation::Create && review.is("", "pods") && review.subresource.is_empty()
}

/// A static pod's mirror is written by the kubelet: it gets nothing and may name nothing.
fn validate_mirror(review: &Review<'_>) -> Result<(), Status> {
    let Some(pod) = review.new_object() else { return Ok(()) };
    if !pod.str_at("/spec/serviceAccountName").is_empty() {
        return Err(forbidden(review, "a mirror pod may not reference service accounts"));
    }
    if pod_references::secrets(pod).next().is_some() {
        return Err(forbidden(review, "a mirror pod may not reference secrets"));
    }
    if pod_references::projects_tokens(pod) {
        return Err(forbidden(review, "a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

async fn account_of(tools: &Tools, review: &Review<'_>) -> Result<Arc<Value>, Status> {
    let name = review.new_object().map(|pod| pod.str_at("/spec/serviceAccountName")).unwrap_or_default();
    find(tools, review.namespace, name).await.map_err(|why| {
        forbidden(review, format_args!("error looking up service account {}/{name}: {why}", review.namespace))
    })
}

/// The account from the informer, else from the server itself.
async fn find(tools: &Tools, namespace: &str, name: &str) -> Result<Arc<Value>, ClientError> {
    if let Some(account) = tools.informers.service_accounts.get(namespace, name) {
        return Ok(account);
    }
    let attempts = if name == DEFAULT_NAME { DEFAULT_ATTEMPTS } else { 1 };
    let pause = Duration::from_millis(100 + tools.host.entropy().below(100));
    for attempt in 0..attempts {
        if attempt > 0 {
            tools.host.clock().sleep(pause).await;
        }
        match tools.rest.get(&Resource::core("serviceaccounts"), Some(namespace), name).await {
            Ok(account) => return Ok(Arc::new(account)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Err(ClientError::Status(Box::new(Status::not_found("serviceaccount", name))))
}

fn wants_token(account: &Value, pod: &Value) -> bool {
    let asked = |object: &Value, at: &str| object.at(at).and_then(Value::as_bool);
    asked(pod, "/spec/automountServiceAccountToken")
        .or_else(|| asked(account, "/automountServiceAccountToken"))
        .unwrap_or(true)
}

fn mount_token(pod: &mut Value, suffix: &str) {
    let volumes = pod.list_at("/spec/volumes");
    let held =
        volumes.iter().map(|v| v.str_at("/name")).find(|n| n.starts_with(VOLUME_PREFIX)).map(str::to_owned);
    let is_new = held.is_none();
    let volume = held.unwrap_or_else(|| format!("{VOLUME_PREFIX}{suffix}"));
    let mut is_needed = false;
    for list in ["/spec/initContainers", "/spec/containers"] {
        for container in pod.at_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mounts = container.list_at("/volumeMounts");
            if mounts.iter().any(|mount| mount.str_at("/mountPath") == MOUNT_PATH) {
                continue;
            }
            is_needed = true;
            let mount = json!({ "name": volume, "readOnly": true, "mountPath": MOUNT_PATH });
            push(container, "/volumeMounts", mount);
        }
    }
    if is_new && is_needed {
        push(pod, "/spec/volumes", token_volume(&volume));
    }
}

fn token_volume(name: &str) -> Value {
    json!({
        "name": name,
        "projected": {
            "sources": [
                { "serviceAccountToken": { "expirationSeconds": TOKEN_SECONDS, "path": "token" } },
                { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                { "downwardAPI": { "items": [{
                    "path": "namespace",
                    "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                }] } },
            ],
            "defaultMode": 0o644,
        },
    })
}
