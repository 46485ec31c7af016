//! What other servers say that they serve: asked for now and then, kept while they are silent.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt;
use client::{Change, Next, QueueOptions, WorkQueue, run_workers};
use parking_lot::Mutex;
use serde_json::{Value, json};
use wire::HttpClient;

use super::{availability::is_available, backends::Backends};
use crate::{context::Ctx, discovery::aggregated::hash};

/// Upstream asks every server again after this long.
const PERIOD: Duration = Duration::from_secs(60);
const WORKERS: usize = 2;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// What one API service's server said last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remote {
    /// `resources` of the version in aggregated discovery.
    pub resources: Vec<Value>,
    /// Whether the last question was answered.
    pub fresh: bool,
    /// Where the server has the version's OpenAPI v3 document, and by which hash.
    pub open_api: Option<String>,
    /// `/openapi/v2`, cut down to the version's paths, and its hash.
    pub swagger: Option<(String, Arc<Value>)>,
}

/// By API service name.
#[derive(Debug, Default)]
pub(crate) struct Remotes(Mutex<BTreeMap<String, Arc<Remote>>>);

impl Remotes {
    /// What is known of the API service `<version>.<group>`.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Remote>> {
        self.0.lock().get(name).cloned()
    }

    /// All that is known.
    pub(crate) fn all(&self) -> Vec<(String, Arc<Remote>)> {
        self.0.lock().iter().map(|(name, remote)| (name.clone(), remote.clone())).collect()
    }

    fn put(&self, name: &str, remote: Remote) {
        self.0.lock().insert(name.to_owned(), Arc::new(remote));
    }

    fn forget(&self, name: &str) {
        self.0.lock().remove(name);
    }

    fn stale(&self, name: &str) {
        let mut all = self.0.lock();
        let last = all.get(name).map_or_else(Remote::default, |remote| Remote::clone(remote));
        all.insert(name.to_owned(), Arc::new(Remote { fresh: false, ..last }));
    }
}

/// Asks whenever an API service changes, and from time to time.
pub(super) fn start(ctx: &Ctx, backends: &Arc<Backends>, remotes: &Arc<Remotes>) {
    let queue = WorkQueue::new(&ctx.host, QueueOptions::default());
    let changed = queue.clone();
    ctx.informers.api_services.on(move |change: &Change| changed.add(change.key()));
    let (host, backends, remotes) = (ctx.host.clone(), backends.clone(), remotes.clone());
    run_workers(&ctx.host, WORKERS, &queue, move |name| {
        let (host, backends, remotes) = (host.clone(), backends.clone(), remotes.clone());
        async move {
            let Some(service) = backends.remote(&name) else {
                remotes.forget(&name);
                backends.forget(&name);
                return Ok::<_, String>(Next::OnChange);
            };
            match look(&backends, &service).await {
                Some(remote) => remotes.put(&name, remote),
                None => remotes.stale(&name),
            }
            Ok(Next::After(host.periods().of(PERIOD)))
        }
    });
}

async fn look(backends: &Backends, service: &Value) -> Option<Remote> {
    if !is_available(service) {
        return None;
    }
    let client = backends.of(service).ok()?;
    let (group, version) = (service.str_at("/spec/group"), service.str_at("/spec/version"));
    let resources = resources(backends, &client, group, version).await?;
    let path = format!("apis/{group}/{version}");
    let index = backends.ask(&client, "/openapi/v3", "application/json", "").await.ok();
    let open_api = index.and_then(|answer| answer.json()).and_then(|index| {
        let entry = index.get("paths")?.get(&path)?;
        Some(entry.str_at("/serverRelativeURL").to_owned())
    });
    let swagger = backends.ask(&client, "/openapi/v2", "application/json", "").await.ok();
    let swagger = swagger.and_then(|answer| {
        let document = answer.json()?;
        Some((hash(&answer.content), Arc::new(cut(document, &path))))
    });
    Some(Remote { resources, fresh: true, open_api: open_api.filter(|url| !url.is_empty()), swagger })
}

