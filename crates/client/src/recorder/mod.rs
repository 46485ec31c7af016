//! What a component tells people about an object: core/v1 events, written in the background.
//!
//! Best effort, as upstream: an event that cannot be written is lost, a component never waits for
//! one, and what repeats is counted instead of written again.

mod correlator;

use std::{sync::Arc, time::Duration};

use api::object::ObjectExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use world::{Host, rfc3339};

use crate::{ClientError, Patch, Resource, Rest};
use correlator::{Correlator, Verdict};

/// Events that wait to be written; beyond that they are dropped, as upstream's broadcaster does.
const QUEUE: usize = 1000;
/// How often an event is tried when the server cannot be reached.
const TRIES: u32 = 12;
/// Between two tries.
const BETWEEN_TRIES: Duration = Duration::from_secs(10);

/// Writes events of one component. Clones share one queue.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    host: Host,
    component: String,
    node: String,
    queue: mpsc::Sender<Value>,
}

impl Recorder {
    /// A recorder that names `component` as the source of its events.
    pub fn new(host: &Host, rest: &Rest, component: impl Into<String>) -> Self {
        Self::on_node(host, rest, component, "")
    }

    /// As [`Recorder::new`], of a component that belongs to a node: the kubelet names both.
    pub fn on_node(host: &Host, rest: &Rest, component: impl Into<String>, node: impl Into<String>) -> Self {
        let (queue, events) = mpsc::channel(QUEUE);
        let sink = Sink {
            host: host.clone(),
            rest: rest.clone(),
            events: Resource::core("events"),
            correlator: Correlator::default(),
        };
        host.spawn(sink.run(events));
        Self(Arc::new(Shared { host: host.clone(), component: component.into(), node: node.into(), queue }))
    }

    /// An event of type Normal about `regarding`, an object with kind and apiVersion.
    pub fn normal(&self, regarding: &Value, reason: &str, message: impl Into<String>) {
        self.event(regarding, "Normal", reason, message.into());
    }

    /// An event of type Warning.
    pub fn warning(&self, regarding: &Value, reason: &str, message: impl Into<String>) {
        self.event(regarding, "Warning", reason, message.into());
    }

    fn event(&self, regarding: &Value, kind: &str, reason: &str, message: String) {
        let Shared { host, component, node, queue } = &*self.0;
        let namespace = Some(regarding.namespace()).filter(|n| !n.is_empty()).unwrap_or("default");
        let now = rfc3339(host.clock().wall());
        let mut about = json!({"kind": regarding.kind()});
        let parts = [
            ("namespace", regarding.namespace()),
            ("name", regarding.name()),
            ("uid", regarding.uid()),
            ("apiVersion", regarding.api_version()),
            ("resourceVersion", regarding.resource_version()),
        ];
        for (field, value) in parts.into_iter().filter(|(_, value)| !value.is_empty()) {
            about[field] = value.into();
        }
        let mut source = json!({"component": component});
        if !node.is_empty() {
            source["host"] = node.as_str().into();
        }
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event_name(host, regarding.name()), "namespace": namespace},
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "source": source,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "eventTime": null,
            "reportingComponent": component,
            "reportingInstance": node,
        });
        // A full queue means that the server is away: then events are the least of it.
        let _ = queue.try_send(event);
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recorder({})", self.0.component)
    }
}

/// Upstream takes the time in nanoseconds for the suffix; chance of the host's seed is as unique and
/// does not depend on how its clock is set.
fn event_name(host: &Host, of: &str) -> String {
    format!("{of}.{:016x}", host.entropy().u64())
}

struct Sink {
    host: Host,
    rest: Rest,
    events: Resource,
    correlator: Correlator,
}

impl Sink {
    async fn run(mut self, mut queue: mpsc::Receiver<Value>) {
        while let Some(event) = queue.recv().await {
            let now = self.host.clock().monotonic();
            let verdict = self.correlator.judge(event, now, |of| event_name(&self.host, of));
            if verdict != Verdict::Drop {
                self.write_with_retries(verdict).await;
            }
        }
    }

    async fn write_with_retries(&mut self, verdict: Verdict) {
        for tries in 1..=TRIES {
            let error = match self.write(&verdict).await {
                Ok(None) => return,
                Ok(Some(written)) => return self.correlator.written(&written),
                Err(error) => error,
            };
            let refused = error.status().is_some();
            if refused {
                // Events about a namespace on its way out are refused as a matter of course.
                if !error.is_namespace_terminating() && !error.is_already_exists() {
                    tracing::warn!(
                        host = self.host.name(),
                        "Server rejected event (will not retry!): {error}"
                    );
                }
                return;
            }
            tracing::debug!(
                host = self.host.name(),
                "Unable to write event (may retry after sleeping): {error}"
            );
            if tries == TRIES {
                tracing::warn!(
                    host = self.host.name(),
                    "Unable to write event (retry limit exceeded!): {error}"
                );
                return;
            }
            // The first wait is random, so that many sinks do not come back at once.
            let spread = if tries == 1 { self.host.entropy().unit() } else { 1.0 };
            self.host.clock().sleep(BETWEEN_TRIES.mul_f64(spread)).await;
        }
    }

    /// The event as the server has it; nothing where it has what it was sent.
    async fn write(&self, verdict: &Verdict) -> Result<Option<Value>, ClientError> {
        match verdict {
            // A new one keeps the name and the count that it came with.
            Verdict::Create(event) => {
                self.rest.create_unread(&self.events, Some(event.namespace()), event).await.map(|()| None)
            }
            Verdict::Count(event) => {
                let change = json!({
                    "count": event.at("/count"),
                    "lastTimestamp": event.at("/lastTimestamp"),
                    "message": event.at("/message"),
                });
                let (ns, name) = (Some(event.namespace()), event.name());
                let counted = self.rest.patch(&self.events, ns, name, Patch::Strategic(&change), None).await;
                let written = match counted {
                    // It has expired meanwhile (events live for an hour).
                    Err(e) if e.is_not_found() => self.rest.create(&self.events, ns, event).await,
                    outcome => outcome,
                };
                written.map(Some)
            }
            Verdict::Drop => Ok(None),
        }
    }
}
