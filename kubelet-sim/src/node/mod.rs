//! The Node object: registered once, then its status, as often as upstream's kubelet tells it
//! (`pkg/kubelet/kubelet_node_status.go`).

mod capacity;
mod register;
mod status;

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use client::{ClientError, Informer, InformerOptions, Patch, Resource, Rest, recorder::Recorder};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use wire::HttpClient;
use world::{Host, Mono, rfc3339};

use crate::{kubelet::Registered, options::Options};
pub(crate) use capacity::allocatable;
use status::Facts;

pub(crate) const NODES: Resource = Resource::core("nodes");

/// Tries within one round of status reporting.
const STATUS_RETRIES: u32 = 5;
/// A heartbeat waits no longer for its answer (the smaller of nodeStatusUpdateFrequency and the lease).
pub(crate) const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// Type and address of each of the node's addresses, as the API last had them.
#[derive(Default)]
pub(crate) struct Addresses {
    known: Mutex<Vec<(String, String)>>,
    told: Notify,
}

impl Addresses {
    pub(crate) fn get(&self) -> Vec<(String, String)> {
        self.known.lock().clone()
    }

    /// Waits until `holds` does; asked now and after every change.
    pub(crate) async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            let told = self.told.notified();
            if holds() {
                return;
            }
            told.await;
        }
    }

    fn learn(&self, node: &Value) {
        let own = |a: &Value, at: &str| a.str_at(at).to_owned();
        let new: Vec<_> =
            node.list_at("/status/addresses").iter().map(|a| (own(a, "/type"), own(a, "/address"))).collect();
        if !new.is_empty() && *self.known.lock() != new {
            *self.known.lock() = new;
            self.told.notify_waiters();
        }
    }
}

/// Registers the node and keeps its status fresh.
pub(crate) struct Reporter {
    pub host: Host,
    pub options: Arc<Options>,
    pub rest: Rest,
    pub http: HttpClient,
    pub registered: Arc<Registered>,
    pub addresses: Arc<Addresses>,
    /// Names of the images that the node has.
    pub images: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl Reporter {
    /// For ever.
    pub(crate) async fn run(self) {
        let recorder = Recorder::on_node(&self.host, &self.rest, "kubelet", self.options.node_name.clone());
        // Boxed, here and below: what happens now and then takes no room while nothing does.
        Box::pin(self.join(&recorder)).await;
        let informer = self.follow();
        let heartbeat = self.rest.with_timeout(HEARTBEAT_TIMEOUT.min(self.options.status_update));
        let mut reports = Reports::default();
        let fixed = status::fixed(&self.options, self.host.boots());
        loop {
            for tries in 0..STATUS_RETRIES {
                let report = self.report(&heartbeat, &informer, &recorder, &mut reports, &fixed, tries);
                match Box::pin(report).await {
                    Ok(()) => break,
                    Err(e) => {
                        // A connection that hangs must not keep the node from being seen.
                        if tries > 0 {
                            self.http.close_connections();
                        }
                        tracing::error!("Error updating node status, will retry: {e}");
                        if tries + 1 == STATUS_RETRIES {
                            tracing::error!(
                                "Unable to update node status: update node status exceeds retry count"
                            );
                        }
                    }
                }
            }
            let turn = async {
                // Somebody said that the node is not well: the next look is upstream's, at any pace.
                informer.until(|i| self.is_misjudged(i, &fixed)).await;
                self.host.clock().sleep(self.options.status_update).await;
            };
            tokio::select! {
                biased;
                () = turn => {}
                () = self.host.recur(self.options.status_update) => {}
            }
        }
    }

    /// Registers the node, and tells of it.
    async fn join(&self, recorder: &Recorder) {
        let node = register::register(&self.host, &self.options, &self.rest, || self.facts(true)).await;
        self.addresses.learn(&node);
        self.registered.set(node.uid());
        // Only now: a kubelet without a certificate is nobody, and nobody's events are refused.
        recorder.normal(&self.regarding(), "Starting", "Starting kubelet.");
        let told = status::transitions(node.name(), &Value::Null, node.at("/status").unwrap_or(&Value::Null));
        for (reason, message) in told.into_iter().filter(|(reason, _)| *reason != "NodeNotReady") {
            recorder.normal(&self.regarding(), reason, message);
        }
    }

    fn regarding(&self) -> Value {
        let name = &self.options.node_name;
        json!({"kind": "Node", "metadata": {"name": name, "uid": name}})
    }

    fn facts(&self, first: bool) -> Facts {
        let now = rfc3339(self.host.clock().wall());
        Facts { now, images: (self.images)(), first }
    }

    fn follow(&self) -> Informer {
        let options = InformerOptions {
            field_selector: Some(format!("metadata.name={}", self.options.node_name)),
            packed: true,
            ..InformerOptions::default()
        };
        Informer::start(&self.host, &self.rest, NODES, options)
    }

    /// Whether the API holds another status of the node than the kubelet would write.
    fn is_misjudged(&self, informer: &Informer, fixed: &Value) -> bool {
        let node = informer.get(None, &self.options.node_name);
        node.is_some_and(|node| status::differs(fixed, &node, &self.facts(false)))
    }

    /// One look: tells the API when something changed, or when it is time.
    async fn report(
        &self,
        rest: &Rest,
        informer: &Informer,
        recorder: &Recorder,
        reports: &mut Reports,
        fixed: &Value,
        tries: u32,
    ) -> Result<(), ClientError> {
        let name = &self.options.node_name;
        // The copy will do at first; after a failure it may be what is wrong.
        let cached = if tries == 0 { informer.get(None, name) } else { None };
        let node = match cached {
            Some(node) => node,
            None => Arc::new(rest.get(&NODES, None, name).await?),
        };
        let facts = self.facts(false);
        let now = self.host.clock().monotonic();
        let changed = status::differs(fixed, &node, &facts);
        if !changed && !reports.due(now, self.host.periods().of(self.options.status_report)) {
            return Ok(());
        }
        let wanted = status::status(fixed, &node, &facts);
        if let Some(words) = status::reboot(name, &node, &wanted) {
            recorder.warning(&self.regarding(), "Rebooted", words);
        }
        for (reason, message) in status::transitions(name, &node, &wanted) {
            recorder.normal(&self.regarding(), reason, message);
        }
        let patch = json!({"status": status::as_patch(wanted)});
        let node = rest.patch(&NODES, None, name, Patch::Strategic(&patch), Some("status")).await?;
        self.addresses.learn(&node);
        // After a change the next report comes at another time, so that not all nodes of a cluster
        // that changed together report together for ever.
        let spread = if changed { self.host.entropy().unit() - 0.5 } else { 0.0 };
        *reports = Reports { last: Some(now), spread };
        Ok(())
    }
}

/// When the API was last told.
#[derive(Default)]
struct Reports {
    last: Option<Mono>,
    /// Part of the period by which the next report is late, or early.
    spread: f64,
}

impl Reports {
    fn due(&self, now: Mono, period: Duration) -> bool {
        self.last.is_none_or(|last| now.since(last) >= period.mul_f64(1.0 + self.spread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_due_after_its_period_and_spread() {
        let (last, period) = (Mono::default(), Duration::from_secs(300));
        let check = |spread: f64, edge: u64| {
            let reports = Reports { last: Some(last), spread };
            let due = |seconds: u64| reports.due(last + Duration::from_secs(seconds), period);
            assert!(!due(edge - 1) && due(edge), "{spread}");
        };
        check(0.0, 300);
        check(-0.5, 150);
        check(0.5, 450);
        assert!(Reports::default().due(last, period), "nothing was told yet");
    }
}
