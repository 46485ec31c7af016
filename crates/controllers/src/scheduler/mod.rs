//! kube-scheduler, in the part that a simulation needs: filter, score, bind.

mod filter;
mod neighbours;
mod resources;

use std::{sync::Arc, time::Duration};

use client::{
    Informer, InformerOptions, Next, Patch, QueueOptions, Resource, Rest, WorkQueue,
    leader::{Election, LeaderElector},
    recorder::Recorder,
    run_workers,
};
use parking_lot::Mutex;
use pki::kubeconfig::Kubeconfig;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use world::{Exit, Host, rfc3339};

use crate::{
    health,
    objects::{condition, is_deleting, text},
    options::SchedulerOptions,
};
use filter::Verdict;
use neighbours::{Around, Placed};

const PODS: Resource = Resource::core("pods");
const NODES: Resource = Resource::core("nodes");
const NAMESPACES: Resource = Resource::core("namespaces");
const NAME: &str = "default-scheduler";
/// Backoff of a pod that does not fit, and when it is looked at again in any case.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
const FLUSH: Duration = Duration::from_secs(5 * 60);

/// Runs `kube-scheduler <args>` on `host` until it exits.
pub async fn run(host: Host, args: Vec<String>) -> Exit {
    match start(&host, args).await {
        Ok(()) => Exit::Success,
        Err(why) => {
            tracing::error!("{why}");
            Exit::Failure(why)
        }
    }
}

async fn start(host: &Host, args: Vec<String>) -> Result<(), String> {
    let options = SchedulerOptions::parse_args(args).map_err(|e| e.to_string())?;
    let config = Kubeconfig::load(host.disk(), &options.kubeconfig).map_err(|e| e.to_string())?;
    let profile = options.kubernetes_version;
    let agent = format!("kube-scheduler/{} (linux/amd64) kubernetes", profile.git_version());
    let rest = Rest::from_kubeconfig(host, &config, profile.go(), &agent).map_err(|e| e.to_string())?;
    health::serve(host, options.bind_address, options.secure_port).await?;
    let scheduling = rest.with_rate(options.kube_api_qps, options.kube_api_burst);
    if !options.leader_elect {
        schedule(host, &scheduling).await;
        return Ok(());
    }
    let election = Election::new(host, "kube-system", "kube-scheduler");
    let electing = rest.with_rate(options.kube_api_qps, options.kube_api_burst);
    let elector = LeaderElector::new(host, &electing, election).map_err(|e| e.to_string())?;
    elector.run(|| schedule(host, &scheduling)).await.map_err(|lost| lost.to_string())
}

struct Scheduler {
    host: Host,
    rest: Rest,
    recorder: Recorder,
    pods: Informer,
    nodes: Informer,
    namespaces: Informer,
    /// Pods bound here that the informer still shows as unbound, with their node.
    assumed: Mutex<BTreeMap<String, (Arc<Value>, String)>>,
}

async fn schedule(host: &Host, rest: &Rest) {
    let start = |resource: Resource| Informer::start(host, rest, resource, InformerOptions::default());
    let this = Arc::new(Scheduler {
        host: host.clone(),
        rest: rest.clone(),
        recorder: Recorder::new(host, rest, NAME),
        pods: start(PODS),
        nodes: start(NODES),
        namespaces: start(NAMESPACES),
        assumed: Mutex::default(),
    });
    this.nodes.synced().await;
    this.pods.synced().await;
    this.namespaces.synced().await;
    let options = QueueOptions { base: FIRST_BACKOFF, max: LONGEST_BACKOFF, bucket: None };
    let queue = WorkQueue::new(host, options);
    let (feed, seen) = (queue.clone(), this.clone());
    this.pods.on(move |change| {
        let pod = change.object();
        if is_waiting(pod) && !matches!(change, client::Change::Deleted(_)) {
            feed.add(change.key());
        } else {
            seen.assumed.lock().remove(text(pod, "/metadata/uid"));
            match change {
                client::Change::Deleted(_) => seen.retry_waiting(&feed),
                client::Change::Updated { old, new } if !is_new_neighbour(old, new) => {}
                // Somebody may wait for company.
                _ => seen.retry(&feed, neighbours::concern),
            }
        }
    });
    let (feed, seen) = (queue.clone(), this.clone());
    this.nodes.on(move |change| {
        let useful = match change {
            client::Change::Updated { old, new } => filter::matters(old, new),
            _ => true,
        };
        if useful {
            seen.retry_waiting(&feed);
        }
    });
    // One at a time, as upstream: each decision sees the one before.
    run_workers(host, 1, &queue, move |key| {
        let this = this.clone();
        async move { this.place(&key).await }
    });
    std::future::pending().await
}

