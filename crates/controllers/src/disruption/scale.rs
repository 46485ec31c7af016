//! How many pods the owners of pods ask for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::object::ObjectExt as _;
use client::{Informer, Resource, Rest};
use serde_json::Value;

use crate::context::Context;

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
    object
        .list_at("/metadata/ownerReferences")
        .iter()
        .find(|o| o.get("controller") == Some(&Value::Bool(true)))
}

fn size(owner: &Value) -> i64 {
    owner.i64_at("/spec/replicas").unwrap_or(1)
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
                unmanaged.push(pod.name().to_owned());
                continue;
            };
            if !seen.insert(owner.str_at("/uid")) {
                continue;
            }
            match self.find(owner, pod.namespace()).await? {
                Some((uid, scale)) => known.insert(uid, scale),
                None => {
                    return Err(format!("found no controllers for pod {:?}", pod.name()));
                }
            };
        }
        Ok((known.values().sum(), unmanaged))
    }

    async fn find(&self, owner: &Value, namespace: &str) -> Result<Option<(String, i64)>, String> {
        let (name, uid) = (owner.str_at("/name"), owner.str_at("/uid"));
        let held = |informer: &Informer, name: &str, uid: &str| {
            informer.get(namespace, name).filter(|o| o.uid() == uid)
        };
        let group = owner.api_version().split_once('/').map_or("", |(group, _)| group);
        match (group, owner.kind()) {
            ("apps", "ReplicaSet") => {
                let Some(set) = held(&self.replica_sets, name, uid) else { return Ok(None) };
                let Some(above) = controller(&set).filter(|o| o.kind() == "Deployment") else {
                    return Ok(Some((uid.to_owned(), size(&set))));
                };
                let deployment = held(&self.deployments, above.str_at("/name"), above.str_at("/uid"));
                Ok(deployment.map(|d| (d.uid().to_owned(), size(&d))))
            }
            ("apps", "StatefulSet") => {
                Ok(held(&self.stateful_sets, name, uid).map(|s| (uid.to_owned(), size(&s))))
            }
            _ => self.ask(owner, namespace).await,
        }
    }

    /// Any kind that can be scaled: its plural is found by discovery.
    async fn ask(&self, owner: &Value, namespace: &str) -> Result<Option<(String, i64)>, String> {
        let version = owner.api_version();
        let path = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let (status, body) =
            self.rest.raw(http::Method::GET, &path, None).await.map_err(|e| e.to_string())?;
        if !status.is_success() {
            return Err(format!("the server could not find the requested resource ({version})"));
        }
        let served: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
        let kind = owner.kind();
        let plural = served
            .list_at("/resources")
            .iter()
            .find(|r| r.kind() == kind && !r.str_at("/name").contains('/'))
            .map(|r| r.str_at("/name").to_owned())
            .ok_or_else(|| format!("no matches for kind {kind:?} in version {version:?}"))?;
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = Resource::named(group, version, plural.clone());
        if !served.list_at("/resources").iter().any(|r| r.str_at("/name") == format!("{plural}/scale")) {
            return Err(format!("{} does not implement the scale subresource", resource.qualified()));
        }
        match self.rest.get_sub(&resource, Some(namespace), owner.str_at("/name"), "scale").await {
            Ok(scale) if scale.uid() == owner.str_at("/uid") => {
                Ok(Some((owner.str_at("/uid").to_owned(), scale.i64_at("/spec/replicas").unwrap_or(0))))
            }
            Ok(_) => Ok(None),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.to_string()),
        }
    }
}
