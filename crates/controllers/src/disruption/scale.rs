//! How many pods the owners of pods ask for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use client::{Informer, Resource, Rest};
use serde_json::Value;

use crate::{
    context::Context,
    objects::{list, number, text},
};

const REPLICA_SETS: Resource = Resource::new("apps", "v1", "replicasets");
const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
const STATEFUL_SETS: Resource = Resource::new("apps", "v1", "statefulsets");

/// Where sizes are read: informers for the usual owners, `/scale` for all others.
#[derive(Clone)]
pub(super) struct Scales {
    rest: Rest,
    replica_sets: Informer,
    deployments: Informer,
    stateful_sets: Informer,
}

fn controller(object: &Value) -> Option<&Value> {
    list(object, "/metadata/ownerReferences").find(|o| o.get("controller") == Some(&Value::Bool(true)))
}

fn size(owner: &Value) -> i64 {
    number(owner, "/spec/replicas").unwrap_or(1)
}

impl Scales {
    pub(super) fn new(c: &Context, rest: &Rest) -> Self {
        Self {
            rest: rest.clone(),
            replica_sets: c.informer(REPLICA_SETS),
            deployments: c.informer(DEPLOYMENTS),
            stateful_sets: c.informer(STATEFUL_SETS),
        }
    }

    /// What they read.
    pub(super) fn informers(&self) -> [Informer; 3] {
        [&self.replica_sets, &self.deployments, &self.stateful_sets].map(Clone::clone)
    }

    /// The sum over all controllers of `pods`, and the names of pods that have none.
    pub(super) async fn of(&self, pods: &[Arc<Value>]) -> Result<(i64, Vec<String>), String> {
        let (mut known, mut unmanaged) = (BTreeMap::<String, i64>::new(), Vec::new());
        // Several replica sets of a deployment are one controller, found by the set's UID as well.
        let mut seen = BTreeSet::new();
        for pod in pods {
            let Some(owner) = controller(pod) else {
                unmanaged.push(text(pod, "/metadata/name").to_owned());
                continue;
            };
            if !seen.insert(text(owner, "/uid")) {
                continue;
            }
            match self.find(owner, text(pod, "/metadata/namespace")).await? {
                Some((uid, scale)) => known.insert(uid, scale),
                None => {
                    return Err(format!("found no controllers for pod {:?}", text(pod, "/metadata/name")));
                }
            };
        }
        Ok((known.values().sum(), unmanaged))
    }

    async fn find(&self, owner: &Value, namespace: &str) -> Result<Option<(String, i64)>, String> {
        let (name, uid) = (text(owner, "/name"), text(owner, "/uid"));
        let held = |informer: &Informer, name: &str, uid: &str| {
            informer.get(namespace, name).filter(|o| text(o, "/metadata/uid") == uid)
        };
        let group = text(owner, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
        match (group, text(owner, "/kind")) {
            ("apps", "ReplicaSet") => {
                let Some(set) = held(&self.replica_sets, name, uid) else { return Ok(None) };
                let Some(above) = controller(&set).filter(|o| text(o, "/kind") == "Deployment") else {
                    return Ok(Some((uid.to_owned(), size(&set))));
                };
                let deployment = held(&self.deployments, text(above, "/name"), text(above, "/uid"));
                Ok(deployment.map(|d| (text(&d, "/metadata/uid").to_owned(), size(&d))))
            }
            ("apps", "StatefulSet") => {
                Ok(held(&self.stateful_sets, name, uid).map(|s| (uid.to_owned(), size(&s))))
            }
            _ => self.ask(owner, namespace).await,
        }
    }

    /// Any kind that can be scaled: its plural is found by discovery.
    async fn ask(&self, owner: &Value, namespace: &str) -> Result<Option<(String, i64)>, String> {
        let version = text(owner, "/apiVersion");
        let path = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let (status, body) =
            self.rest.raw(http::Method::GET, &path, None).await.map_err(|e| e.to_string())?;
        if !status.is_success() {
            return Err(format!("the server could not find the requested resource ({version})"));
        }
        let served: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
        let kind = text(owner, "/kind");
        let plural = list(&served, "/resources")
            .find(|r| text(r, "/kind") == kind && !text(r, "/name").contains('/'))
            .map(|r| text(r, "/name").to_owned())
            .ok_or_else(|| format!("no matches for kind {kind:?} in version {version:?}"))?;
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = Resource::named(group, version, plural.clone());
        if !list(&served, "/resources").any(|r| text(r, "/name") == format!("{plural}/scale")) {
            return Err(format!("{} does not implement the scale subresource", resource.qualified()));
        }
        match self.rest.get_sub(&resource, Some(namespace), text(owner, "/name"), "scale").await {
            Ok(scale) if text(&scale, "/metadata/uid") == text(owner, "/uid") => {
                Ok(Some((text(owner, "/uid").to_owned(), number(&scale, "/spec/replicas").unwrap_or(0))))
            }
            Ok(_) => Ok(None),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.to_string()),
        }
    }
}
