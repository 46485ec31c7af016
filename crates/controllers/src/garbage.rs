//! garbagecollector: what is left of owners that are gone.
//!
//! Follows the kinds that the loops here make dependents of, not all of discovery as upstream does.

use std::sync::Arc;

use client::{ClientError, DeleteParams, Index, Informer, Patch, Resource, Rest, WorkQueue, run_workers};
use serde_json::{Value, json};

use crate::{
    context::Context,
    objects::{is_deleting, list, text},
};

const WORKERS: usize = 5;
const FOLLOWED: &[Resource] = &[
    Resource::core("nodes"),
    Resource::core("pods"),
    Resource::core("secrets"),
    Resource::core("services"),
    Resource::new("apps", "v1", "daemonsets"),
    Resource::new("apps", "v1", "deployments"),
    Resource::new("apps", "v1", "replicasets"),
    Resource::new("batch", "v1", "jobs"),
    Resource::new("coordination.k8s.io", "v1", "leases"),
    Resource::new("discovery.k8s.io", "v1", "endpointslices"),
];

struct Followed {
    resource: Resource,
    informer: Informer,
    by_owner: Index,
}

struct Collector {
    rest: Rest,
    followed: Vec<Followed>,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let queue = WorkQueue::new(&c.host, c.queue_options());
    let followed: Vec<Followed> = FOLLOWED
        .iter()
        .map(|resource| {
            let informer = c.informer(resource.clone());
            let by_owner = informer.index(|o| {
                list(o, "/metadata/ownerReferences").map(|r| text(r, "/uid").to_owned()).collect()
            });
            Followed { resource: resource.clone(), informer, by_owner }
        })
        .collect();
    let collector = Arc::new(Collector { rest: c.rest_at("generic-garbage-collector", 2, 1), followed });
    for (i, followed) in collector.followed.iter().enumerate() {
        let (feed, everything) = (queue.clone(), collector.clone());
        followed.informer.on(move |change| {
            let object = change.object();
            if list(object, "/metadata/ownerReferences").next().is_some() || is_deleting(object) {
                feed.add(format!("{i}|{}", change.key()));
            }
            if matches!(change, client::Change::Deleted(_)) {
                for (key, _) in everything.dependents(text(object, "/metadata/uid")) {
                    feed.add(key);
                }
                for owner in list(object, "/metadata/ownerReferences") {
                    everything.requeue_owner(&feed, text(owner, "/uid"));
                }
            }
        });
    }
    run_workers(&c.host, WORKERS, &queue, move |key| {
        let collector = collector.clone();
        async move { collector.consider(&key).await.map_err(|e| e.to_string()) }
    });
}

impl Collector {
    /// Queue keys of all objects that name `uid` as an owner.
    fn dependents(&self, uid: &str) -> Vec<(String, Arc<Value>)> {
        let numbered = self.followed.iter().enumerate();
        numbered
            .flat_map(|(i, f)| {
                f.by_owner.get(uid).into_iter().map(move |o| (format!("{i}|{}", client::key_of(&o)), o))
            })
            .collect()
    }

    /// An owner that waits for its dependents looks again.
    fn requeue_owner(&self, queue: &WorkQueue, uid: &str) {
        for (i, f) in self.followed.iter().enumerate() {
            for owner in
                f.informer.list().iter().filter(|o| text(o, "/metadata/uid") == uid && is_deleting(o))
            {
                queue.add(format!("{i}|{}", client::key_of(owner)));
            }
        }
    }

    async fn consider(&self, key: &str) -> Result<(), ClientError> {
        let Some((i, key)) = key.split_once('|') else { return Ok(()) };
        let Some(followed) = i.parse::<usize>().ok().and_then(|i| self.followed.get(i)) else {
            return Ok(());
        };
        let Some(object) = followed.informer.get_key(key) else { return Ok(()) };
        if is_deleting(&object) {
            return self.finish_owner(followed, &object).await;
        }
        let owners: Vec<&Value> = list(&object, "/metadata/ownerReferences").collect();
        if owners.is_empty() {
            return Ok(());
        }
        let (mut solid, mut dangling, mut waiting) = (0, Vec::new(), 0);
        for owner in &owners {
            match self.owner_state(&object, owner).await? {
                Owner::Solid => solid += 1,
                Owner::Gone => dangling.push(text(owner, "/uid").to_owned()),
                Owner::Waiting if owner.get("blockOwnerDeletion").and_then(Value::as_bool) == Some(true) => {
                    waiting += 1
                }
                Owner::Waiting => dangling.push(text(owner, "/uid").to_owned()),
            }
        }
        let (namespace, name) = (namespace_of(&object), text(&object, "/metadata/name"));
        if solid > 0 {
            if dangling.is_empty() {
                return Ok(());
            }
            let gone: Vec<Value> =
                dangling.iter().map(|uid| json!({"$patch": "delete", "uid": uid})).collect();
            let patch = json!({"metadata": {"uid": text(&object, "/metadata/uid"), "ownerReferences": gone}});
            return ignore_gone(
                self.rest
                    .patch(&followed.resource, namespace, name, Patch::Strategic(&patch), None)
                    .await
                    .map(drop),
            );
        }
        let has_dependents = !self.dependents(text(&object, "/metadata/uid")).is_empty();
        let policy = if waiting > 0 && has_dependents { "Foreground" } else { "Background" };
        let params = DeleteParams {
            propagation_policy: Some(policy.into()),
            resource_version: Some(text(&object, "/metadata/resourceVersion").to_owned()),
            ..DeleteParams::uid(text(&object, "/metadata/uid"))
        };
        ignore_gone(self.rest.delete(&followed.resource, namespace, name, &params).await.map(drop))
    }

