//! What the stories share: waiting for a state, and making objects.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chronoplane::{Cluster, cluster::wait_for};
use client::{Informer, InformerOptions, ListParams, Resource};
use serde_json::{Value, json};

pub const PODS: Resource = Resource::core("pods");
pub const ACCOUNTS: Resource = Resource::core("serviceaccounts");
pub const SERVICES: Resource = Resource::core("services");
pub const ENDPOINTS: Resource = Resource::core("endpoints");
pub const SLICES: Resource = Resource::new("discovery.k8s.io", "v1", "endpointslices");
pub const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
pub const REPLICA_SETS: Resource = Resource::new("apps", "v1", "replicasets");
pub const NS: Option<&str> = Some("default");

pub const DAEMON_SETS: Resource = Resource::new("apps", "v1", "daemonsets");
pub const NODES: Resource = Resource::core("nodes");

pub const STATEFUL_SETS: Resource = Resource::new("apps", "v1", "statefulsets");

pub const BUDGETS: Resource = Resource::new("policy", "v1", "poddisruptionbudgets");
pub const EVENTS: Resource = Resource::core("events");
pub const JOBS: Resource = Resource::new("batch", "v1", "jobs");

/// Waits until `holds` of the object of that name; returns it.
pub async fn until(
    cluster: &Cluster,
    what: &str,
    resource: &Resource,
    namespace: Option<&str>,
    name: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    let found = wait_for(&cluster.sim().host("workstation"), what, async || {
        last = cluster.admin().get(resource, namespace, name).await.ok()?;
        holds(&last).then(|| last.clone())
    })
    .await;
    found.unwrap_or_else(|e| panic!("{e}; last seen: {last}"))
}

/// Waits until `holds` of all objects with these labels; returns them.
pub async fn until_all(
    cluster: &Cluster,
    what: &str,
    resource: &Resource,
    namespace: &str,
    labels: &str,
    holds: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let mut last = Vec::new();
    let params = ListParams { label_selector: Some(labels.to_owned()), ..ListParams::default() };
    let found = wait_for(&cluster.sim().host("workstation"), what, async || {
        let list = cluster.admin().list(resource, Some(namespace), &params).await.ok()?;
        last = list.items.iter().map(|o| (**o).clone()).collect();
        holds(&last).then(|| last.clone())
    })
    .await;
    found.unwrap_or_else(|e| panic!("{e}; last seen: {}", Value::from(last)))
}

/// Creates in the namespace `default`, once pods may be created there.
pub async fn create(cluster: &Cluster, resource: &Resource, object: Value) -> Value {
    until(cluster, "the namespace has its account", &ACCOUNTS, NS, "default", |_| true).await;
    cluster.admin().create(resource, NS, &object).await.unwrap_or_else(|e| panic!("{e}: {object}"))
}

pub fn template(labels: Value) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [
        {"name": "c", "image": "nginx", "ports": [{"name": "http", "containerPort": 8080}]}
    ]}})
}

pub fn deployment(name: &str, replicas: i64) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template(json!({"app": name})),
        },
    })
}

pub fn service(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"team": "a"}},
        "spec": {"selector": {"app": name}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
    })
}

pub fn len(object: &Value, at: &str) -> usize {
    object.pointer(at).and_then(Value::as_array).map_or(0, Vec::len)
}

pub fn node_of(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

pub fn all_running(pods: &[Value]) -> bool {
    pods.iter().all(|p| p["status"]["phase"] == "Running" && p["metadata"].get("deletionTimestamp").is_none())
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn has_condition(object: &Value, kind: &str) -> bool {
    let all = object["status"]["conditions"].as_array();
    all.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True")
}

pub fn reason<'a>(object: &'a Value, kind: &str) -> &'a str {
    let all = object["status"]["conditions"].as_array();
    let found = all.into_iter().flatten().find(|c| c["type"] == kind);
    found.and_then(|c| c["reason"].as_str()).unwrap_or_default()
}

pub fn names(objects: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = objects.iter().filter_map(|o| o["metadata"]["name"].as_str()).collect();
    names.sort_unstable();
    names
}

pub fn text<'a>(object: &'a Value, at: &str) -> &'a str {
    object.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

/// Waits until somebody has told people of the object `name`, with this reason and words that begin so.
pub async fn until_event(cluster: &Cluster, name: &str, reason: &str, words: &str) -> Value {
    let mut last = Vec::new();
    let found = wait_for(&cluster.sim().host("workstation"), &format!("an event {reason}"), async || {
        let events = cluster.admin().list(&EVENTS, None, &ListParams::default()).await.ok()?;
        let about = events.items.iter().filter(|e| e["involvedObject"]["name"] == name);
        last = about.map(|e| (**e).clone()).collect();
        last.iter().find(|e| e["reason"] == reason && text(e, "/message").starts_with(words)).cloned()
    })
    .await;
    found.unwrap_or_else(|e| panic!("{e}; told of {name}: {}", Value::from(last)))
}

/// What was to be seen of some pods at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Neither ended nor on their way out.
    pub active: usize,
    /// Ready ones of these.
    pub ready: usize,
}

/// A watch of pods that keeps every state it has seen.
pub struct Followed {
    informer: Informer,
    states: Arc<Mutex<Vec<Seen>>>,
}

/// Watches the pods with these labels from now on.
pub fn follow(cluster: &Cluster, labels: &str) -> Followed {
    let options = InformerOptions {
        namespace: Some("default".into()),
        label_selector: Some(labels.to_owned()),
        ..InformerOptions::default()
    };
    let informer = Informer::start(&cluster.sim().host("workstation"), cluster.admin(), PODS, options);
    let states = Arc::new(Mutex::new(Vec::new()));
    let (all, seen) = (informer.clone(), states.clone());
    informer.on(move |_| {
        // The first list comes object by object.
        if all.has_synced() {
            let active: Vec<_> = all
                .list()
                .into_iter()
                .filter(|p| p["metadata"].get("deletionTimestamp").is_none())
                .filter(|p| !matches!(text(p, "/status/phase"), "Succeeded" | "Failed"))
                .collect();
            let ready = active.iter().filter(|p| has_condition(p, "Ready")).count();
            seen.lock().expect("no panic").push(Seen { active: active.len(), ready });
        }
    });
    Followed { informer, states }
}

impl Followed {
    pub async fn synced(&self) {
        self.informer.synced().await;
    }

    pub fn states(&self) -> Vec<Seen> {
        self.states.lock().expect("no panic").clone()
    }
}

/// Pods as they were when their deletion began.
pub struct Leaving(Arc<Mutex<Vec<Value>>>);

/// Notes from now on which pods of the namespace are on their way out.
pub fn leaving(cluster: &Cluster) -> Leaving {
    let options = InformerOptions { namespace: Some("default".into()), ..InformerOptions::default() };
    let informer = Informer::start(&cluster.sim().host("workstation"), cluster.admin(), PODS, options);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = seen.clone();
    informer.on(move |change| {
        if change.object()["metadata"].get("deletionTimestamp").is_some() {
            all.lock().expect("no panic").push((**change.object()).clone());
        }
    });
    Leaving(seen)
}

impl Leaving {
    pub fn seen(&self) -> Vec<Value> {
        self.0.lock().expect("no panic").clone()
    }
}
