//! Namespace deletion: empties a terminating namespace, pods first, then lets it go.

use std::time::Duration;

use client::{
    ClientError, DeleteParams, ListParams, Next, QueueOptions, Resource, Rest, WorkQueue, run_workers,
};
use serde_json::{Value, json};
use world::{Host, rfc3339};

use crate::{
    context::Context,
    objects::{is_deleting, list, text},
};

const NAMESPACES: Resource = Resource::core("namespaces");
const WORKERS: usize = 10;
/// Lets the apiserver's caches learn of the deletion first.
const GRACE: Duration = Duration::from_secs(5);

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let (namespaces, rest) = (c.informer(NAMESPACES), c.rest_at("namespace-controller", 20, 100));
    let options = QueueOptions {
        base: Duration::from_millis(5),
        max: Duration::from_secs(60),
        ..QueueOptions::default()
    };
    let queue = WorkQueue::new(&c.host, options);
    let feed = queue.clone();
    namespaces.on(move |change| {
        if is_deleting(change.object()) {
            feed.add_after(change.key(), GRACE);
        }
    });
    let host = c.host.clone();
    run_workers(&c.host, WORKERS, &queue, move |name| {
        let (host, rest) = (host.clone(), rest.clone());
        async move { empty(&host, &rest, &name).await }
    });
}

async fn empty(host: &Host, rest: &Rest, name: &str) -> Result<Next, String> {
    let namespace = match rest.get(&NAMESPACES, None, name).await {
        Ok(namespace) if is_deleting(&namespace) => namespace,
        Ok(_) => return Ok(Next::OnChange),
        Err(e) if e.is_not_found() => return Ok(Next::OnChange),
        Err(e) => return Err(e.to_string()),
    };
    let (resources, undiscovered) = discover(rest).await.map_err(|e| e.to_string())?;
    let (mut remaining, mut failures) = (Vec::new(), Vec::new());
    let pods_first = resources.iter().filter(|r| is_pods(r)).chain(resources.iter().filter(|r| !is_pods(r)));
    for resource in pods_first {
        match empty_of(rest, resource, name).await {
            Ok(0) => {}
            Ok(n) => {
                remaining.push((resource.clone(), n));
                if is_pods(resource) {
                    // Nothing else goes while a pod may still use it.
                    break;
                }
            }
            Err(e) => failures.push(e.to_string()),
        }
    }
    report(host, rest, &namespace, &remaining, &failures, &undiscovered).await;
    if !failures.is_empty() {
        return Err(failures.join(", "));
    }
    if !undiscovered.is_empty() {
        return Err(format!(
            "unable to retrieve the complete list of server APIs: {}",
            undiscovered.join(", ")
        ));
    }
    if !remaining.is_empty() {
        // Finalizers and graceful pods need a while: upstream counts 15 s for them and comes back
        // after half of it and a second.
        return Ok(Next::After(Duration::from_secs(15 / 2 + 1)));
    }
    finalize(rest, name).await.map_err(|e| e.to_string())?;
    host.record("namespace", vec![("name", name.to_owned()), ("state", "finalized".into())]);
    Ok(Next::OnChange)
}

fn is_pods(resource: &Resource) -> bool {
    resource.group.is_empty() && resource.plural == "pods"
}

/// Namespaced resources that can be listed and deleted, and group versions that did not answer.
async fn discover(rest: &Rest) -> Result<(Vec<Resource>, Vec<String>), ClientError> {
    let groups = read(rest, "/apis").await?;
    let mut versions = vec![("".to_owned(), "v1".to_owned())];
    for group in list(&groups, "/groups") {
        versions.push((text(group, "/name").to_owned(), text(group, "/preferredVersion/version").to_owned()));
    }
    let (mut found, mut silent) = (Vec::new(), Vec::new());
    for (group, version) in versions {
        let path =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let Ok(resources) = read(rest, &path).await else {
            silent.push(format!("{group}/{version}"));
            continue;
        };
        for resource in list(&resources, "/resources") {
            let name = text(resource, "/name");
            let may = |verb: &str| list(resource, "/verbs").any(|v| v == verb);
            let namespaced = resource.get("namespaced").and_then(Value::as_bool) == Some(true);
            if namespaced && !name.contains('/') && may("list") && may("delete") {
                found.push(Resource::named(group.clone(), version.clone(), name));
            }
        }
    }
    Ok((found, silent))
}

