//! The pods of a node: from files and from the API, each run by a worker of its own.

mod probe;
mod source;
mod status;
mod worker;

use std::{collections::BTreeMap, sync::Arc};

use client::Rest;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use world::{Host, Process};

use crate::{kubelet::Registered, launcher::Launcher, options::Options};
use worker::Worker;

/// All pods of this node, by UID.
pub(crate) struct Pods {
    host: Host,
    options: Arc<Options>,
    launcher: Arc<dyn Launcher>,
    workers: Mutex<BTreeMap<String, Entry>>,
    next_ip: Mutex<u32>,
    /// A pod came or went.
    arrivals: Notify,
}

struct Entry {
    worker: Arc<Worker>,
    process: Process,
}

impl Pods {
    pub(crate) fn new(host: &Host, options: Arc<Options>, launcher: Arc<dyn Launcher>) -> Arc<Self> {
        Arc::new(Self {
            host: host.clone(),
            options,
            launcher,
            workers: Mutex::default(),
            next_ip: Mutex::new(1),
            arrivals: Notify::new(),
        })
    }

    /// Watches the directory of static pods, from now on.
    pub(crate) fn run_static(self: &Arc<Self>) {
        if let Some(dir) = self.options.static_pods.clone() {
            self.host.spawn(source::follow_files(self.clone(), dir));
        }
    }

    /// Follows the pods that are bound to this node.
    pub(crate) fn follow(self: &Arc<Self>, rest: Rest, registered: Arc<Registered>) {
        self.host.spawn(source::follow_api(self.clone(), rest, registered));
    }

    /// The pods with their present status, ordered by UID.
    pub(crate) fn snapshot(&self) -> Vec<Value> {
        self.workers.lock().values().map(|e| e.worker.pod()).collect()
    }

    /// Waits for the next pod that starts.
    async fn arrived(&self) {
        self.arrivals.notified().await;
    }

    /// Starts a pod that is not running yet.
    fn start(self: &Arc<Self>, uid: &str, pod: Value, is_static: bool) {
        let mut workers = self.workers.lock();
        if workers.contains_key(uid) {
            return;
        }
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("pod").to_owned();
        let process = self.host.process(format!("pod/{name}"));
        let host_network = pod.pointer("/spec/hostNetwork").and_then(Value::as_bool).unwrap_or(false);
        let ip = if host_network { self.options.node_ip.to_string() } else { self.pod_ip() };
        let worker =
            Worker::new(process.host(), self.options.clone(), self.launcher.clone(), pod, ip, is_static);
        let running = worker.clone();
        process.host().spawn(async move { running.run().await });
        workers.insert(uid.to_owned(), Entry { worker, process });
        drop(workers);
        self.arrivals.notify_waiters();
    }

    /// Ends a pod's containers and forgets it.
    async fn stop(&self, uid: &str) {
        let entry = self.workers.lock().remove(uid);
        if let Some(entry) = entry {
            entry.worker.terminate().await;
            entry.process.kill().await;
        }
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

    /// Addresses from the range of a node's own bridge, told apart by the node's last octet.
    fn pod_ip(&self) -> String {
        let mut next = self.next_ip.lock();
        *next += 1;
        let node = match self.options.node_ip {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(ip) => ip.octets()[15],
        };
        format!("10.{}.{node}.{}", 244 - (*next / 254) % 16, *next % 254 + 1)
    }
}