/// Only the paths of one version, and the definitions.
fn cut(mut document: Value, path: &str) -> Value {
    let below = format!("/{path}/");
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        paths.retain(|name, _| name.starts_with(&below));
    }
    json!({
        "paths": document.get_mut("paths").map(Value::take).unwrap_or_default(),
        "definitions": document.get_mut("definitions").map(Value::take).unwrap_or_default(),
    })
}

/// From the aggregated document, or from the version's own for servers that have no other.
async fn resources(
    backends: &Backends,
    client: &HttpClient,
    group: &str,
    version: &str,
) -> Option<Vec<Value>> {
    if let Ok(answer) = backends.ask(client, "/apis", AGGREGATED, "").await
        && answer.media.contains("as=APIGroupDiscoveryList")
        && let Some(document) = answer.json()
    {
        let group = document.list_at("/items").iter().find(|item| item.name() == group)?;
        let version = group.list_at("/versions").iter().find(|v| v.str_at("/version") == version)?;
        return Some(version.list_at("/resources").to_vec());
    }
    let path = format!("/apis/{group}/{version}");
    let answer = backends.ask(client, &path, "application/json", "").await.ok()?;
    Some(from_list(&answer.json()?, group, version))
}

/// An `APIResourceList` in the shape of aggregated discovery.
fn from_list(list: &Value, group: &str, version: &str) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for row in list.list_at("/resources") {
        let or =
            |given: &str, else_: &str| if given.is_empty() { else_.to_owned() } else { given.to_owned() };
        let kind = json!({
            "group": or(row.str_at("/group"), group),
            "version": or(row.str_at("/version"), version),
            "kind": row.str_at("/kind"),
        });
        let verbs = row.at("/verbs").cloned().unwrap_or_else(|| json!([]));
        if let Some((resource, sub)) = row.str_at("/name").split_once('/') {
            let parent = out.iter_mut().find(|o| o.str_at("/resource") == resource);
            let sub = json!({ "subresource": sub, "responseKind": kind, "verbs": verbs });
            match parent.and_then(Value::as_object_mut) {
                Some(parent) => match parent.get_mut("subresources").and_then(Value::as_array_mut) {
                    Some(subs) => subs.push(sub),
                    None => {
                        parent.insert("subresources".to_owned(), json!([sub]));
                    }
                },
                None => tracing::debug!("subresource without its resource: {}", row.str_at("/name")),
            }
            continue;
        }
        let mut entry = json!({
            "resource": row.str_at("/name"),
            "responseKind": kind,
            "scope": if row.bool_at("/namespaced") { "Namespaced" } else { "Cluster" },
            "singularResource": row.str_at("/singularName"),
            "verbs": verbs,
        });
        for list in ["shortNames", "categories"] {
            if let Some(names) = row.get(list) {
                entry[list] = names.clone();
            }
        }
        out.push(entry);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_resources_becomes_their_aggregated_form() {
        let list = json!({ "kind": "APIResourceList", "groupVersion": "flower.example.org/v1", "resources": [
            { "name": "roses", "singularName": "rose", "namespaced": true, "kind": "Rose",
              "verbs": ["get", "list"], "shortNames": ["ro"] },
            { "name": "roses/scale", "singularName": "", "namespaced": true, "group": "autoscaling",
              "version": "v1", "kind": "Scale", "verbs": ["get"] },
        ]});
        let expected = json!([{
            "resource": "roses",
            "responseKind": { "group": "flower.example.org", "version": "v1", "kind": "Rose" },
            "scope": "Namespaced",
            "singularResource": "rose",
            "verbs": ["get", "list"],
            "shortNames": ["ro"],
            "subresources": [{
                "subresource": "scale",
                "responseKind": { "group": "autoscaling", "version": "v1", "kind": "Scale" },
                "verbs": ["get"],
            }],
        }]);
        assert_eq!(Value::from(from_list(&list, "flower.example.org", "v1")), expected);
    }
}
