//! `--audit-webhook-config-file`: events go to a server in batches (`plugin/pkg/audit/buffered` and
//! `webhook` upstream). A request never waits for it: what does not fit into the buffer is lost, and said.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use client::{Bucket, ClientError};
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use world::{Host, Task};

use super::Failures;
use crate::{options::Options, webhook_client::WebhookClient};

/// The flags `--audit-webhook-batch-*`.
#[derive(Clone, Debug, PartialEq)]
pub struct Batching {
    /// `buffer-size`: events that may wait.
    pub buffer: usize,
    /// `max-size`: events in a batch.
    pub most: usize,
    /// `max-wait`: between two batches.
    pub wait: Duration,
    /// `throttle-enable`, `-qps` and `-burst`: batches a second.
    pub throttle: Option<(f64, u32)>,
    /// `--audit-webhook-initial-backoff`.
    pub backoff: Duration,
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            buffer: 10_000,
            most: 400,
            wait: Duration::from_secs(30),
            throttle: Some((10.0, 15)),
            backoff: Duration::from_secs(10),
        }
    }
}

/// The buffer, and who empties it.
#[derive(Debug)]
pub(super) struct Webhook {
    events: Mutex<Option<mpsc::Sender<Bytes>>>,
    sender: Mutex<Option<Task<()>>>,
    failures: Arc<Failures>,
}

/// Where batches go.
struct Target {
    host: Host,
    hook: WebhookClient,
    backoff: Duration,
    failures: Arc<Failures>,
}

impl Webhook {
    /// For the server of a kubeconfig.
    pub(super) fn start(
        host: &Host,
        config: &Path,
        options: &Options,
        failures: &Arc<Failures>,
    ) -> Result<Self, ClientError> {
        let batching = options.audit_batching.clone();
        let hook = WebhookClient::from_file(host, config, options.profile.go(), &options.user_agent())?;
        let (backoff, failures) = (batching.backoff, failures.clone());
        let target = Target { host: host.clone(), hook, backoff, failures: failures.clone() };
        let (sender, receiver) = mpsc::channel(batching.buffer);
        let task = host.spawn(async move { run(Arc::new(target), batching, receiver).await });
        Ok(Self { events: Mutex::new(Some(sender)), sender: Mutex::new(Some(task)), failures })
    }

    /// Puts an event where it waits for its batch.
    pub(super) fn push(&self, event: Bytes) {
        let room = self.events.lock().as_ref().map(|events| events.try_send(event));
        if !matches!(room, Some(Ok(()))) {
            self.failures.note("buffered", 1, "audit buffer queue blocked");
        }
    }

    /// Sends what waits; nothing is taken any more.
    pub(super) async fn shutdown(&self) {
        drop(self.events.lock().take());
        let task = self.sender.lock().take();
        if let Some(task) = task {
            let _ = task.join().await;
        }
    }
}

async fn run(target: Arc<Target>, batching: Batching, mut events: mpsc::Receiver<Bytes>) {
    let clock = target.host.clock().clone();
    let mut throttle = batching.throttle.map(|(qps, burst)| Bucket::new(qps, burst));
    let mut sending: Vec<Task<()>> = Vec::new();
    let mut last = clock.monotonic();
    while let Some(first) = events.recv().await {
        // Upstream's timer starts anew after each batch, empty ones too; here nobody wakes up for those.
        let wait = batching.wait.as_nanos().max(1);
        let late = clock.monotonic().since(last).as_nanos() % wait;
        let due = clock.monotonic() + batching.wait.saturating_sub(nanos(late));
        let mut batch = vec![first];
        while batch.len() < batching.most {
            let left = due.since(clock.monotonic());
            match clock.timeout(left, events.recv()).await {
                Ok(Some(event)) => batch.push(event),
                Ok(None) | Err(_) => break,
            }
        }
        if let Some(throttle) = &mut throttle {
            let wait = throttle.reserve(clock.monotonic());
            clock.sleep(wait).await;
        }
        sending.retain(|task| !task.is_finished());
        let target = target.clone();
        sending.push(target.host.clone().spawn(async move { target.deliver(&batch).await }));
        last = clock.monotonic();
    }
    join_all(sending.into_iter().map(Task::join)).await;
}

fn nanos(n: u128) -> Duration {
    Duration::from_nanos(u64::try_from(n).unwrap_or(u64::MAX))
}

impl Target {
    async fn deliver(&self, batch: &[Bytes]) {
        if let Err(error) = self.hook.deliver(&list(batch), self.backoff).await {
            self.failures.note("webhook", batch.len(), &error.to_string());
        }
    }
}

/// An `EventList`, whose events need not say what they are.
fn list(batch: &[Bytes]) -> Bytes {
    let mut out = br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#.to_vec();
    for (n, event) in batch.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(event);
    }
    out.extend_from_slice(b"]}\n");
    out.into()
}
