//! ServiceAccount: every pod runs as somebody, and finds that identity's token mounted
//! (`plugin/pkg/admission/serviceaccount`).

mod allowed;
mod mount;

use std::{sync::Arc, time::Duration};

use api::{object::ObjectExt as _, status::Status};
use client::{ClientError, Resource};
use serde_json::{Value, json};

use super::{Operation, Review, Tools, refusal::forbidden};
use crate::authz::pod_references::{self, MIRROR_POD};

const DEFAULT_NAME: &str = "default";
const BOUND_TOKENS: &str = "BoundServiceAccountTokenVolume";
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
    let token = match review.new_object() {
        Some(pod) if wants_token(&account, pod) => Some(token_for(tools, review, &account).await?),
        _ => None,
    };
    let Some(pod) = review.object.as_deref_mut() else { return Ok(()) };
    // The field of the first versions of the API, which is still written beside the new one.
    let name = pod.str_at("/spec/serviceAccountName").to_owned();
    pod.set_at("/spec/serviceAccount", name);
    if let Some(token) = token {
        token.mount(pod, &tools.host.entropy().name_suffix(5));
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
    let account = account_of(tools, review).await?;
    allowed::check(&account, pod).map_err(|why| forbidden(review, why))
}

/// The token that a pod of the account is given: one of its own, or that of the first secret in the account's list.
///
/// # Errors
/// 500, to be tried again: the account has no secret yet, which the controller manager makes a moment after it.
async fn token_for(tools: &Tools, review: &Review<'_>, account: &Value) -> Result<mount::Token, Status> {
    if tools.gate(BOUND_TOKENS).unwrap_or(tools.profile.binds_token_volumes()) {
        return Ok(mount::Token::Bound);
    }
    let secrets = &tools.informers.secrets;
    tools.ready(review, &[secrets]).await?;
    let listed = account.list_at("/secrets").iter().map(|reference| reference.str_at("/name"));
    let found = listed.into_iter().find(|name| {
        secrets.get(review.namespace, name).is_some_and(|secret| mount::is_token_of(&secret, account))
    });
    match found {
        Some(name) => Ok(mount::Token::Secret(name.to_owned())),
        None => {
            let mut status = Status::server_timeout("serviceaccounts", "create pod", 1);
            status.message = format!(
                "No API token found for service account {:?}, retry after the token is automatically created and added \
                 to the service account",
                account.name()
            );
            Err(status)
        }
    }
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
