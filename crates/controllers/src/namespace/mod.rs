//! Namespace deletion: empties a terminating namespace, pods first, then lets it go
//! (`pkg/controller/namespace/deletion`).

mod conditions;
mod content;

use std::time::Duration;

use api::object::ObjectExt as _;
use client::{ClientError, Next, QueueOptions, Resource, Rest, WorkQueue, discovery::Served};
use serde_json::Value;
use world::Host;

use self::content::Left;
use crate::{context::Context, start::start};

const NAMESPACES: Resource = Resource::core("namespaces");
/// `--concurrent-namespace-syncs`.
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
    let (host, all) = (c.host.clone(), namespaces.clone());
    let follow = move |queue: &WorkQueue| {
        let feed = queue.clone();
        all.on(move |change| {
            if change.object().is_terminating() {
                feed.add_after(change.key(), GRACE);
            }
        });
    };
    start(&c.host, [namespaces], queue, WORKERS, follow, move |name| {
        let (host, rest) = (host.clone(), rest.clone());
        async move { empty(&host, &rest, &name).await }
    });
}

/// What one pass over a namespace found, for its conditions.
#[derive(Default)]
struct Pass {
    /// Why discovery is not complete; empty if it is.
    undiscovered: String,
    /// Why resources could not be deleted.
    failures: Vec<String>,
    left: Vec<Left>,
}

async fn empty(host: &Host, rest: &Rest, name: &str) -> Result<Next, String> {
    let namespace = match rest.get(&NAMESPACES, None, name).await {
        Ok(namespace) if namespace.is_terminating() => namespace,
        Ok(_) => return Ok(Next::OnChange),
        Err(e) if e.is_not_found() => return Ok(Next::OnChange),
        Err(e) => return Err(e.to_string()),
    };
    let found = client::discovery::preferred(rest).await.map_err(|e| e.to_string())?;
    let mut pass = Pass { undiscovered: undiscovered(&found.silent), ..Pass::default() };
    let mut resources: Vec<&Served> =
        found.served.iter().filter(|s| s.namespaced && s.has(&["delete"])).collect();
    // Nothing else goes while a pod may still use it.
    resources.sort_by_key(|served| !is_pods(&served.resource));
    for served in resources {
        match content::delete(host, rest, served, &namespace).await {
            Ok(left) if left.count == 0 => {}
            Ok(left) => {
                pass.failures.extend(left.unexpected(served, name));
                pass.left.push(left);
                if is_pods(&served.resource) {
                    break;
                }
            }
            Err(e) => pass.failures.push(e.to_string()),
        }
    }
    conditions::write(host, rest, &namespace, &pass).await;
    let errors = [pass.undiscovered.as_str()].into_iter().chain(pass.failures.iter().map(String::as_str));
    let errors: Vec<&str> = errors.filter(|e| !e.is_empty()).collect();
    if !errors.is_empty() {
        return Err(errors.join(", "));
    }
    if let Some(estimate) = pass.left.iter().map(|left| left.estimate).max() {
        return Ok(Next::After(Duration::from_secs(estimate.as_secs() / 2 + 1)));
    }
    finalize(rest, name).await.map_err(|e| e.to_string())?;
    host.record("namespace", vec![("name", name.to_owned()), ("state", "finalized".into())]);
    Ok(Next::OnChange)
}

fn is_pods(resource: &Resource) -> bool {
    resource.group.is_empty() && resource.plural == "pods"
}

/// client-go's `ErrGroupDiscoveryFailed`.
fn undiscovered(silent: &[(String, String)]) -> String {
    if silent.is_empty() {
        return String::new();
    }
    let mut all: Vec<String> =
        silent.iter().map(|(api_version, why)| format!("{api_version}: {why}")).collect();
    all.sort();
    format!("unable to retrieve the complete list of server APIs: {}", all.join(", "))
}

async fn finalize(rest: &Rest, name: &str) -> Result<(), ClientError> {
    let mut namespace = match rest.get(&NAMESPACES, None, name).await {
        Ok(namespace) => namespace,
        Err(e) if e.is_not_found() => return Ok(()),
        Err(e) => return Err(e),
    };
    let finalizers = namespace.list_at("/spec/finalizers").iter();
    let kept: Vec<Value> = finalizers.filter(|f| *f != "kubernetes").cloned().collect();
    namespace.set_at("/spec/finalizers", kept);
    match rest.update_sub(&NAMESPACES, None, name, "finalize", &namespace).await {
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() => Ok(()),
        Err(e) => Err(e),
    }
}
