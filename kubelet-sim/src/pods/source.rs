//! Where pods come from: manifests in a directory, and the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use api::object::ObjectExt as _;
use client::{Change, DeleteParams, Informer, InformerOptions, QueueOptions, Resource, Rest, WorkQueue};
use serde_json::{Value, json};
use world::Host;

use super::{Pods, status, worker::is_over};
use crate::kubelet::Registered;

pub(super) const PODS: Resource = Resource::core("pods");
/// The directory is read anew this often even when nothing seems to change (fileCheckFrequency).
const FILE_CHECK: Duration = Duration::from_secs(20);
/// How often statuses that could not be told are told again (the status manager's sync period).
const STATUS_RETRY: Duration = Duration::from_secs(10);

/// Runs what the manifests in `dir` say, for ever.
pub(super) async fn follow_files(pods: Arc<Pods>, dir: String) {
    let host = pods.host.clone();
    let mut first = true;
    loop {
        let wanted = read_manifests(&host, &dir, &pods.node.options.node_name);
        if std::mem::take(&mut first) {
            pods.take_over(|pod| is_from_file(pod) && !wanted.contains_key(pod.uid()));
        }
        for uid in pods.uids(true) {
            if !wanted.contains_key(&uid) {
                pods.stop(&uid, async |_| {}).await;
            }
        }
        for (uid, pod) in wanted {
            pods.start(&uid, Arc::new(pod), true);
        }
        let _ = host
            .clock()
            .timeout(host.periods().of(FILE_CHECK), host.disk().changed(&dir, host.clock()))
            .await;
    }
}

/// Static pods by their UID, which is a hash of what the file says: an edited file is a new pod.
fn read_manifests(host: &Host, dir: &str, node: &str) -> BTreeMap<String, Value> {
    let names = host.disk().list(dir).unwrap_or_default();
    let manifests =
        names.iter().filter(|n| n.ends_with(".yaml") || n.ends_with(".yml") || n.ends_with(".json"));
    let mut found = BTreeMap::new();
    for name in manifests.filter(|n| !n.starts_with('.')) {
        let path = format!("{dir}/{name}");
        let Ok(text) = host.disk().read_to_string(&path) else { continue };
        match serde_saphyr::from_str::<Value>(&text) {
            Ok(pod) if pod["kind"] == "Pod" => {
                let hash = hash(&text, node);
                found.insert(hash.clone(), static_pod(pod, &hash, node));
            }
            Ok(_) => tracing::error!("{path}: not a Pod; only Pods can be static"),
            Err(e) => tracing::error!("Could not process manifest file {path}: {e}"),
        }
    }
    found
}

