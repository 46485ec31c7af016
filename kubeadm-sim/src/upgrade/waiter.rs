//! Waiting for the kubelet to exchange a static pod, as the API shows it
//! (`KubeWaiter` of `cmd/kubeadm/app/util/apiclient/wait.go`).

use std::time::Duration;

use api::duration;
use client::{Resource, Rest};
use serde_json::Value;
use world::{FileKind, Host};

use super::cluster::pods;
use crate::{
    paths::{HEALTH_POLL, KUBE_SYSTEM},
    session::{Failure, Result, Session, poll},
};

const HASH: &str = "/metadata/annotations/kubernetes.io~1config.hash";

/// The hash of a component's manifest as its mirror pod shows it.
async fn hash(rest: &Rest, node: &str, component: &str) -> Result<String> {
    let name = format!("{component}-{node}");
    let pod = rest.get(&Resource::core("pods"), Some(KUBE_SYSTEM), &name).await.map_err(|e| {
        Failure::from(e)
            .within(&format!("failed to obtain static Pod hash for component {component} on Node {node}"))
    })?;
    Ok(pod.pointer(HASH).and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// The same, as soon as there is such a pod.
pub(super) async fn present_hash(
    host: &Host,
    rest: &Rest,
    node: &str,
    component: &str,
    timeout: Duration,
) -> Result<String> {
    poll(host, HEALTH_POLL, timeout, async || hash(rest, node, component).await).await
}

/// Waits until the mirror pod is of another manifest than the one with the hash `before`.
pub(super) async fn hash_changed(
    host: &Host,
    rest: &Rest,
    node: &str,
    component: &str,
    before: &str,
    timeout: Duration,
) -> Result<()> {
    poll(host, HEALTH_POLL, timeout, async || match hash(rest, node, component).await? {
        now if now == before => Err(Failure::new(format!(
            "static Pod hash for component {component} on Node {node} did not change after {}: context deadline exceeded",
            duration::format(timeout)
        ))),
        _ => Ok(()),
    })
    .await
}

/// Waits until all pods with a label run, and says how many there are.
pub(super) async fn pods_running(
    s: &mut Session<'_>,
    rest: &Rest,
    label: &str,
    timeout: Duration,
) -> Result<()> {
    let deadline = s.host.clock().monotonic() + timeout;
    let mut known = None;
    loop {
        if let Ok(found) = pods(rest, label).await {
            if known != Some(found.len()) {
                known = Some(found.len());
                s.say(format!("[apiclient] Found {} Pods for label selector {label}", found.len()));
            }
            let runs = |pod: &Value| pod.pointer("/status/phase").and_then(Value::as_str) == Some("Running");
            if !found.is_empty() && found.iter().all(runs) {
                return Ok(());
            }
        }
        if s.host.clock().monotonic() >= deadline {
            return Err(Failure::new("context deadline exceeded"));
        }
        s.host.clock().sleep(HEALTH_POLL).await;
    }
}

/// Copies a directory and all in it; nothing to do where there is none. An empty file says nothing that a copy could
/// keep: in memory it stands for what its program holds, and a copy of it over the original would lose that.
pub(super) fn copy_dir(s: &Session<'_>, from: &str, to: &str) -> Result<()> {
    let Some(stat) = s.disk().stat(from) else { return Ok(()) };
    if stat.kind != FileKind::Dir {
        if stat.len == 0 {
            return Ok(());
        }
        return Ok(s.disk().write(to, s.disk().read(from)?, stat.mode)?);
    }
    s.disk().create_dir_all(to)?;
    for name in s.disk().list(from)? {
        copy_dir(s, &format!("{from}/{name}"), &format!("{to}/{name}"))?;
    }
    Ok(())
}
