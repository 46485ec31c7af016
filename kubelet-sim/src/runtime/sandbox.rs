//! A pod as its runtime has it: an address, a slice of the host's processes, and runs of containers.

use std::{collections::BTreeMap, sync::Arc};

use api::object::ObjectExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use world::{Host, Process, rfc3339};

use super::instance::{Fate, Instance};
use crate::launcher::{Container, Launcher};

/// Runs of one container that are remembered: the present one and the one before, whose log can be read.
const REMEMBERED: usize = 2;

/// See the module.
pub(crate) struct Sandbox {
    /// The pod for which it was made, as upstream's runtime keeps it in labels and annotations.
    pod: Arc<Value>,
    address: String,
    slice: String,
    process: Process,
    created: String,
    /// How many were made for this pod before it.
    attempt: u32,
    /// By the container's name, oldest first.
    instances: Mutex<BTreeMap<String, Vec<Arc<Instance>>>>,
}

impl Sandbox {
    pub(super) fn new(host: &Host, pod: Arc<Value>, address: String, before: Option<&Self>) -> Self {
        let slice = format!("kubepods-pod{}.slice", pod.uid().replace('-', "_"));
        Self {
            pod,
            address,
            process: host.services().slice(host, &slice),
            slice,
            created: rfc3339(host.clock().wall()),
            attempt: before.map_or(0, |before| before.attempt + 1),
            instances: Mutex::new(before.map(|b| b.instances.lock().clone()).unwrap_or_default()),
        }
    }

    pub(crate) fn uid(&self) -> &str {
        self.pod.uid()
    }

    pub(crate) fn pod(&self) -> &Arc<Value> {
        &self.pod
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// When it was made, as labels have it.
    pub(crate) fn created(&self) -> &str {
        &self.created
    }

    /// How many were made for this pod before it.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether nobody has removed it.
    pub(super) fn is_there(&self, host: &Host) -> bool {
        host.services().is_installed(&self.slice)
    }

    /// Whether something can run in it.
    pub(super) fn is_ready(&self, host: &Host) -> bool {
        host.services().is_active(&self.slice)
    }

    /// What ran in a slice that is not active any more has ended with it.
    pub(super) fn look(&self, host: &Host) {
        if !self.is_ready(host) {
            let now = rfc3339(host.clock().wall());
            self.instances.lock().values().flatten().for_each(|instance| instance.lose(&now));
        }
    }

    pub(super) async fn remove(&self, host: &Host) {
        host.services().remove(&self.slice).await;
    }

    /// The runs of a container that are remembered, oldest first.
    pub(crate) fn runs(&self, container: &str) -> Vec<Arc<Instance>> {
        self.instances.lock().get(container).cloned().unwrap_or_default()
    }

    /// The last run of a container.
    pub(crate) fn newest(&self, container: &str) -> Option<Arc<Instance>> {
        self.instances.lock().get(container)?.last().cloned()
    }

    /// Starts `container` for the `attempt`th time. It is started and known, or it is not, whatever becomes of
    /// the caller meanwhile.
    ///
    /// # Errors
    /// The launcher's words.
    pub(crate) async fn start(
        self: &Arc<Self>,
        launcher: Arc<dyn Launcher>,
        container: Container,
        attempt: u64,
        fates: Vec<Fate>,
    ) -> Result<Arc<Instance>, String> {
        let (this, host) = (self.clone(), self.process.host().clone());
        let started = self.process.host().spawn(async move {
            let instance = Instance::start(&host, launcher, container, attempt, this.attempt).await?;
            let mut all = this.instances.lock();
            let runs = all.entry(instance.name.clone()).or_default();
            runs.push(instance.clone());
            if runs.len() > REMEMBERED {
                runs.remove(0);
            }
            drop(all);
            let watched = instance.clone();
            host.spawn(async move { watched.watch(fates).await });
            Ok(instance)
        });
        started.join().await.unwrap_or_else(|| Err("the pod's sandbox is gone".into()))
    }
}
