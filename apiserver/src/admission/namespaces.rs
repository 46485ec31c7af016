//! The namespace of a request, for plugins that read it; and two plugins about namespaces that are not
//! there: NamespaceExists refuses, NamespaceAutoProvision makes them.

use std::sync::Arc;

use api::status::Status;
use client::{ClientError, Resource};
use serde_json::{Value, json};

use super::{Operation, Review, Tools};

const NAMESPACES: Resource = Resource::core("namespaces");
/// The namespace from the informer; one that it does not know yet from the server itself.
pub(super) async fn find(tools: &Tools, name: &str) -> Result<Arc<Value>, ClientError> {
    match tools.informers.namespaces.get(None, name) {
        Some(namespace) => Ok(namespace),
        None => tools.rest.get(&NAMESPACES, None, name).await.map(Arc::new),
    }
}

/// As [`find`], for plugins that hand on a 404 and call everything else an internal error.
pub(super) async fn demand(tools: &Tools, name: &str) -> Result<Arc<Value>, Status> {
    find(tools, name).await.map_err(|error| match error.status() {
        Some(status) if status.is_not_found() => status.clone(),
        _ => Status::internal(error),
    })
}

/// Waits for the first list of namespaces.
pub(super) async fn ready(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    tools.ready(review, &[&tools.informers.namespaces]).await
}

fn is_within(review: &Review<'_>) -> bool {
    !review.namespace.is_empty() && !review.is("", "namespaces")
}

/// NamespaceExists: nothing happens in a namespace that is not there.
pub(super) async fn exists(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    if !is_within(review) || review.operation == Operation::Connect {
        return Ok(());
    }
    ready(tools, review).await?;
    demand(tools, review.namespace).await.map(|_| ())
}

/// NamespaceAutoProvision: what is created in a namespace creates the namespace.
pub(super) async fn provide(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    if !is_within(review) || review.operation != Operation::Create || review.dry_run {
        return Ok(());
    }
    ready(tools, review).await?;
    if tools.informers.namespaces.get(None, review.namespace).is_some() {
        return Ok(());
    }
    let namespace =
        json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": review.namespace } });
    match tools.rest.create(&NAMESPACES, None, &namespace).await {
        Err(error) if !error.status().is_some_and(Status::is_already_exists) => {
            Err(super::refusal::forbidden_by(review, &error))
        }
        _ => Ok(()),
    }
}
