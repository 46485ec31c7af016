//! kube-scheduler: takes the most important pod that waits, filters and scores the nodes, makes room if
//! there is none, binds.
//!
//! ```text
//! events ─ queue ─ place ─┬─ decide      filter (neighbours, volumes), score
//!                         ├─ preemption  who must go
//!                         └─ bind        claims first, then the pod
//! ```

mod around;
mod bind;
mod decide;
mod events;
mod filter;
mod neighbours;
mod preemption;
mod queue;
mod refuse;
mod resources;
mod score;
mod volumes;
mod words;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use api::{object::ObjectExt as _, profile::Profile};
use client::{Informer, InformerOptions, Resource, Rest, leader::LeaderElector, recorder::Recorder};
use parking_lot::Mutex;
use pki::kubeconfig::Kubeconfig;
use serde_json::Value;
use world::{Exit, Host};

use crate::{health, options::SchedulerOptions};
use around::{Around, Storage};
use decide::Decision;
use filter::Incoming;
use queue::Queue;

const PODS: Resource = Resource::core("pods");
const NODES: Resource = Resource::core("nodes");
const NAMESPACES: Resource = Resource::core("namespaces");
const CLAIMS: Resource = Resource::core("persistentvolumeclaims");
const VOLUMES: Resource = Resource::core("persistentvolumes");
const CLASSES: Resource = Resource::new("storage.k8s.io", "v1", "storageclasses");
const BUDGETS: Resource = Resource::new("policy", "v1", "poddisruptionbudgets");
const NAME: &str = "default-scheduler";

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
    host.started();
    let scheduling = rest.with_rate(options.kube_api_qps, options.kube_api_burst);
    if !options.leader_elect {
        schedule(host, &scheduling, profile).await;
        return Ok(());
    }
    let election = options.election.election(host, "kube-scheduler", profile);
    let electing = rest.with_rate(options.kube_api_qps, options.kube_api_burst);
    let elector = LeaderElector::new(host, &electing, election).map_err(|e| e.to_string())?;
    elector.run(|| schedule(host, &scheduling, profile)).await.map_err(|lost| lost.to_string())
}

struct Scheduler {
    host: Host,
    profile: Profile,
    rest: Rest,
    recorder: Recorder,
    queue: Queue,
    pods: Informer,
    nodes: Informer,
    namespaces: Informer,
    claims: Informer,
    volumes: Informer,
    classes: Informer,
    budgets: Informer,
    /// Pods bound here that the informer still shows as unbound, with their node.
    assumed: Mutex<BTreeMap<String, (Arc<Value>, String)>>,
    /// Where the next look at a large cluster begins.
    next_node: AtomicUsize,
}

async fn schedule(host: &Host, rest: &Rest, profile: Profile) {
    let start = |resource: Resource| Informer::start(host, rest, resource, InformerOptions::default());
    let this = Arc::new(Scheduler {
        host: host.clone(),
        profile,
        rest: rest.clone(),
        recorder: Recorder::new(host, rest, NAME),
        queue: Queue::new(host),
        pods: start(PODS),
        nodes: start(NODES),
        namespaces: start(NAMESPACES),
        claims: start(CLAIMS),
        volumes: start(VOLUMES),
        classes: start(CLASSES),
        budgets: start(BUDGETS),
        assumed: Mutex::default(),
        next_node: AtomicUsize::new(0),
    });
    for informer in [&this.nodes, &this.pods, &this.namespaces, &this.claims, &this.volumes, &this.classes] {
        informer.synced().await;
    }
    this.budgets.synced().await;
    events::follow(&this);
    // One at a time, as upstream: each decision sees the one before.
    loop {
        let key = this.queue.next().await;
        this.place(&key).await;
    }
}

/// Whether a pod is this scheduler's to place.
fn is_waiting(pod: &Value) -> bool {
    pod.str_at("/spec/nodeName").is_empty()
        && !pod.is_terminating()
        && matches!(pod.str_at("/spec/schedulerName"), "" | NAME)
        && !is_over(pod)
}

fn is_over(pod: &Value) -> bool {
    matches!(pod.str_at("/status/phase"), "Succeeded" | "Failed")
}

impl Scheduler {
    /// What there is, with the pods bound here that the informer still shows as unbound.
    fn around(&self, pod: &Value) -> Around {
        let mut storage = Storage::default();
        if volumes::concern(pod) {
            let by_key = |informer: &Informer| {
                informer.list().into_iter().map(|o| (client::key_of(&o), o)).collect::<BTreeMap<_, _>>()
            };
            storage.claims = by_key(&self.claims);
            storage.volumes = self.volumes.list();
            storage.classes = by_key(&self.classes);
        }
        let mut around = Around::new(self.nodes.list(), self.namespaces.list(), storage);
        for pod in self.pods.list().into_iter().filter(|p| !is_over(p)) {
            if let Some(node) = self.nodes.get(None, pod.str_at("/spec/nodeName")) {
                around.put(pod, node);
            }
        }
        for (pod, node) in self.assumed.lock().values() {
            if let Some(node) = self.nodes.get(None, node) {
                around.put(pod.clone(), node);
            }
        }
        around
    }

    /// Pods that wait for a node that was made free for them.
    fn promised(&self) -> Vec<(Arc<Value>, String)> {
        let waiting = self.pods.list().into_iter().filter(|p| is_waiting(p));
        waiting
            .filter_map(|pod| {
                let node =
                    Some(pod.str_at("/status/nominatedNodeName").to_owned()).filter(|n| !n.is_empty())?;
                Some((pod, node))
            })
            .collect()
    }

    async fn place(self: &Arc<Self>, key: &str) {
        let Some(pod) = self.pods.get_key(key).filter(|p| is_waiting(p)) else {
            return self.queue.remove(key);
        };
        if self.assumed.lock().contains_key(pod.uid()) {
            return self.queue.remove(key);
        }
        if !pod.list_at("/spec/schedulingGates").is_empty() {
            // The server has said so in the pod's status already.
            return self.queue.unschedulable(key);
        }
        let around = self.around(&pod);
        if around.nodes.is_empty() {
            return self.refuse(&pod, "no nodes available to schedule pods".into(), None).await;
        }
        let claims = match volumes::claims(&pod, &around.storage) {
            Ok(claims) => claims,
            Err(why) => return self.suits_nowhere(&pod, &around, &why).await,
        };
        let incoming = Incoming { pod: &pod, claims: &claims, profile: self.profile };
        let promised = self.promised();
        let start = self.next_node.load(Ordering::Relaxed);
        let (decision, seen) = decide::decide(&incoming, &around, &promised, start);
        self.next_node.store((start + seen) % around.nodes.len(), Ordering::Relaxed);
        match decision {
            Decision::Fits(best) => {
                // Equals draw lots.
                let drawn = usize::try_from(self.host.entropy().below(best.len() as u64)).unwrap_or(0);
                if let Some((node, plan)) = best.into_iter().nth(drawn) {
                    self.assume(&pod, &node);
                    self.clone().bind(pod, node, plan).await;
                }
            }
            Decision::Refused(refused) => self.make_room(&incoming, &around, &promised, refused).await,
        }
    }
}