/// Whether a pod is this scheduler's to place.
fn is_waiting(pod: &Value) -> bool {
    text(pod, "/spec/nodeName").is_empty()
        && !is_deleting(pod)
        && matches!(text(pod, "/spec/schedulerName"), "" | NAME)
        && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Whether a pod with a node has just got it, or other labels.
fn is_new_neighbour(old: &Value, new: &Value) -> bool {
    old.pointer("/spec/nodeName") != new.pointer("/spec/nodeName")
        || old.pointer("/metadata/labels") != new.pointer("/metadata/labels")
}

impl Scheduler {
    fn retry_waiting(&self, queue: &WorkQueue) {
        self.retry(queue, |_| true);
    }

    fn retry(&self, queue: &WorkQueue, concerned: impl Fn(&Value) -> bool) {
        for pod in self.pods.list().iter().filter(|p| is_waiting(p) && concerned(p)) {
            queue.add(client::key_of(pod));
        }
    }

    /// What pods and nodes there are, with the pods bound here that the informer still shows as unbound.
    fn around(&self) -> Around {
        let nodes = self.nodes.list();
        let find = |name: &str| self.nodes.get(None, name);
        let ended = |p: &Value| matches!(text(p, "/status/phase"), "Succeeded" | "Failed");
        let mut placed: Vec<Placed> = self
            .pods
            .list()
            .into_iter()
            .filter(|p| !ended(p))
            .filter_map(|pod| Some(Placed { node: find(text(&pod, "/spec/nodeName"))?, pod }))
            .collect();
        let assumed = self.assumed.lock();
        let assumed = assumed.values().filter_map(|(p, n)| Some(Placed { node: find(n)?, pod: p.clone() }));
        placed.extend(assumed);
        Around { nodes, placed, namespaces: self.namespaces.list() }
    }

    /// Pods that take room on `node`.
    fn on_node(&self, node: &str) -> Vec<Arc<Value>> {
        let mut all: Vec<Arc<Value>> = self
            .pods
            .list()
            .into_iter()
            .filter(|p| {
                text(p, "/spec/nodeName") == node
                    && !matches!(text(p, "/status/phase"), "Succeeded" | "Failed")
            })
            .collect();
        let assumed = self.assumed.lock();
        all.extend(assumed.values().filter(|(_, n)| n == node).map(|(p, _)| p.clone()));
        all
    }

    async fn place(&self, key: &str) -> Result<Next, String> {
        let Some(pod) = self.pods.get_key(key).filter(|p| is_waiting(p)) else { return Ok(Next::OnChange) };
        if self.assumed.lock().contains_key(text(&pod, "/metadata/uid")) {
            return Ok(Next::OnChange);
        }
        let gates = crate::objects::list(&pod, "/spec/schedulingGates").count();
        if gates > 0 {
            return self
                .refuse(
                    &pod,
                    "SchedulingGated",
                    "Scheduling is blocked due to non-empty scheduling gates".into(),
                )
                .await;
        }
        let (mut fitting, mut reasons) = (Vec::new(), BTreeMap::<String, usize>::new());
        let around = self.around();
        let nodes = &around.nodes;
        for node in nodes {
            let taken = self.on_node(text(node, "/metadata/name"));
            match filter::check(&pod, node, &taken, &around) {
                Verdict::Fits(score) => fitting.push((score, text(node, "/metadata/name").to_owned())),
                Verdict::Refused(why) => why.into_iter().for_each(|w| *reasons.entry(w).or_default() += 1),
            }
        }
        let Some(best) = fitting.iter().map(|(score, _)| *score).max() else {
            return self.refuse(&pod, "Unschedulable", why_not(nodes.len(), &reasons)).await;
        };
        // Equals draw lots.
        let equals: Vec<&String> =
            fitting.iter().filter(|(score, _)| *score == best).map(|(_, name)| name).collect();
        let drawn = usize::try_from(self.host.entropy().below(equals.len() as u64)).unwrap_or(0);
        match equals.get(drawn) {
            Some(node) => self.bind(&pod, node).await,
            None => Ok(Next::Retry),
        }
    }

    async fn bind(&self, pod: &Arc<Value>, node: &str) -> Result<Next, String> {
        let (namespace, name, uid) =
            (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"), text(pod, "/metadata/uid"));
        self.assumed.lock().insert(uid.to_owned(), (pod.clone(), node.to_owned()));
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
                self.recorder.normal(
                    pod,
                    "Scheduled",
                    format!("Successfully assigned {namespace}/{name} to {node}"),
                );
                Ok(Next::OnChange)
            }
            Err(e) => {
                self.assumed.lock().remove(uid);
                if e.is_not_found() || e.is_conflict() { Ok(Next::OnChange) } else { Err(e.to_string()) }
            }
        }
    }

    async fn refuse(&self, pod: &Value, reason: &str, message: String) -> Result<Next, String> {
        let old = condition(pod, "PodScheduled");
        if !old.is_some_and(|c| text(c, "/reason") == reason && text(c, "/message") == message) {
            self.recorder.warning(pod, "FailedScheduling", message.clone());
            let now = rfc3339(self.host.clock().wall());
            let patch = json!({"status": {"conditions": [{
                "lastProbeTime": null,
                "lastTransitionTime": now,
                "message": message,
                "reason": reason,
                "status": "False",
                "type": "PodScheduled",
            }]}});
            let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
            match self
                .rest
                .patch(&PODS, Some(namespace), name, Patch::Strategic(&patch), Some("status"))
                .await
            {
                Err(e) if !e.is_not_found() => return Err(e.to_string()),
                _ => {}
            }
        }
        Ok(Next::After(self.host.periods().of(FLUSH)))
    }
}

/// `0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu.`
fn why_not(nodes: usize, reasons: &BTreeMap<String, usize>) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".into();
    }
    let mut parts: Vec<String> = reasons.iter().map(|(why, n)| format!("{n} {why}")).collect();
    parts.sort();
    format!(
        "0/{nodes} nodes are available: {}. preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling.",
        parts.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_refusal() {
        assert_eq!(why_not(0, &BTreeMap::new()), "no nodes available to schedule pods");
        let reasons = BTreeMap::from([
            ("Insufficient cpu".to_owned(), 2),
            ("node(s) had untolerated taint(s)".to_owned(), 1),
        ]);
        let words = why_not(3, &reasons);
        assert!(
            words.starts_with(
                "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu."
            ),
            "{words}"
        );
    }
}
