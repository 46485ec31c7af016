//! `--audit-webhook-config-file`: events go to a server in batches (`plugin/pkg/audit/buffered` and
//! `webhook` upstream). A request never waits for it: what does not fit into the buffer is lost, and said.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use client::{Auth, Bucket, authorize, connection};
use futures::future::join_all;
use http::{HeaderValue, Request, header};
use parking_lot::Mutex;
use pki::{GoVersion, kubeconfig::Kubeconfig};
use tokio::sync::mpsc;
use wire::{HttpClient, body};
use world::{Host, Task};

use super::Failures;

/// How long the server may think.
const TIMEOUT: Duration = Duration::from_secs(30);
/// So often a batch is sent, each wait half as long again as the one before.
const ATTEMPTS: u32 = 5;
const GROWTH: f64 = 1.5;
const JITTER: f64 = 0.2;
/// So much of a refusal is read.
const REFUSAL_BYTES: usize = 2048;

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
    client: HttpClient,
    auth: Auth,
    url: String,
    backoff: Duration,
    failures: Arc<Failures>,
}

impl Webhook {
    /// For the server of a kubeconfig.
    pub(super) fn start(
        host: &Host,
        config: &Path,
        go: GoVersion,
        batching: &Batching,
        failures: &Arc<Failures>,
    ) -> Result<Self, String> {
        let config = Kubeconfig::load(host.disk(), config).map_err(|e| e.to_string())?;
        let server = config.server().map_err(|e| e.to_string())?;
        let url = format!("{}{}?timeout=30s", server, if has_path(server) { "" } else { "/" });
        let (client, auth) = connection(host, &config, go).map_err(|e| e.to_string())?;
        let (backoff, failures) = (batching.backoff, failures.clone());
        let target = Target { host: host.clone(), client, auth, url, backoff, failures: failures.clone() };
        let (sender, receiver) = mpsc::channel(batching.buffer);
        let batching = batching.clone();
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

fn has_path(server: &str) -> bool {
    server.split_once("://").is_some_and(|(_, rest)| rest.contains('/'))
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
    /// Sends a batch until it is taken; there is hardly an error that will not pass.
    async fn deliver(&self, batch: &[Bytes]) {
        let list = list(batch);
        let mut wait = self.backoff;
        for attempt in 1..=ATTEMPTS {
            match self.post(list.clone()).await {
                Ok(()) => return,
                Err(why) if attempt == ATTEMPTS => self.failures.note("webhook", batch.len(), &why),
                Err(why) => tracing::debug!("audit webhook, attempt {attempt}: {why}"),
            }
            if attempt < ATTEMPTS {
                self.host.clock().sleep(self.host.entropy().jitter(wait, JITTER)).await;
                wait = wait.mul_f64(GROWTH);
            }
        }
    }

    async fn post(&self, list: Bytes) -> Result<(), String> {
        let mut request = Request::post(&self.url).body(body::full(list)).map_err(|e| e.to_string())?;
        for name in [header::CONTENT_TYPE, header::ACCEPT] {
            request.headers_mut().insert(name, HeaderValue::from_static("application/json"));
        }
        authorize(&mut request, &self.auth).await.map_err(|e| e.to_string())?;
        let answer = self.client.send_within(TIMEOUT, request).await.map_err(|e| e.to_string())?;
        let code = answer.status();
        if code.is_success() {
            return Ok(());
        }
        let read = body::collect(answer.into_body(), REFUSAL_BYTES);
        let words = self.host.clock().timeout(TIMEOUT, read).await;
        let words = words.ok().and_then(Result::ok).unwrap_or_default();
        Err(api::status::Status::from_response(code.as_u16(), &words, "", "", "").message)
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
