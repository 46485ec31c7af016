//! podgc: removes pods that nobody else will: of nodes that are gone, deleted before they had a node,
//! and finished ones beyond a limit.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{ClientError, DeleteParams, Informer, Patch, Resource, Rest};
use serde_json::{Value, json};
use world::{Host, Mono, rfc3339};

use crate::{
    context::Context,
    objects::condition_is,
    pods::{PODS, is_finished},
};

const NODES: Resource = Resource::core("nodes");
const PERIOD: Duration = Duration::from_secs(20);
/// How long a node must be absent before its pods go.
const QUARANTINE: Duration = Duration::from_secs(40);
/// Finished pods that may stay (`--terminated-pod-gc-threshold`).
const FINISHED: usize = 12_500;
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

struct Loop {
    host: Host,
    rest: Rest,
    pods: Informer,
    nodes: Informer,
    /// Nodes that pods name and nobody knows, and since when.
    absent: BTreeMap<String, Mono>,
}

/// Starts the loop.
pub(crate) fn run(c: &Context) {
    let mut this = Loop {
        host: c.host.clone(),
        rest: c.rest("pod-garbage-collector"),
        pods: c.informer(PODS),
        nodes: c.informer(NODES),
        absent: BTreeMap::new(),
    };
    let host = c.host.clone();
    c.host.spawn(async move {
        this.pods.synced().await;
        this.nodes.synced().await;
        loop {
            if let Err(e) = this.collect().await {
                tracing::error!("pods not collected: {e}");
            }
            host.recur(PERIOD).await;
        }
    });
}

/// Why a pod is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Finished,
    NoNode,
    Unscheduled,
    OutOfService,
}

impl Loop {
    async fn collect(&mut self) -> Result<(), ClientError> {
        let pods = self.pods.list();
        let gone = self.gone_nodes(&pods).await?;
        for (pod, why) in doomed(&pods, &self.nodes, &gone, FINISHED) {
            self.remove(&pod, why).await?;
        }
        Ok(())
    }

    /// Nodes that have been absent through their quarantine, asked about once more.
    async fn gone_nodes(&mut self, pods: &[Arc<Value>]) -> Result<Vec<String>, ClientError> {
        let now = self.host.clock().monotonic();
        let unknown = |name: &str| !name.is_empty() && self.nodes.get(None, name).is_none();
        let named: Vec<&str> =
            pods.iter().map(|p| p.str_at("/spec/nodeName")).filter(|n| unknown(n)).collect();
        self.absent.retain(|name, _| named.contains(&name.as_str()));
        for name in named {
            self.absent.entry(name.to_owned()).or_insert(now);
        }
        let mut gone = Vec::new();
        for (name, since) in &self.absent {
            if now.since(*since) >= self.host.periods().of(QUARANTINE)
                && self.rest.get_opt(&NODES, None, name).await?.is_none()
            {
                gone.push(name.clone());
            }
        }
        Ok(gone)
    }

    async fn remove(&self, pod: &Value, why: Why) -> Result<(), ClientError> {
        let (namespace, name) = (pod.namespace(), pod.name());
        let words = match why {
            Why::NoNode => Some("PodGC: node no longer exists"),
            Why::OutOfService => Some("PodGC: node is out of service"),
            Why::Finished | Why::Unscheduled => None,
        };
        let mut status = json!({});
        if let Some(words) = words {
            status["conditions"] = json!([{
                "lastTransitionTime": rfc3339(self.host.clock().wall()),
                "message": words,
                "reason": "DeletionByPodGC",
                "status": "True",
                "type": "DisruptionTarget",
            }]);
        }
        // Whoever counts pods must see that this one did not finish.
        if !is_finished(pod) {
            status["phase"] = "Failed".into();
        }
        if status != json!({}) {
            let patch = json!({"metadata": {"uid": pod.uid()}, "status": status});
            match self
                .rest
                .patch(&PODS, Some(namespace), name, Patch::Strategic(&patch), Some("status"))
                .await
            {
                Err(e) if e.is_not_found() || e.is_conflict() => return Ok(()),
                Err(e) => return Err(e),
                Ok(_) => {}
            }
        }
        let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::uid(pod.uid()) };
        match self.rest.delete(&PODS, Some(namespace), name, &params).await {
            Err(e) if !e.is_not_found() && !e.is_conflict() => Err(e),
            _ => Ok(()),
        }
    }
}

/// The pods to remove, each once.
fn doomed(pods: &[Arc<Value>], nodes: &Informer, gone: &[String], limit: usize) -> Vec<(Arc<Value>, Why)> {
    let mut finished: Vec<&Arc<Value>> = pods.iter().filter(|p| is_finished(p)).collect();
    finished.sort_by_key(|p| {
        let at = |field: &str| p.str_at(field).to_owned();
        (at("/metadata/creationTimestamp"), at("/metadata/namespace"), at("/metadata/name"))
    });
    let excess: Vec<&str> =
        finished.iter().take(finished.len().saturating_sub(limit)).map(|p| p.uid()).collect();
    let why = |pod: &Value| {
        let node = pod.str_at("/spec/nodeName");
        if excess.contains(&pod.uid()) {
            return Some(Why::Finished);
        }
        if gone.iter().any(|n| n == node) {
            return Some(Why::NoNode);
        }
        if !pod.is_terminating() {
            return None;
        }
        if node.is_empty() {
            return Some(Why::Unscheduled);
        }
        let node = nodes.get(None, node)?;
        let out = node.list_at("/spec/taints").iter().any(|t| t.str_at("/key") == OUT_OF_SERVICE);
        (out && !condition_is(&node, "Ready", "True")).then_some(Why::OutOfService)
    };
    pods.iter().filter_map(|p| why(p).map(|w| (p.clone(), w))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, node: &str, phase: &str, deleting: bool) -> Arc<Value> {
        let mut pod = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": name},
            "spec": {"nodeName": node},
            "status": {"phase": phase},
        });
        if deleting {
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        Arc::new(pod)
    }

    #[test]
    fn which_pods_go() {
        let out = json!({
            "metadata": {"name": "out"},
            "spec": {"taints": [{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]},
        });
        let nodes = Informer::fixed(vec![json!({"metadata": {"name": "n1"}}), out]);
        let pods = [
            pod("1-finished", "n1", "Succeeded", false),
            pod("2-finished", "n1", "Failed", false),
            pod("running", "n1", "Running", false),
            pod("ending", "n1", "Running", true),
            pod("lost", "gone", "Running", false),
            pod("waiting", "", "Pending", false),
            pod("cancelled", "", "Pending", true),
            pod("stuck", "out", "Running", true),
            pod("working", "out", "Running", false),
        ];
        let found = doomed(&pods, &nodes, &["gone".to_owned()], 1);
        let found: Vec<(&str, Why)> = found.iter().map(|(p, w)| (p.name(), *w)).collect();
        assert_eq!(
            found,
            [
                ("1-finished", Why::Finished),
                ("lost", Why::NoNode),
                ("cancelled", Why::Unscheduled),
                ("stuck", Why::OutOfService)
            ]
        );
    }
}