    async fn owner_state(&self, dependent: &Value, owner: &Value) -> Result<Owner, ClientError> {
        let (group, version) =
            text(owner, "/apiVersion").split_once('/').unwrap_or(("", text(owner, "/apiVersion")));
        // An owner of a kind that nobody here knows is left alone.
        let Some(kind) = api::kinds::by_kind(group, version, text(owner, "/kind")) else {
            return Ok(Owner::Solid);
        };
        let namespace = if kind.namespaced { namespace_of(dependent) } else { None };
        let cached =
            self.followed.iter().find(|f| f.resource.group == kind.group && f.resource.plural == kind.plural);
        let known = cached.and_then(|f| f.informer.get(namespace, text(owner, "/name")));
        let live = match known.filter(|o| text(o, "/metadata/uid") == text(owner, "/uid")) {
            Some(found) => (*found).clone(),
            // The cache may be behind: absence is believed only when the server says so.
            None => match self.rest.get(&Resource::of(kind), namespace, text(owner, "/name")).await {
                Ok(found) => found,
                Err(e) if e.is_not_found() => return Ok(Owner::Gone),
                Err(e) => return Err(e),
            },
        };
        if text(&live, "/metadata/uid") != text(owner, "/uid") {
            return Ok(Owner::Gone);
        }
        let foreground =
            is_deleting(&live) && list(&live, "/metadata/finalizers").any(|f| f == "foregroundDeletion");
        Ok(if foreground { Owner::Waiting } else { Owner::Solid })
    }

    /// Does what the finalizers of a deleted owner ask for.
    async fn finish_owner(&self, followed: &Followed, owner: &Value) -> Result<(), ClientError> {
        let has = |name: &str| list(owner, "/metadata/finalizers").any(|f| f == name);
        let uid = text(owner, "/metadata/uid");
        if has("orphan") {
            for (key, dependent) in self.dependents(uid) {
                let Some(f) = key
                    .split_once('|')
                    .and_then(|(i, _)| i.parse::<usize>().ok())
                    .and_then(|i| self.followed.get(i))
                else {
                    continue;
                };
                let patch = json!({"metadata": {"uid": text(&dependent, "/metadata/uid"), "ownerReferences": [{"$patch": "delete", "uid": uid}]}});
                let (namespace, name) = (namespace_of(&dependent), text(&dependent, "/metadata/name"));
                ignore_gone(
                    self.rest
                        .patch(&f.resource, namespace, name, Patch::Strategic(&patch), None)
                        .await
                        .map(drop),
                )?;
            }
            return self.remove_finalizer(followed, owner, "orphan").await;
        }
        if !has("foregroundDeletion") {
            return Ok(());
        }
        let blocking = |d: &Value| {
            list(d, "/metadata/ownerReferences").any(|r| {
                text(r, "/uid") == uid && r.get("blockOwnerDeletion").and_then(Value::as_bool) == Some(true)
            })
        };
        let dependents: Vec<_> = self.dependents(uid).into_iter().filter(|(_, d)| blocking(d)).collect();
        for (key, dependent) in dependents.iter().filter(|(_, d)| !is_deleting(d)) {
            let Some(f) = key
                .split_once('|')
                .and_then(|(i, _)| i.parse::<usize>().ok())
                .and_then(|i| self.followed.get(i))
            else {
                continue;
            };
            let params = DeleteParams {
                propagation_policy: Some("Foreground".into()),
                ..DeleteParams::uid(text(dependent, "/metadata/uid"))
            };
            ignore_gone(
                self.rest
                    .delete(&f.resource, namespace_of(dependent), text(dependent, "/metadata/name"), &params)
                    .await
                    .map(drop),
            )?;
        }
        if dependents.is_empty() {
            self.remove_finalizer(followed, owner, "foregroundDeletion").await
        } else {
            Ok(())
        }
    }

    async fn remove_finalizer(
        &self,
        followed: &Followed,
        owner: &Value,
        name: &str,
    ) -> Result<(), ClientError> {
        let kept: Vec<&Value> = list(owner, "/metadata/finalizers").filter(|f| *f != name).collect();
        let patch = json!({"metadata": {"finalizers": kept, "resourceVersion": text(owner, "/metadata/resourceVersion")}});
        let patched = self
            .rest
            .patch(
                &followed.resource,
                namespace_of(owner),
                text(owner, "/metadata/name"),
                Patch::Merge(&patch),
                None,
            )
            .await;
        ignore_gone(patched.map(drop))
    }
}

enum Owner {
    Solid,
    Gone,
    Waiting,
}

fn namespace_of(object: &Value) -> Option<&str> {
    Some(text(object, "/metadata/namespace")).filter(|n| !n.is_empty())
}

/// Gone already, or changed meanwhile: the informer shows the change and the object comes again.
fn ignore_gone(outcome: Result<(), ClientError>) -> Result<(), ClientError> {
    match outcome {
        Err(e) if e.is_not_found() || e.is_conflict() => Ok(()),
        other => other,
    }
}
