//! A pod gets its node: its claims are bound first, then the pod itself.

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{ClientError, Informer};
use serde_json::{Value, json};

use super::{CLAIMS, PODS, Scheduler, VOLUMES, volumes::Plan};
use crate::volumes::matching::{self, BOUND_BY_CONTROLLER, SELECTED_NODE};

/// How long claims may take to be bound (`bindTimeoutSeconds`).
const BIND_TIMEOUT: Duration = Duration::from_secs(600);

impl Scheduler {
    /// From now on the pod takes room on the node.
    pub(super) fn assume(&self, pod: &Arc<Value>, node: &str) {
        let uid = pod.uid().to_owned();
        self.assumed.lock().insert(uid, (pod.clone(), node.to_owned()));
        self.queue.remove(&client::key_of(pod));
    }

    /// Binds at once; a pod whose claims have to be bound before does not hold up the others.
    pub(super) async fn bind(self: Arc<Self>, pod: Arc<Value>, node: String, plan: Plan) {
        if plan.is_empty() {
            return self.finish(&pod, &node).await;
        }
        let this = self.clone();
        self.host.spawn(async move {
            match this.bind_claims(&node, &plan).await {
                Ok(()) => this.finish(&pod, &node).await,
                Err(why) => {
                    let words = format!("running PreBind plugin \"VolumeBinding\": {why}");
                    this.give_back(&pod, words).await;
                }
            }
        });
    }

    async fn bind_claims(&self, node: &str, plan: &Plan) -> Result<(), String> {
        for (volume, claim) in &plan.bind {
            self.reserve(volume, claim).await.map_err(|e| e.to_string())?;
        }
        for claim in &plan.provision {
            let (namespace, name) = (claim.namespace(), claim.name());
            let mut wanted = (**claim).clone();
            wanted["metadata"]["annotations"][SELECTED_NODE] = node.into();
            self.rest.update(&CLAIMS, Some(namespace), name, &wanted).await.map_err(|e| e.to_string())?;
        }
        let keys = plan.claims();
        let bound = |claims: &Informer| {
            keys.iter().all(|key| claims.get_key(key).is_some_and(|c| matching::is_bound(&c)))
        };
        let wait = self.claims.until(bound);
        match self.host.clock().timeout(BIND_TIMEOUT, wait).await {
            Ok(()) => Ok(()),
            Err(_) => Err("binding volumes: context deadline exceeded".into()),
        }
    }

    /// Keeps a volume for a claim; the binder does the rest.
    async fn reserve(&self, volume: &str, claim: &Value) -> Result<(), ClientError> {
        let Some(found) = self.volumes.get(None, volume) else { return Ok(()) };
        let mut wanted = (*found).clone();
        wanted["spec"]["claimRef"] = matching::reference_to(claim);
        wanted["metadata"]["annotations"][BOUND_BY_CONTROLLER] = "yes".into();
        self.rest.update(&VOLUMES, None, volume, &wanted).await.map(drop)
    }

    async fn finish(&self, pod: &Value, node: &str) {
        let (namespace, name, uid) = (pod.namespace(), pod.name(), pod.uid());
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        match self.rest.create_sub(&PODS, Some(namespace), name, "binding", &binding).await {
            Ok(_) => {
                self.host
                    .record("bind", vec![("pod", format!("{namespace}/{name}")), ("node", node.to_owned())]);
                let words = format!("Successfully assigned {namespace}/{name} to {node}");
                self.recorder.normal(pod, "Scheduled", words);
            }
            Err(e) => self.give_back(pod, format!("binding rejected: {e}")).await,
        }
    }

    /// The node is free again, and the pod is tried again after its backoff.
    async fn give_back(&self, pod: &Value, why: String) {
        self.assumed.lock().remove(pod.uid());
        self.failed(pod, why).await;
    }
}
