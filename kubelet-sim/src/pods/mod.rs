//! The pods of a node: from files and from the API, each run by a worker of its own.
//!
//! * `source`: what is to run; `status`: telling the API what does.
//! * `worker`: a pod's life; `container`: a container's; `state`: what both know, as PodStatus; `takeover`: what
//!   of it was there before this kubelet.
//! * `images`, `environment`, `volumes`, `token`: what a container needs before it starts.
//! * `resize`: more or less of the node's resources for a pod that runs.
//! * `health`, `probe`: started, ready, alive; `faults`: what goes wrong on purpose.

mod source;
mod status;

mod node;
mod worker;

mod container;
mod state;
mod takeover;

mod environment;
mod images;
mod token;
mod volumes;

mod resize;

mod faults;
mod health;
mod probe;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use api::object::ObjectExt as _;
use client::Rest;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use world::{Host, Process};

use crate::{certificates::Certificates, kubelet::Registered, launcher::Launcher, options::Options};
use node::Node;
pub(crate) use worker::Worker;

/// All pods of this node, by UID.
pub(crate) struct Pods {
    host: Host,
    node: Arc<Node>,
    workers: Mutex<BTreeMap<String, Entry>>,
    /// A pod came or went.
    arrivals: Notify,
    certificates: OnceLock<Certificates>,
}

struct Entry {
    worker: Arc<Worker>,
    process: Process,
    /// Somebody is ending it.
    ending: bool,
}

impl Pods {
    pub(crate) fn new(host: &Host, options: Arc<Options>, launcher: Arc<dyn Launcher>) -> Arc<Self> {
        Arc::new(Self {
            host: host.clone(),
            node: Arc::new(Node::new(host, options, launcher)),
            workers: Mutex::default(),
            arrivals: Notify::new(),
            certificates: OnceLock::new(),
        })
    }

    /// Watches the directory of static pods, from now on.
    pub(crate) fn run_static(self: &Arc<Self>) {
        if let Some(dir) = self.node.options.static_pods.clone() {
            self.host.spawn(source::follow_files(self.clone(), dir));
        }
    }

    /// Follows the pods that are bound to this node.
    pub(crate) fn follow(self: &Arc<Self>, rest: Rest, registered: Arc<Registered>) {
        self.node.connect(&self.host, &rest);
        self.host.spawn(source::follow_api(self.clone(), rest, registered));
    }

    /// The pods with their present status, ordered by UID.
    pub(crate) fn snapshot(&self) -> Vec<Value> {
        self.workers.lock().values().map(|e| e.worker.snapshot()).collect()
    }

    /// The worker of the pod of that name, static ones included.
    pub(crate) fn named(&self, namespace: &str, name: &str) -> Option<Arc<Worker>> {
        let key = format!("{namespace}/{name}");
        self.workers.lock().values().find(|e| e.worker.key() == key).map(|e| e.worker.clone())
    }

    /// Names of the images that are on the node, sorted.
    pub(crate) fn images(&self) -> Vec<String> {
        self.node.runtime.images()
    }

    /// What the kubelet was told.
    pub(crate) fn options(&self) -> &Options {
        &self.node.options
    }

    /// Which of its certificates the kubelet renews.
    pub(crate) fn renews(&self, certificates: Certificates) {
        // There is one kubelet, and it says so once.
        let _ = self.certificates.set(certificates);
    }

    /// See [`Pods::renews`].
    pub(crate) fn certificates(&self) -> Certificates {
        self.certificates.get().cloned().unwrap_or_default()
    }

    /// The way to the apiserver, once there is one.
    pub(crate) fn rest(&self) -> Option<&Rest> {
        self.node.rest()
    }

    /// Waits for the next pod that starts.
    async fn arrived(&self) {
        self.arrivals.notified().await;
    }

    /// Starts a pod that is not running yet; one that is gets its newer version.
    fn start(self: &Arc<Self>, uid: &str, pod: Arc<Value>, is_static: bool) {
        let mut workers = self.workers.lock();
        if let Some(entry) = workers.get(uid) {
            entry.worker.update(pod);
            return;
        }
        let name = if pod.name().is_empty() { "pod" } else { pod.name() };
        let process = self.host.process(format!("pod/{name}"));
        let runtime = &self.node.runtime;
        // What has ended for good needs no sandbox that is ready.
        let over = runtime.find(&self.host, uid).filter(|_| worker::is_over(&pod));
        let sandbox = over.unwrap_or_else(|| runtime.sandbox(&self.host, &pod, self.node.options.node_ip));
        let worker = Worker::new(process.host(), self.node.clone(), pod, sandbox, is_static);
        let running = worker.clone();
        process.host().spawn(async move { running.run().await });
        workers.insert(uid.to_owned(), Entry { worker, process, ending: false });
        drop(workers);
        self.arrivals.notify_waiters();
    }

    /// Ends a pod's containers, says so with `tell`, and forgets it. Whoever comes second does
    /// nothing.
    async fn stop(&self, uid: &str, tell: impl AsyncFnOnce(&Worker)) {
        let found = self
            .workers
            .lock()
            .get_mut(uid)
            .map(|e| (std::mem::replace(&mut e.ending, true), e.worker.clone(), e.process.clone()));
        let Some((false, worker, process)) = found else { return };
        worker.terminate(worker.grace()).await;
        process.kill().await;
        self.node.grants.forget(uid);
        self.node.runtime.remove(&self.host, uid).await;
        worker.unmount();
        tell(&worker).await;
        self.workers.lock().remove(uid);
    }

    /// Takes over pods that the runtime has and nobody wants any more, so that they can be stopped: they went
    /// while no kubelet looked. Returns their UIDs.
    fn take_over(self: &Arc<Self>, is_unwanted: impl Fn(&Value) -> bool) -> Vec<String> {
        let all = self.node.runtime.sandboxes(&self.host);
        let unwanted = all.iter().map(|sandbox| sandbox.pod().clone()).filter(|pod| is_unwanted(pod));
        unwanted
            .map(|pod| {
                self.start(pod.uid(), pod.clone(), source::is_from_file(&pod));
                pod.uid().to_owned()
            })
            .collect()
    }

    /// Whether the pod was on this node before this kubelet was.
    fn ran(&self, uid: &str) -> bool {
        self.node.runtime.find(&self.host, uid).is_some()
    }

    fn worker(&self, uid: &str) -> Option<Arc<Worker>> {
        self.workers.lock().get(uid).map(|e| e.worker.clone())
    }

    fn uids(&self, is_static: bool) -> Vec<String> {
        self.workers
            .lock()
            .iter()
            .filter(|(_, e)| e.worker.is_static() == is_static)
            .map(|(uid, _)| uid.clone())
            .collect()
    }
}