async fn read(rest: &Rest, path: &str) -> Result<Value, ClientError> {
    let (status, body) = rest.raw(http::Method::GET, path, None).await?;
    if !status.is_success() {
        return Err(ClientError::Decode { request: format!("GET {path}"), why: format!("status {status}") });
    }
    serde_json::from_slice(&body)
        .map_err(|e| ClientError::Decode { request: format!("GET {path}"), why: e.to_string() })
}

/// Deletes all objects of one resource; how many are still there.
async fn empty_of(rest: &Rest, resource: &Resource, namespace: &str) -> Result<usize, ClientError> {
    let all = ListParams::default();
    if rest.list(resource, Some(namespace), &all).await?.items.is_empty() {
        return Ok(0);
    }
    rest.delete_collection(resource, Some(namespace), &DeleteParams::default(), &all).await?;
    Ok(rest.list(resource, Some(namespace), &all).await?.items.len())
}

async fn finalize(rest: &Rest, name: &str) -> Result<(), ClientError> {
    let mut namespace = match rest.get(&NAMESPACES, None, name).await {
        Ok(namespace) => namespace,
        Err(e) if e.is_not_found() => return Ok(()),
        Err(e) => return Err(e),
    };
    let kept: Vec<Value> =
        list(&namespace, "/spec/finalizers").filter(|f| *f != "kubernetes").cloned().collect();
    namespace["spec"]["finalizers"] = kept.into();
    match rest.update_sub(&NAMESPACES, None, name, "finalize", &namespace).await {
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() => Ok(()),
        Err(e) => Err(e),
    }
}

/// Writes the conditions that tell people why a namespace is still there. Best effort.
async fn report(
    host: &Host,
    rest: &Rest,
    namespace: &Value,
    remaining: &[(Resource, usize)],
    failures: &[String],
    undiscovered: &[String],
) {
    let left: Vec<String> = remaining
        .iter()
        .map(|(r, n)| format!("{}.{} has {n} resource instances", r.plural, r.group))
        .collect();
    let row = |kind: &str, bad: bool, reasons: (&str, &str), words: (String, String)| {
        let (reason, message) = if bad { (reasons.1, words.1) } else { (reasons.0, words.0) };
        (kind.to_owned(), if bad { "True" } else { "False" }, reason.to_owned(), message)
    };
    let rows = [
        row(
            "NamespaceDeletionDiscoveryFailure",
            !undiscovered.is_empty(),
            ("ResourcesDiscovered", "DiscoveryFailed"),
            (
                "All resources successfully discovered".into(),
                format!(
                    "Discovery failed for some groups, {} failing: {}",
                    undiscovered.len(),
                    undiscovered.join(", ")
                ),
            ),
        ),
        row(
            "NamespaceDeletionContentFailure",
            !failures.is_empty(),
            ("ContentDeleted", "ContentDeletionFailed"),
            (
                "All content successfully deleted, may be waiting on finalization".into(),
                format!(
                    "Failed to delete all resource types, {} remaining: {}",
                    failures.len(),
                    failures.join(", ")
                ),
            ),
        ),
        row(
            "NamespaceContentRemaining",
            !remaining.is_empty(),
            ("ContentRemoved", "SomeResourcesRemain"),
            (
                "All content successfully removed".into(),
                format!("Some resources are remaining: {}", left.join(", ")),
            ),
        ),
    ];
    let old: Vec<Value> = list(namespace, "/status/conditions").cloned().collect();
    let now = rfc3339(host.clock().wall());
    let conditions: Vec<Value> = rows
        .into_iter()
        .map(|(kind, status, reason, message)| {
            let same = old.iter().find(|c| text(c, "/type") == kind && text(c, "/status") == status);
            let since = same.map_or(now.as_str(), |c| text(c, "/lastTransitionTime"));
            json!({"lastTransitionTime": since, "message": message, "reason": reason, "status": status, "type": kind})
        })
        .collect();
    if json!(old) == json!(conditions) {
        return;
    }
    let mut updated = namespace.clone();
    updated["status"]["conditions"] = conditions.into();
    let name = text(namespace, "/metadata/name");
    if let Err(e) = rest.update_sub(&NAMESPACES, None, name, "status", &updated).await {
        tracing::debug!("conditions of namespace {name:?} not written: {e}");
    }
}