/// 32 hex digits of the manifest and the node's name; upstream's is an MD5 of the decoded pod.
fn hash(text: &str, node: &str) -> String {
    let fold = |basis: u64| {
        let bytes = text.bytes().chain(node.bytes());
        bytes.fold(basis, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
    };
    format!("{:016x}{:016x}", fold(0xcbf2_9ce4_8422_2325), fold(0x8422_2325_cbf2_9ce4))
}

fn static_pod(mut pod: Value, hash: &str, node: &str) -> Value {
    let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if pod.pointer("/metadata/namespace").and_then(Value::as_str).is_none_or(str::is_empty) {
        pod["metadata"]["namespace"] = "default".into();
    }
    pod["metadata"]["name"] = format!("{name}-{node}").into();
    pod["metadata"]["uid"] = hash.into();
    pod["metadata"]["annotations"]["kubernetes.io/config.hash"] = hash.into();
    pod["metadata"]["annotations"]["kubernetes.io/config.source"] = "file".into();
    pod["spec"]["nodeName"] = node.into();
    if pod.pointer("/spec/tolerations").is_none() {
        pod["spec"]["tolerations"] = json!([{"effect": "NoExecute", "operator": "Exists"}]);
    }
    pod
}

/// Whether a pod comes from a manifest on this host.
pub(super) fn is_from_file(pod: &Value) -> bool {
    pod.annotation("kubernetes.io/config.source") == Some("file")
}

/// Follows the API: runs what is bound here, ends what is deleted, tells statuses, keeps mirrors.
pub(super) async fn follow_api(pods: Arc<Pods>, rest: Rest, registered: Arc<Registered>) {
    let host = pods.host.clone();
    let node_uid = registered.wait().await;
    let options = InformerOptions {
        field_selector: Some(format!("spec.nodeName={}", pods.node.options.node_name)),
        ..InformerOptions::default()
    };
    let informer = Informer::start(&host, &rest, PODS, options);
    let queue = WorkQueue::new(&host, QueueOptions::default());
    let feed = queue.clone();
    informer.on(move |change| {
        let object = match change {
            Change::Added(object) | Change::Deleted(object) => object,
            Change::Updated { new, .. } => new,
        };
        feed.add(client::key_of(object));
    });
    host.spawn(status::tell(pods.clone(), rest.clone(), node_uid, informer.clone()));
    informer.synced().await;
    let there: BTreeSet<String> = informer.list().iter().map(|pod| pod.uid().to_owned()).collect();
    for uid in pods.take_over(|pod| !is_from_file(pod) && !there.contains(pod.uid())) {
        let pods = pods.clone();
        host.spawn(async move { pods.stop(&uid, async |_| {}).await });
    }
    while let Some(key) = queue.get().await {
        if let Err(e) = sync(&pods, &rest, &informer, &key).await {
            tracing::error!("Error syncing pod {key}, skipping: {e}");
            queue.add_after(key.clone(), STATUS_RETRY);
        }
        queue.done(&key);
    }
}

async fn sync(
    pods: &Arc<Pods>,
    rest: &Rest,
    informer: &Informer,
    key: &str,
) -> Result<(), client::ClientError> {
    let (namespace, name) = client::split_key(key);
    let current = informer.get(namespace, name);
    // A pod of that name that is gone, or another one with the same name.
    let present = current.as_ref().map(|p| p.uid());
    for uid in pods.uids(false) {
        let ours = pods.worker(&uid).is_some_and(|w| w.key() == key);
        if ours && present != Some(&uid) {
            let pods = pods.clone();
            pods.host.clone().spawn(async move { pods.stop(&uid, async |_| {}).await });
        }
    }
    let (Some(pod), Some(uid)) = (current.as_ref(), present) else { return Ok(()) };
    if pod.annotation("kubernetes.io/config.mirror").is_some() {
        return Ok(());
    }
    let known = pods.worker(uid).is_some();
    if pod.is_terminating() {
        if !known && !pods.ran(uid) {
            return delete(rest, pod).await;
        }
        pods.start(uid, pod.clone(), false);
        let (pods, rest, pod, uid) = (pods.clone(), rest.clone(), pod.clone(), uid.to_owned());
        // Its grace must not keep other pods waiting.
        pods.host.clone().spawn(async move {
            let host = pods.host.clone();
            let last = async |worker: &super::Worker| {
                while let Err(e) = gone(&rest, &pod, &worker.status()).await {
                    tracing::error!("Failed to delete pod {}: {e}", worker.key());
                    host.clock().sleep(STATUS_RETRY).await;
                }
            };
            pods.stop(&uid, last).await;
        });
        return Ok(());
    }
    if known || pods.ran(uid) || !is_over(pod) {
        pods.start(uid, pod.clone(), false);
    }
    Ok(())
}

/// The last status of a pod, and then its deletion.
async fn gone(rest: &Rest, pod: &Value, status: &Value) -> Result<(), client::ClientError> {
    status::report(rest, pod, status).await.map(drop)?;
    delete(rest, pod).await
}

async fn delete(rest: &Rest, pod: &Value) -> Result<(), client::ClientError> {
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        uid: Some(pod.uid().to_owned()),
        ..DeleteParams::default()
    };
    match rest.delete(&PODS, Some(pod.namespace()), pod.name(), &params).await {
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() || e.is_conflict() => Ok(()),
        Err(e) => Err(e),
    }
}
